"""What the server says of itself: metrics, models and its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from crossfuse.errors import CrossFuseError
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.http.context import RequestContext, as_grpc
from crossfuse_server.http.schemas import Limits, Model, Models, ServerState
from crossfuse_server.information import write_info
from crossfuse_server.models import ServedModel

if TYPE_CHECKING:
    from crossfuse_server.app import FusionServer

router = APIRouter()


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    summary="Metrics for Prometheus",
    response_description="Text format of Prometheus",
)
def metrics(request: Request) -> Response:
    """Counters and histograms in the text format of Prometheus."""
    from crossfuse_server.metrics import CONTENT_TYPE, render

    return Response(render(_server(request)), media_type=CONTENT_TYPE)


@router.get("/v1/models", summary="The models this server knows", response_description="The models")
def models(request: Request) -> Models:
    """The default model first, then by name and version."""
    return Models(models=_models(_server(request)))


@router.get("/v1/state", summary="The server at this moment", response_description="Its state")
def state(request: Request) -> ServerState:
    """Models, queues and latency over the last minutes: what the page shows."""
    server = _server(request)
    context = as_grpc(RequestContext(request))
    info = server.servicer.GetServerInfo(pb.GetServerInfoRequest(), context)
    models = _models(server)
    return ServerState(
        version=info.version,
        state=server.state.value,
        uptime_s=info.uptime_s,
        runtime=info.runtime,
        warnings=list(info.warnings),
        waiting=sum(model.waiting for model in models),
        limits=Limits(
            max_pixels=info.limits.max_pixels,
            max_message_bytes=info.limits.max_message_bytes,
            max_queue=info.limits.max_queue,
            max_in_flight=info.limits.max_in_flight,
        ),
        models=models,
        history=request.app.state.history.read(),
    )


def _server(request: Request) -> FusionServer:
    server: FusionServer = request.app.state.server
    return server


def _models(server: FusionServer) -> list[Model]:
    return [_model(model, at == 0) for at, model in enumerate(server.host.models)]


def _model(model: ServedModel, is_default: bool) -> Model:
    info = write_info(model, is_default)
    return Model(
        name=info.model.name,
        version=info.model.version,
        is_default=is_default,
        state=model.state.value,
        message=info.message,
        architecture=info.architecture,
        precision=info.precision,
        sha256=info.sha256,
        provider=info.provider,
        devices=sorted(info.devices),
        minimum_size=info.minimum_size,
        max_batch=info.max_batch,
        waiting=_waiting(model),
    )


def _waiting(model: ServedModel) -> int:
    try:
        return model.queue.waiting
    except CrossFuseError:  # not ready: it has no queue
        return 0

"""POST /v1/fuse: through the same door, queue and servicer as a call over gRPC."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from crossfuse.errors import InvalidInput
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.admission import CallPass
from crossfuse_server.convert import MEDIA_TYPES
from crossfuse_server.http.context import RequestContext, as_grpc
from crossfuse_server.http.errors import BodyTooSlow, code_of
from crossfuse_server.http.forms import Form, fuse_request, read_form
from crossfuse_server.http.schemas import FUSE_OPENAPI
from crossfuse_server.observations import OK, PHASES
from crossfuse_server.pools import FUSE
from crossfuse_server.recorder import Pair, set_current
from crossfuse_server.timeline import Timeline

if TYPE_CHECKING:
    from crossfuse_server.app import FusionServer

METHOD = "POST /v1/fuse"

# How long a caller may take to read its answer.
ANSWER_SECONDS = 60.0
LONGEST_TIMEOUT = 86_400.0

# Pieces of an answer, so that one which is not read does not lie in memory twice.
PIECE = 256 * 1024

router = APIRouter()


@router.post("/v1/fuse", summary="Fuse one pair", response_class=Response, **FUSE_OPENAPI)
async def fuse(request: Request) -> Response:
    """Fuse one infrared and one visible picture into one file.

    The headers of the answer say which model was used and where the time went. The pair takes the
    same way as a gRPC `Fuse` call, so the same files give the same bytes.
    """
    server: FusionServer = request.app.state.server
    context = RequestContext(request, _timeout(request))
    pair = Pair("http", request.state.request_id)
    if server.recorder.tracing is not None:
        pair.parent = request.headers.get("traceparent", "")
    set_current(pair)
    with ExitStack() as held:
        admitted = held.enter_context(_counted(server, context, pair))
        form = await _read(request, server, admitted)
        pair.timeline = Timeline()
        message = fuse_request(form, pair.request_id)
        del form
        answer = await _run(request, server, message, context)
        return PictureAnswer(answer, held.pop_all())


@contextmanager
def _counted(server: FusionServer, context: RequestContext, pair: Pair) -> Iterator[CallPass]:
    """From before the body is read until the answer has left."""
    server.calls.begin(as_grpc(context))
    outcome = OK
    try:
        with server.admission.call(as_grpc(context)) as admitted:
            yield admitted
    except (asyncio.CancelledError, ClientDisconnect):
        outcome = "CANCELLED"
        raise
    except Exception as error:
        outcome = code_of(error)
        raise
    finally:
        if not context.is_active():  # what came of it was for nobody
            outcome = "CANCELLED"
        server.calls.end(METHOD, outcome)
        server.recorder.end(pair, outcome)
        context.end()


async def _read(request: Request, server: FusionServer, admitted: CallPass) -> Form:
    settings = server.settings
    try:
        async with asyncio.timeout(settings.message_seconds):
            return await read_form(request, settings.max_message_bytes, admitted.carry)
    except TimeoutError:
        raise BodyTooSlow(
            f"body: not complete after {settings.message_seconds:g} s; valid: a faster connection"
        ) from None


async def _run(
    request: Request, server: FusionServer, message: pb.FuseRequest, context: RequestContext
) -> pb.FuseResponse:
    """Call the servicer in a thread of the gRPC calls; a caller that goes away ends it."""
    work = partial(copy_context().run, server.servicer.Fuse, message, as_grpc(context))
    del message
    running = asyncio.get_running_loop().run_in_executor(server.pools.of(FUSE), work)
    del work
    watching = asyncio.create_task(_end_when_gone(request, context))
    try:
        answer = await running
    finally:
        watching.cancel()
        # An error that comes out of it holds this frame, and with it the pictures, in a cycle.
        del running
    if not context.is_active():
        raise ClientDisconnect
    return answer


async def _end_when_gone(request: Request, context: RequestContext) -> None:
    """What waits in the queue gives its place up when its caller has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    context.end()


class PictureAnswer(Response):
    """The fused picture; what the request holds is given back when it has been taken."""

    def __init__(self, answer: pb.FuseResponse, held: ExitStack) -> None:
        super().__init__(
            answer.fused.data,
            headers={
                "X-CrossFuse-Model": f"{answer.model.name}:{answer.model.version}",
                "Server-Timing": server_timing(answer.timings),
            },
            media_type=MEDIA_TYPES[answer.fused.encoding],
        )
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it piece by piece; a caller that does not read is left."""
        with self._held, suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                start = {"type": "http.response.start", "status": self.status_code}
                await send({**start, "headers": self.raw_headers})
                body = memoryview(self.body)
                for at in range(0, len(body), PIECE):
                    piece = bytes(body[at : at + PIECE])
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body"})


def server_timing(timings: pb.Timings) -> str:
    """The phases in milliseconds, as browsers show them."""
    return ", ".join(f"{name};dur={getattr(timings, name + '_us') / 1000:.3f}" for name in PHASES)


def _timeout(request: Request) -> float:
    text = request.headers.get("x-request-timeout")
    if text is None:
        return math.inf
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= LONGEST_TIMEOUT:
            return seconds
    raise InvalidInput("X-Request-Timeout", repr(text[:100]), "seconds, like 2.5; at most a day")

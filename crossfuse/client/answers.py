"""From the server's messages to plain values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossfuse.client.errors import IncompatibleServer
from crossfuse.client.pictures import read_picture
from crossfuse.client.results import FuseResult, ModelInfo, ServerInfo, ServerLimits, Timings
from crossfuse.errors import InvalidInput
from crossfuse.fuser import luma
from crossfuse.v1 import fusion_pb2 as pb

STATES: dict[int, str] = {
    pb.SERVING_STATE_LOADING: "loading",
    pb.SERVING_STATE_SERVING: "serving",
    pb.SERVING_STATE_DRAINING: "draining",
    pb.SERVING_STATE_FAILED: "failed",
}


def read_fused(message: pb.Image, vis_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The fused picture, uint8 of the shape of the visible one."""
    height, width = vis_shape[:2]
    try:
        image = read_picture(message, field="fused", max_pixels=height * width)
    except InvalidInput as error:
        raise IncompatibleServer(
            f"the answer holds no picture to fit the request: {error}"
        ) from error
    fused = image.astype(np.uint8, copy=False)
    if fused.ndim == 3 and len(vis_shape) == 2:  # WebP has no grey
        fused = luma(fused)
    if image.dtype != np.uint8 or fused.shape != vis_shape:
        raise IncompatibleServer(
            f"fused: got {image.dtype} of shape {image.shape}; "
            f"valid: uint8 of the shape of the visible picture, {vis_shape}"
        )
    return fused


def read_result(response: pb.FuseResponse, vis_shape: tuple[int, ...]) -> FuseResult:
    """The answer to a Fuse call."""
    return FuseResult(
        image=read_fused(response.fused, vis_shape),
        model=read_reference(response.model),
        timings=read_timings(response.timings),
        request_id=response.request_id,
    )


def read_reference(message: pb.ModelRef) -> str:
    """`name:version`."""
    return f"{message.name}:{message.version}"


def read_timings(message: pb.Timings) -> Timings:
    """Where the time went."""
    return Timings(
        decode_us=message.decode_us,
        queue_us=message.queue_us,
        infer_us=message.infer_us,
        encode_us=message.encode_us,
        total_us=message.total_us,
        batch_size=message.batch_size,
    )


def read_server_info(message: pb.GetServerInfoResponse) -> ServerInfo:
    """What a server is."""
    return ServerInfo(
        version=message.version,
        state=_state(message.state),
        limits=ServerLimits(
            max_pixels=message.limits.max_pixels,
            max_message_bytes=message.limits.max_message_bytes,
            max_queue=message.limits.max_queue,
            max_in_flight=message.limits.max_in_flight,
            max_queue_bytes=message.limits.max_queue_bytes,
        ),
        models=tuple(map(read_model, message.models)),
        uptime_s=message.uptime_s,
        runtime=message.runtime,
        warnings=tuple(message.warnings),
    )


def read_model(message: pb.ModelInfo) -> ModelInfo:
    """One model of a server."""
    return ModelInfo(
        name=message.model.name,
        version=int(message.model.version or 0),
        state=_state(message.state),
        message=message.message,
        is_default=message.is_default,
        architecture=message.architecture,
        precision=message.precision,
        sha256=message.sha256,
        devices=tuple(message.devices),
        provider=message.provider,
        minimum_size=message.minimum_size,
        quality=dict(message.quality),
        max_batch=message.max_batch,
    )


def _state(state: pb.ServingState) -> str:
    return STATES.get(state, "unknown")

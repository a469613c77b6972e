"""What the server says of its models."""

from __future__ import annotations

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.convert import write_model
from crossfuse_server.models import ServedModel, State

STATES = {
    State.LOADING: pb.SERVING_STATE_LOADING,
    State.SERVING: pb.SERVING_STATE_SERVING,
    State.DRAINING: pb.SERVING_STATE_DRAINING,
    State.FAILED: pb.SERVING_STATE_FAILED,
}


def write_info(model: ServedModel, is_default: bool) -> pb.ModelInfo:
    """One model."""
    manifest = model.bundle.manifest
    info = pb.ModelInfo(
        state=STATES[model.state],
        message=model.message,
        is_default=is_default,
        architecture=manifest.architecture,
        minimum_size=manifest.minimum_size,
        devices=dict.fromkeys(description.device for description in model.descriptions),
        quality=dict(manifest.quality.metrics),
        max_batch=model.max_batch,
    )
    write_model(info.model, manifest.name, manifest.version)
    for description in model.descriptions[:1]:
        info.precision = description.precision
        info.sha256 = description.sha256
        info.provider = description.provider
    return info

"""What the server says of itself and of its models: metadata, configuration, index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from crossfuse._version import __version__
from crossfuse.bundles import TensorSpec
from crossfuse.errors import InvalidInput
from crossfuse.oip import (
    ModelConfigResponse,
    ModelMetadataResponse,
    RepositoryIndexResponse,
    ServerMetadataResponse,
)
from crossfuse_server.models import ServedModel, State
from crossfuse_server.oip.parameters import DEFAULT_PRIORITY_LEVEL, PRIORITY_LEVELS
from crossfuse_server.oip.tensors import DATATYPES, shape_of
from crossfuse_server.settings import ServerSettings

SERVER_NAME = "crossfuse"

# Of Triton's, by Triton's names: those that are here in whole.
EXTENSIONS = ("model_configuration", "schedule_policy", "statistics")

STATES = {
    State.LOADING: "LOADING",
    State.SERVING: "READY",
    State.DRAINING: "UNLOADING",
    State.FAILED: "UNAVAILABLE",
}

# Backend and platform of Triton, by the name of the runtime.
ONNX_RUNTIME = ("onnxruntime", "onnxruntime_onnx")
TENSORRT = ("tensorrt", "tensorrt_plan")


def server_metadata() -> Any:
    """Who answers."""
    return ServerMetadataResponse(name=SERVER_NAME, version=__version__, extensions=EXTENSIONS)


def model_metadata(model: ServedModel, versions: Sequence[int]) -> Any:
    """The tensors of a model, with the batch in front."""
    manifest = model.bundle.manifest
    response = ModelMetadataResponse(
        name=manifest.name, versions=map(str, versions), platform=_runtime(model)[1]
    )
    for message, specs in (
        (response.inputs, manifest.inputs),
        (response.outputs, manifest.outputs),
    ):
        for spec in specs:
            message.add(name=spec.name, datatype=DATATYPES[spec.dtype], shape=shape_of(spec))
    return response


def model_config(model: ServedModel, versions: Sequence[int], settings: ServerSettings) -> Any:
    """The configuration Triton would have for a model; it must be loaded."""
    rules = model.queue.rules
    manifest = model.bundle.manifest
    backend, platform = _runtime(model)
    response = ModelConfigResponse()
    config = response.config
    config.name, config.platform, config.backend = manifest.name, platform, backend
    config.version_policy.specific.versions.extend(versions)
    config.max_batch_size = settings.max_batch
    for message, specs in ((config.input, manifest.inputs), (config.output, manifest.outputs)):
        for spec in specs:
            message.add(name=spec.name, data_type=_type(spec), dims=shape_of(spec)[1:])
    _write_instances(config, model)
    batching = config.dynamic_batching
    batching.preferred_batch_size.extend(rules.preferred)
    batching.max_queue_delay_microseconds = round(rules.max_delay * 1e6)
    batching.priority_levels = PRIORITY_LEVELS
    batching.default_priority_level = DEFAULT_PRIORITY_LEVEL
    batching.default_queue_policy.allow_timeout_override = True
    batching.default_queue_policy.max_queue_size = settings.max_queue
    _write_warm_up(config, model, settings)
    for description in model.descriptions[:1]:
        config.parameters["precision"].string_value = description.precision
        config.parameters["sha256"].string_value = description.sha256
    return response


def repository_index(models: Sequence[ServedModel], request: Any, draining: bool) -> Any:
    """Every model with its state, the default one first."""
    if request.repository_name:
        raise InvalidInput(
            "repository_name", repr(request.repository_name), "nothing: there is one"
        )
    response = RepositoryIndexResponse()
    for model in models:
        manifest = model.bundle.manifest
        state = State.DRAINING if draining else model.state
        if state is State.SERVING or not request.ready:
            response.models.add(
                name=manifest.name,
                version=str(manifest.version),
                state=STATES[state],
                reason=model.message,
            )
    return response


def _runtime(model: ServedModel) -> tuple[str, str]:
    native = any(each.runtime.startswith("tensorrt") for each in model.descriptions)
    return TENSORRT if native else ONNX_RUNTIME


def _type(spec: TensorSpec) -> str:
    return f"TYPE_{DATATYPES[spec.dtype]}"


def _write_instances(config: Any, model: ServedModel) -> None:
    for device, count in Counter(each.device for each in model.descriptions).items():
        kind, _, number = device.partition(":")
        group = config.instance_group.add(
            name=device, kind="KIND_CPU" if kind == "cpu" else "KIND_GPU", count=count
        )
        if number:
            group.gpus.append(int(number))


def _write_warm_up(config: Any, model: ServedModel, settings: ServerSettings) -> None:
    height, width = settings.warm_up_size
    warm_up = config.model_warmup.add(name=settings.warm_up, batch_size=1)
    for spec in model.bundle.manifest.inputs:
        entry = warm_up.inputs[spec.name]
        dims = [height, width, *shape_of(spec)[3:]]
        entry.MergeFrom(type(entry)(data_type=_type(spec), dims=dims))

"""The config.pbtxt of one model for NVIDIA Triton: the same tensors as our own server's.

Triton counts the batch apart: a model with `max_batch_size` states its other dimensions only, and
clients see [-1, ...] in front, as they do from `crossfuse serve`.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossfuse.bundles import Manifest, TensorSpec
from crossfuse.engines.tensorrt_profiles import ONE_PROFILE, WORKSPACE
from crossfuse_export.triton_text import Name, Value, to_text

DEVICES = ("tensorrt", "cuda", "cpu")
TYPES = {"uint8": "TYPE_UINT8"}
WARM_UP_SIZE = (480, 640)
QUEUE_DELAY_US = 2000
"""How long a request may wait for others to join its batch."""
QUEUE_SIZE = 64
"""Requests that may wait; what comes beyond is refused at once."""
CUDA_BATCH = 8
ENGINE_CACHE = "/engines"
"""Folder of the machine that runs Triton; nobody but Triton's user may write to it."""


@dataclass(frozen=True)
class Plan:
    """A TensorRT engine in the place of the ONNX file."""

    largest_batch: int
    """That all of its profiles take."""
    profiles: int
    """How many it has; Triton uses none but the first unless it is told."""
    usual_size: tuple[int, int]
    """Height and width of the first one."""


@dataclass(frozen=True)
class TritonModel:
    """One model of the repository, with all versions of it that are exported."""

    manifest: Manifest
    """Of the highest version."""
    versions: tuple[int, ...]
    precision: str
    device: str
    instances: int
    plan: Plan | None = None

    @property
    def file_name(self) -> str:
        """Of the file in each version's folder."""
        return "model.onnx" if self.plan is None else "model.plan"

    @property
    def largest_batch(self) -> int:
        """What Triton may put together; a CPU gains nothing from batches."""
        if self.plan is not None:
            return self.plan.largest_batch
        return {"tensorrt": ONE_PROFILE.largest[0], "cuda": CUDA_BATCH, "cpu": 1}[self.device]


def config_text(model: TritonModel) -> str:
    """The whole config.pbtxt."""
    manifest = model.manifest
    message: dict[str, Value] = {
        "name": manifest.name,
        **_runtime(model),
        "max_batch_size": model.largest_batch,
        "input": [_tensor(spec) for spec in manifest.inputs],
        "output": [_tensor(spec) for spec in manifest.outputs],
        "version_policy": {"specific": {"versions": model.versions}},
        "instance_group": _instances(model),
        "dynamic_batching": _batching(model),
        **_optimization(model),
        "model_warmup": _warm_up(model),
        "parameters": [
            {"key": key, "value": {"string_value": value}}
            for key, value in (
                ("precision", model.precision),
                ("sha256", manifest.files[model.precision].sha256),
                ("made_by", "crossfuse export triton"),
            )
        ],
    }
    return to_text(message)


def _runtime(model: TritonModel) -> dict[str, Value]:
    if model.plan is not None:
        return {"backend": "tensorrt", "default_model_filename": model.file_name}
    return {"backend": "onnxruntime", "default_model_filename": model.file_name}


def _tensor(spec: TensorSpec) -> dict[str, Value]:
    return {
        "name": spec.name,
        "data_type": Name(TYPES[spec.dtype]),
        # Without the batch.
        "dims": [size if isinstance(size, int) else -1 for size in spec.shape[1:]],
    }


def _instances(model: TritonModel) -> dict[str, Value]:
    group: dict[str, Value] = {
        "kind": Name("KIND_CPU" if model.device == "cpu" else "KIND_GPU"),
        "count": model.instances,
    }
    if model.plan is not None:
        group["profile"] = [str(number) for number in range(model.plan.profiles)]
    return group


def _batching(model: TritonModel) -> dict[str, Value]:
    return {
        "max_queue_delay_microseconds": QUEUE_DELAY_US if model.largest_batch > 1 else 0,
        "default_queue_policy": {"timeout_action": Name("REJECT"), "max_queue_size": QUEUE_SIZE},
    }


def _optimization(model: TritonModel) -> dict[str, Value]:
    if model.plan is not None or model.device != "tensorrt":
        return {}
    shapes = {
        f"trt_profile_{short}_shapes": ",".join(
            f"{name}:{'x'.join(map(str, ONE_PROFILE.shapes(name)[place]))}"
            for name in ("ir", "vis")
        )
        for place, short in enumerate(("min", "opt", "max"))
    }
    # No precision_mode: the file says itself what is half precision or quantised.
    options = {
        "max_workspace_size_bytes": str(WORKSPACE),
        **shapes,
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": f"{ENGINE_CACHE}/{model.manifest.name}",
        "trt_timing_cache_enable": "1",
    }
    accelerator: dict[str, Value] = {
        "name": "tensorrt",
        "parameters": [{"key": key, "value": value} for key, value in options.items()],
    }
    return {"optimization": {"execution_accelerators": {"gpu_execution_accelerator": accelerator}}}


def _warm_up(model: TritonModel) -> dict[str, Value]:
    height, width = WARM_UP_SIZE if model.plan is None else model.plan.usual_size
    return {
        "name": f"{height}x{width}",
        "batch_size": 1,
        "inputs": [
            {
                "key": spec.name,
                "value": {
                    "data_type": Name(TYPES[spec.dtype]),
                    "dims": [
                        {"height": height, "width": width}.get(size, 1)
                        if isinstance(size, str)
                        else size
                        for size in spec.shape[1:]
                    ],
                    "random_data": True,
                },
            }
            for spec in model.manifest.inputs
        ],
    }

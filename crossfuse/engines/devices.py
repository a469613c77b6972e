"""From a model, a device and a precision to a loaded engine."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from crossfuse.bundles import PRECISIONS, resolve_model
from crossfuse.engines.base import Engine
from crossfuse.errors import InvalidInput, MissingDependency, ProviderUnavailable, UnknownName

log = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda", "tensorrt")


def available_cpus() -> int:
    """The processors this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def precision_choices(precision: str, device: str) -> tuple[str, ...]:
    """The precisions to try, in order.

    On a CPU `auto` is fp32 alone: fp16 runs slower there, and int8 changes the picture, which is
    for the user to ask for. A GPU prefers fp16.
    """
    if precision == "auto":
        return ("fp32",) if device == "cpu" else ("fp16", "fp32")
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, ("auto", *PRECISIONS))
    return (precision,)


def device_ids(device: str, nodes: Path = Path("/dev")) -> Sequence[int]:
    """The numbers of the devices of a kind that this process may use.

    CUDA numbers the visible devices from 0, so CUDA_VISIBLE_DEVICES only changes how many there
    are; without it they are counted by their device nodes.
    """
    if device == "cpu":
        return range(1)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return range(len([entry for entry in visible.split(",") if entry.strip()]))
    return range(max(1, len(list(nodes.glob("nvidia[0-9]*")))))


def load_engine(
    model: str | Path,
    *,
    device: str = "auto",
    device_id: int = 0,
    precision: str = "auto",
    threads: int | None = None,
    models: Path | None = None,
    pad: bool = False,
) -> Engine:
    """Load a model by name, bundle folder or .onnx file on a device.

    `auto` takes a CUDA device where onnxruntime can really open one, and says in the log when it
    settles for the CPU although a CUDA build is installed; a device asked for by name is used or
    refused, never replaced. `tensorrt` takes the sizes that it was built for; with `pad` smaller
    pictures are mirrored up to the next of them.
    """
    if device not in DEVICES:
        raise UnknownName("device", device, DEVICES)
    if threads is not None and threads < 1:
        raise InvalidInput("threads", str(threads), "1 or more, or nothing for all processors")
    if device == "tensorrt":
        from crossfuse.engines.tensorrt_routes import open_tensorrt

        file = resolve_model(model, precision_choices(precision, device), models)
        return open_tensorrt(file, device_id=device_id, threads=threads, pad=pad)
    try:
        from onnxruntime import get_available_providers

        from crossfuse.engines.onnx import PROVIDERS, OnnxEngine
    except ImportError as error:
        raise MissingDependency("onnxruntime", "running a model", "cpu") from error

    def open_on(place: str) -> Engine:
        file = resolve_model(model, precision_choices(precision, place), models)
        return OnnxEngine(file, device=place, device_id=device_id, threads=threads)

    if device != "auto":
        return open_on(device)
    if PROVIDERS["cuda"] in get_available_providers():
        try:
            return open_on("cuda")
        except ProviderUnavailable as error:
            log.warning("no CUDA device can be used, running on the CPU: %s", error)
    return open_on("cpu")

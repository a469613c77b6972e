"""The three ways to TensorRT behind `--device tensorrt`, and which of them is taken.

1. TensorRT itself, on an engine that `crossfuse export tensorrt` built for this very GPU.
2. onnxruntime's TensorRT provider, which builds its engine when the model is loaded.
3. TensorRT-RTX as a plugin of onnxruntime, for RTX GPUs: all of it installs with pip.

The first that can be used is; it and the reasons against the others go to the log. Where none can,
one line says what is missing and what to install.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Callable

from crossfuse.bundles import ModelFile
from crossfuse.engines.base import Engine
from crossfuse.engines.tensorrt_api import installed_tensorrt
from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.engines.tensorrt_key import Platform
from crossfuse.engines.tensorrt_store import engine_for, engines_folder, stored_engines
from crossfuse.errors import ProviderUnavailable

log = logging.getLogger(__name__)

INSTALL = (
    "install a driver for CUDA 13 (580 or newer), then for data-centre, workstation and GeForce "
    "GPUs from Turing on: pip install 'crossfuse[tensorrt]'; for RTX GPUs from Ampere on also: pip "
    "install 'crossfuse[rtx]', which needs no export; on a Jetson: JetPack's own TensorRT"
)

Opener = Callable[[ModelFile, int, int | None, bool], Engine]


def open_tensorrt(
    model: ModelFile, *, device_id: int = 0, threads: int | None = None, pad: bool = False
) -> Engine:
    """Load a model on the first route that this machine has.

    `pad`: mirror a smaller picture up to the next profile instead of refusing it.
    """
    reasons: list[str] = []
    for number, (name, open_route) in enumerate(ROUTES.items()):
        try:
            engine = open_route(model, device_id, threads, pad)
        except ProviderUnavailable as error:
            reasons.append(f"{name}: {error}")
            continue
        reasons += [f"{later}: not needed" for later in list(ROUTES)[number + 1 :]]
        log.warning("tensorrt runs on %s; not on %s", name, "; ".join(reasons))
        return engine
    raise ProviderUnavailable(
        f"device: 'tensorrt' cannot be used here: {'; '.join([*_no_gpu(), *reasons])}; {INSTALL}"
    )


def open_native(model: ModelFile, device_id: int, threads: int | None, pad: bool) -> Engine:
    """TensorRT itself, on a stored engine of this ONNX file, this TensorRT and this GPU."""
    trt = installed_tensorrt()
    if trt is None:
        raise ProviderUnavailable("the package tensorrt is not installed")
    from crossfuse.engines.tensorrt import TensorRTEngine

    sha256, folder = hashlib.sha256(model.read()).hexdigest(), engines_folder()
    cuda = Cuda(device_id)
    try:
        here = Platform("tensorrt", trt.__version__, cuda.capability)
        engines = stored_engines(folder, sha256, model.precision)
        stored = engine_for(engines, here)
        if stored is None:
            command = (
                f"crossfuse export tensorrt {model.name}:{model.version} "
                f"--precision {model.precision}"
            )
            found = "; ".join(
                f"{engine.plan.name} is for {', '.join(engine.key.strangers_on(here))}"
                for engine in engines
            )
            raise ProviderUnavailable(
                f"no engine of this model for this machine in {folder}"
                f"{f' ({found})' if found else ''}: run {command}"
            )
        return TensorRTEngine(model, stored, trt, cuda, device_id=device_id, pad=pad)
    except Exception:
        cuda.close()
        raise


def open_provider(model: ModelFile, device_id: int, threads: int | None, pad: bool) -> Engine:
    """onnxruntime's TensorRT provider."""
    _need_onnxruntime()
    from crossfuse.engines.onnx_tensorrt import (
        ProfiledOnnxEngine,
        provider_options,
        why_no_provider,
    )

    reason = why_no_provider()
    if reason is not None:
        raise ProviderUnavailable(reason)
    cuda = Cuda(device_id)
    capability = cuda.capability
    cuda.close()
    return ProfiledOnnxEngine(
        model,
        device_id=device_id,
        threads=threads,
        pad=pad,
        provider_options=provider_options(model, capability, engines_folder()),
    )


def open_rtx(model: ModelFile, device_id: int, threads: int | None, pad: bool) -> Engine:
    """TensorRT-RTX as a plugin of onnxruntime."""
    _need_onnxruntime()
    from crossfuse.engines.onnx_tensorrt import RtxEngine, rtx_options, why_no_rtx

    reason = why_no_rtx()
    if reason is not None:
        raise ProviderUnavailable(reason)
    return RtxEngine(
        model, device_id=device_id, threads=threads, pad=pad, provider_options=rtx_options()
    )


ROUTES: dict[str, Opener] = {
    "TensorRT itself": open_native,
    "onnxruntime's TensorRT provider": open_provider,
    "TensorRT-RTX": open_rtx,
}


def _no_gpu() -> list[str]:
    """Why there is no GPU at all, where that is so; the routes do not all look."""
    try:
        Cuda(0).close()
    except ProviderUnavailable as error:
        return [str(error)]
    return []


def _need_onnxruntime() -> None:
    if importlib.util.find_spec("onnxruntime") is None:
        raise ProviderUnavailable("onnxruntime is not installed")

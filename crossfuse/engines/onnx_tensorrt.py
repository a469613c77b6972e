"""TensorRT through onnxruntime: its TensorRT provider, and the plugin of TensorRT-RTX.

Both build the engine themselves when the session opens, for one stated profile: without one the
provider would build anew in the middle of the traffic. A size outside of it is refused here.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import ModelFile
from crossfuse.engines.onnx import PROVIDERS, OnnxEngine
from crossfuse.engines.onnx_buffers import DeviceBuffers
from crossfuse.engines.tensorrt_api import installed_tensorrt
from crossfuse.engines.tensorrt_profiles import ONE_PROFILE, WORKSPACE, fit, joined
from crossfuse.engines.tensorrt_store import own_folder
from crossfuse.errors import ProviderUnavailable

RTX_PACKAGE = "onnxruntime_ep_nv_tensorrt_rtx"
_NEEDED = "libnvinfer.so.10"


class ProfiledOnnxEngine(OnnxEngine):
    """Takes the sizes of one profile, and refuses the others."""

    def __init__(
        self,
        model: ModelFile,
        *,
        device_id: int = 0,
        threads: int | None = None,
        provider_options: Mapping[str, str] | None = None,
        pad: bool = False,
    ) -> None:
        self._pad = pad
        super().__init__(
            model,
            device="tensorrt",
            device_id=device_id,
            threads=threads,
            provider_options=provider_options,
        )

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        parts = fit((ONE_PROFILE,), ir, vis, pad=self._pad)
        run = super().fuse
        return joined([run(part.ir, part.vis) for part in parts], ir)

    def warm_up(self, height: int, width: int, batch: int = 1) -> None:
        """Run the nearest size that the profile takes, in a batch of that many."""
        _, height, width = ONE_PROFILE.nearest((batch, height, width))
        super().warm_up(height, width, batch)


class RtxEngine(ProfiledOnnxEngine):
    """Runs on TensorRT-RTX, which onnxruntime loads as a plugin."""

    def _provider(self, device: str) -> str:
        return str(_rtx_plugin().get_ep_name())

    def _open(
        self,
        content: bytes,
        options: onnxruntime.SessionOptions,
        device: str,
        device_id: int,
        provider_options: Mapping[str, str],
    ) -> onnxruntime.InferenceSession:
        devices = _rtx_devices()
        if not 0 <= device_id < len(devices):
            raise ProviderUnavailable(
                f"device: got number {device_id}; valid: {len(devices)} RTX devices, from 0"
            )
        options.add_provider_for_devices([devices[device_id]], dict(provider_options))
        return onnxruntime.InferenceSession(content, options)

    def _own_buffers(self, device: str, device_id: int) -> DeviceBuffers | None:
        # The plain package of onnxruntime has no CUDA memory to hand out; the plugin copies.
        return None


def provider_options(model: ModelFile, capability: str, engines: Path) -> dict[str, str]:
    """The options of onnxruntime's TensorRT provider: profile, workspace, and its caches.

    The folder of the caches is named after all that an engine depends on, because the provider
    itself looks at less.
    """
    trt = installed_tensorrt()
    parts = (
        hashlib.sha256(model.read()).hexdigest(),
        f"onnxruntime {onnxruntime.__version__}",
        f"tensorrt {trt.__version__ if trt is not None else 'of the system'}",
        f"capability {capability}",
        str(ONE_PROFILE),
    )
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    folder = own_folder(own_folder(engines) / f"onnxruntime-{digest}")
    return {
        **_shapes("trt_profile_{}_shapes"),
        "trt_max_workspace_size": str(WORKSPACE),
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }


def rtx_options() -> dict[str, str]:
    """The options of TensorRT-RTX: profile and workspace."""
    return {**_shapes("nv_profile_{}_shapes"), "nv_max_workspace_size": str(WORKSPACE)}


def why_no_provider() -> str | None:
    """Why onnxruntime's TensorRT provider cannot be used, as far as that shows before a model."""
    if PROVIDERS["tensorrt"] not in onnxruntime.get_available_providers():
        return "this onnxruntime has no TensorRT provider (onnxruntime-gpu on x86-64 has)"
    trt = installed_tensorrt()  # loads its libraries, which are then found by name
    try:
        ctypes.CDLL(_NEEDED)
    except OSError:
        found = "" if trt is None else f"; TensorRT {trt.__version__} is installed"
        return f"it needs TensorRT 10 ({_NEEDED}), which cannot be loaded{found}"
    return None


def why_no_rtx() -> str | None:
    """Why TensorRT-RTX cannot be used, as far as that shows before a model."""
    if importlib.util.find_spec(RTX_PACKAGE) is None:
        return "onnxruntime-ep-nv-tensorrt-rtx-cu13 is not installed"
    try:
        return None if _rtx_devices() else "no GPU here is one that TensorRT-RTX runs on"
    except Exception as error:  # onnxruntime raises plain Exception subclasses of its own
        return f"its plugin cannot be loaded: {' '.join(str(error).split())}"


def _rtx_plugin() -> Any:
    return importlib.import_module(RTX_PACKAGE)


def _rtx_devices() -> list[Any]:
    plugin = _rtx_plugin()
    name = plugin.get_ep_name()

    def devices() -> list[Any]:
        return [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]

    # Registering twice is an error, and the registration is the whole process's.
    if not devices():
        onnxruntime.register_execution_provider_library(name, plugin.get_library_path())
    return devices()


def _shapes(option: str) -> dict[str, str]:
    """The profile as both providers write it: `ir:1x480x640,vis:1x480x640x3`."""
    by_tensor = {name: ONE_PROFILE.shapes(name) for name in ("ir", "vis")}
    return {
        option.format(short): ",".join(
            f"{name}:{'x'.join(map(str, shapes[place]))}" for name, shapes in by_tensor.items()
        )
        for place, short in enumerate(("min", "opt", "max"))
    }

"""The engine over onnxruntime: CPU, CUDA and TensorRT providers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import onnxruntime

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import GRAPH_INPUTS, GRAPH_OUTPUTS, ModelFile
from crossfuse.engines.base import Engine, EngineDescription
from crossfuse.engines.devices import available_cpus
from crossfuse.engines.onnx_buffers import DeviceBuffers
from crossfuse.errors import (
    BundleError,
    DeviceLost,
    EngineError,
    OutOfMemory,
    ProviderUnavailable,
)

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

# The operators that carry the work. Shape arithmetic may stay on the CPU beside any device; these
# may not, or a "GPU" run would be a CPU run that nobody asked for.
HEAVY_OPERATORS = {"Conv", "ConvTranspose", "MatMul", "Gemm", "QLinearConv", "FusedConv"}

OUT_OF_MEMORY = re.compile(
    r"out of memory|failed to allocate memory|bad_alloc|cudaErrorMemoryAllocation|"
    r"CUDA failure 2:",
    re.IGNORECASE,
)
DEVICE_LOST = re.compile(
    r"CUDA failure (46|700|709|714|715|719|999):|illegal memory access|device.{0,20} lost|"
    r"unspecified launch failure|cudaErrorDevicesUnavailable",
    re.IGNORECASE,
)


class OnnxEngine(Engine):
    """Runs one ONNX file that keeps the graph contract of the bundles."""

    def __init__(
        self,
        model: ModelFile,
        *,
        device: str = "cpu",
        device_id: int = 0,
        threads: int | None = None,
        provider_options: Mapping[str, str] | None = None,
    ) -> None:
        """`provider_options` go to the device's provider, beside its number."""
        self._threads = threads or available_cpus()
        content = model.read()
        provider = self._provider(device)
        try:
            session = self._open(
                content, session_options(self._threads), device, device_id, provider_options or {}
            )
        except ProviderUnavailable:
            raise
        except Exception as error:
            typed = _typed(error)
            if isinstance(typed, OutOfMemory):
                raise typed from error
            raise BundleError(
                f"{model.path}: onnxruntime cannot load it: {_one_line(error)}"
            ) from error
        self.session = session
        """What `fuse` runs, for measurements that run it themselves or ask what it was given."""
        self.session.disable_fallback()
        _check_provider(self.session, device, provider)
        _check_graph(self.session, model)
        _check_assignment(self.session, device, provider)
        self._buffers = self._own_buffers(device, device_id)
        self._description = EngineDescription(
            name=model.name,
            version=model.version,
            precision=model.precision,
            sha256=hashlib.sha256(content).hexdigest(),
            device=device if device == "cpu" else f"{device}:{device_id}",
            provider=provider,
            runtime=f"onnxruntime {onnxruntime.__version__}",
            threads=self._threads,
            minimum_size=model.minimum_size,
        )

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        try:
            if self._buffers is not None:
                return self._buffers.run(ir, vis)
            fused: UInt8Array = self.session.run(["fused"], {"ir": ir, "vis": vis})[0]
        except Exception as error:  # onnxruntime raises plain Exception subclasses of its own
            raise _typed(error) from error
        return fused

    def describe(self) -> EngineDescription:
        """What is loaded, and on what."""
        return self._description

    def close(self) -> None:
        """Free the session and the device buffers."""
        self._buffers = None
        del self.session

    def _provider(self, device: str) -> str:
        return PROVIDERS[device]

    def _open(
        self,
        content: bytes,
        options: onnxruntime.SessionOptions,
        device: str,
        device_id: int,
        provider_options: Mapping[str, str],
    ) -> onnxruntime.InferenceSession:
        wanted = PROVIDERS[device]
        available = onnxruntime.get_available_providers()
        if wanted not in available:
            raise ProviderUnavailable(
                f"device: got {device!r}, but this onnxruntime has no {wanted}; valid here: "
                f"{', '.join(sorted(d for d, p in PROVIDERS.items() if p in available))}; for an "
                "NVIDIA GPU: pip uninstall onnxruntime && pip install 'crossfuse[gpu]'"
            )
        place = {"device_id": str(device_id)}
        # Both providers of a session must queue on one stream, where the caller names one.
        leftovers = {**place, **_only(provider_options, "user_compute_stream")}
        providers = {
            "cpu": [(wanted, {})],
            "cuda": [(wanted, {**place, **provider_options})],
            # What TensorRT leaves over are sizes; CUDA computes them where they are.
            "tensorrt": [(wanted, {**place, **provider_options}), (PROVIDERS["cuda"], leftovers)],
        }[device]
        if device != "cpu":
            # Finds the CUDA libraries that pip installed, which are not on the loader's path.
            onnxruntime.preload_dlls()
        return onnxruntime.InferenceSession(content, options, providers=providers)

    def _own_buffers(self, device: str, device_id: int) -> DeviceBuffers | None:
        return None if device == "cpu" else DeviceBuffers(self.session, device_id)


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """What every session is opened with."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _check_provider(session: onnxruntime.InferenceSession, device: str, wanted: str) -> None:
    got = session.get_providers()[0]
    if got != wanted:
        raise ProviderUnavailable(
            f"device: {device!r} was asked for, but onnxruntime loaded {got} instead of {wanted}; "
            "its log above names the missing library or driver"
        )


def _check_graph(session: onnxruntime.InferenceSession, model: ModelFile) -> None:
    """Refuse a file that does not keep the graph contract, before anyone calls it."""
    for role, found, wanted in (
        ("inputs", session.get_inputs(), GRAPH_INPUTS),
        ("outputs", session.get_outputs(), GRAPH_OUTPUTS),
    ):
        got = [(value.name, value.type, len(value.shape)) for value in found]
        want = [(spec.name, f"tensor({spec.dtype})", len(spec.shape)) for spec in wanted]
        if got != want:
            raise BundleError(f"{model.path}: {role}: got {got}; valid: {want} (name, type, rank)")


def _check_assignment(session: onnxruntime.InferenceSession, device: str, wanted: str) -> None:
    strangers = {
        f"{node.op_type} on {part.ep_name}"
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
        if node.op_type in HEAVY_OPERATORS and part.ep_name != wanted
    }
    if strangers:
        raise ProviderUnavailable(
            f"device: {device!r} was asked for, but onnxruntime placed "
            f"{', '.join(sorted(strangers))}; take another --precision, or --device cpu"
        )


def _only(options: Mapping[str, str], name: str) -> dict[str, str]:
    return {name: options[name]} if name in options else {}


def _typed(error: Exception) -> EngineError:
    message = _one_line(error)
    if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(message):
        return OutOfMemory(f"the device has no memory left for this batch: {message}")
    if DEVICE_LOST.search(message):
        return DeviceLost(f"the device was lost and the model must be loaded again: {message}")
    return EngineError(f"the model could not be run: {message}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

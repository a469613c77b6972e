"""`crossfuse export tensorrt`: the engines of a bundle for this machine's GPU, built or kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crossfuse.bundles import ModelFile
from crossfuse.bundles.store import Bundle
from crossfuse.engines.tensorrt_api import TensorRT, installed_tensorrt
from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.engines.tensorrt_key import HARDWARE, EngineKey, Platform, capability_number
from crossfuse.engines.tensorrt_routes import INSTALL
from crossfuse.engines.tensorrt_store import StoredEngine, own_folder, stored_engines, write_engine
from crossfuse.errors import InvalidInput, ProviderUnavailable, UnknownName
from crossfuse_export.tensorrt_build import BuildOptions, Built, build_engine

FLAVOUR = "tensorrt"
_AMPERE = (8, 0)


@dataclass(frozen=True)
class ExportedEngine:
    """One engine of a bundle."""

    stored: StoredEngine
    built: Built | None
    """None where the engine that was there is the one that was asked for."""
    replaced: tuple[str, ...]
    """What the newest engine that was there had else, in words."""


def this_machine() -> tuple[TensorRT, Platform]:
    """TensorRT and the GPU here; one line says what is missing, and what to install."""
    trt = installed_tensorrt()
    missing = [] if trt is not None else ["the package tensorrt is not installed"]
    capability = ""
    try:
        cuda = Cuda(0)
        capability = cuda.capability
        cuda.close()
    except ProviderUnavailable as error:
        missing.insert(0, str(error))
    if trt is None or missing:
        raise ProviderUnavailable(
            f"TensorRT engines are built on the GPU that they run on: {'; '.join(missing)}; "
            f"{INSTALL}"
        )
    return trt, Platform(FLAVOUR, trt.__version__, capability)


def export_tensorrt(
    bundle: Bundle,
    precisions: Sequence[str],
    folder: Path,
    options: BuildOptions,
    *,
    rebuild: bool = False,
) -> list[ExportedEngine]:
    """Build the engines of some precisions of a bundle into a folder of this user's.

    An engine with the same key is kept unless `rebuild`; with any difference it is built. The
    timing cache lies in the folder too, one for each TensorRT and compute capability.
    """
    if options.hardware not in HARDWARE:
        raise UnknownName("hardware compatibility", options.hardware, HARDWARE)
    files = [bundle.file(precision) for precision in precisions]
    trt, platform = this_machine()
    if options.hardware == "ampere+" and capability_number(platform.capability) < _AMPERE:
        raise InvalidInput(
            "hardware compatibility",
            f"ampere+ on a GPU of compute capability {platform.capability}",
            "none or same-capability here",
        )
    cache = f"timing-{platform.flavour}-{platform.version}-{platform.capability}.cache"
    options = replace(options, timing_cache=own_folder(folder) / cache)
    return [_export(trt, platform, file, folder, options, rebuild) for file in files]


def _export(
    trt: TensorRT,
    platform: Platform,
    file: ModelFile,
    folder: Path,
    options: BuildOptions,
    rebuild: bool,
) -> ExportedEngine:
    content = file.read()
    key = EngineKey(
        hashlib.sha256(content).hexdigest(),
        file.precision,
        platform,
        options.hardware,
        options.profiles,
    )
    there = stored_engines(folder, key.onnx_sha256, key.precision)
    same = next((stored for stored in there if stored.key == key), None)
    if same is not None and not rebuild:
        same.read()
        return ExportedEngine(same, None, ())
    built = build_engine(trt, content, str(file.path), options, fp32=file.precision == "fp32")
    different = tuple(there[0].key.differences(key)) if there else ()
    return ExportedEngine(write_engine(folder, file, key, built.plan), built, different)

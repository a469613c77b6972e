"""`crossfuse export triton`: bundles as a model repository that NVIDIA Triton serves as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from crossfuse.bundles.store import Bundle
from crossfuse.engines.tensorrt_store import StoredEngine, stored_engines
from crossfuse.errors import InvalidInput, ModelNotFound, UnknownName
from crossfuse_export.triton_config import DEVICES, Plan, TritonModel, config_text
from crossfuse_export.whole_folder import whole_folder

PREFERRED = {"tensorrt": ("fp16", "fp32"), "cuda": ("fp16", "fp32"), "cpu": ("fp32",)}
"""The precision of each device where none is asked for; int8 changes the picture."""


@dataclass(frozen=True)
class ExportedModel:
    """One model of the repository."""

    folder: Path
    model: TritonModel


def export_triton(
    bundles: Sequence[Bundle],
    repository: Path,
    *,
    device: str = "tensorrt",
    precision: str = "auto",
    instances: int = 1,
    engines: Path | None = None,
    overwrite: bool = False,
) -> list[ExportedModel]:
    """Write bundles into a repository; versions of one name become versions of one model.

    `engines` is a folder of `crossfuse export tensorrt`: its engines go in instead of the ONNX
    files. They run where Triton has the same TensorRT and GPU. `instances` run on each device.
    """
    if device not in DEVICES:
        raise UnknownName("device", device, DEVICES)
    if instances < 1:
        raise InvalidInput("instances", str(instances), "1 or more")
    if engines is not None and device != "tensorrt":
        raise InvalidInput("device", f"{device} with engines", "tensorrt, which alone runs them")
    ordered = sorted(bundles, key=lambda bundle: (bundle.manifest.name, bundle.manifest.version))
    exported = []
    for name, group in groupby(ordered, key=lambda bundle: bundle.manifest.name):
        versions = {bundle.manifest.version: bundle for bundle in group}
        folder = repository / name
        if folder.exists() and not overwrite:
            raise InvalidInput("repository", f"{folder}, which exists", "a new one, or --overwrite")
        newest = versions[max(versions)]
        chosen = _precision(newest, precision, device)
        model = TritonModel(newest.manifest, tuple(sorted(versions)), chosen, device, instances)
        if engines is None:
            contents = {version: bundle.file(chosen).read() for version, bundle in versions.items()}
        else:
            stored = {
                version: _engine(bundle, chosen, engines) for version, bundle in versions.items()
            }
            contents = {version: engine.read() for version, engine in stored.items()}
            model = replace(model, plan=_plan(stored))
        _write(folder, model, contents)
        exported.append(ExportedModel(folder, model))
    return exported


def _precision(bundle: Bundle, asked: str, device: str) -> str:
    if asked != "auto":
        bundle.file(asked)
        return asked
    has = [name for name in PREFERRED[device] if name in bundle.manifest.files]
    return has[0] if has else next(iter(bundle.manifest.files))


def _engine(bundle: Bundle, precision: str, folder: Path) -> StoredEngine:
    sha256 = bundle.manifest.files[precision].sha256
    found = stored_engines(folder, sha256, precision)
    if not found:
        raise ModelNotFound(
            f"engines: no {precision} engine of {bundle.reference} in {folder}; make it with: "
            f"crossfuse export tensorrt {bundle.reference} --precision {precision} -o {folder}"
        )
    return found[0]


def _plan(stored: Mapping[int, StoredEngine]) -> Plan:
    """What all versions take: they share one configuration."""
    profiles = {engine.key.profiles for engine in stored.values()}
    if len(profiles) != 1:
        raise InvalidInput(
            "engines", "versions with different profiles", "the same profiles in every version"
        )
    (shared,) = profiles
    _, height, width = shared[0].usual
    return Plan(min(profile.largest[0] for profile in shared), len(shared), (height, width))


def _write(folder: Path, model: TritonModel, contents: Mapping[int, bytes]) -> None:
    """A model at once, as Triton may be polling the repository."""
    with whole_folder(folder) as fresh:
        for version, content in contents.items():
            (fresh / str(version)).mkdir()
            (fresh / str(version) / model.file_name).write_bytes(content)
        (fresh / "config.pbtxt").write_text(config_text(model), encoding="utf-8")

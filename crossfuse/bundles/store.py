"""Finding bundles: the search path, `name:version` references, and the hash check."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossfuse.bundles.manifest import MANIFEST_NAME, PRECISIONS, Manifest
from crossfuse.errors import BundleError, InvalidInput, ModelNotFound, UnknownName

DEFAULT_MODEL = "crossfuse-rt"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
REFERENCE_PATTERN = re.compile(rf"(?P<name>{NAME_PATTERN.pattern})(?::(?P<version>[1-9][0-9]*))?")

# The least height and width every graph takes; what is known of an ONNX file without a manifest.
GRAPH_MINIMUM_SIZE = 32


@dataclass(frozen=True)
class ModelFile:
    """One ONNX file to run: where it is, what it must hash to, and what it is called."""

    path: Path
    name: str
    version: int
    precision: str
    minimum_size: int
    sha256: str | None

    def read(self) -> bytes:
        """The file's bytes, refused when they do not hash to what the manifest says.

        The bytes that were checked are the bytes that get run: nothing is opened twice.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise BundleError(f"{self.path}: cannot be read: {error.strerror}") from error
        found = hashlib.sha256(content).hexdigest()
        if self.sha256 is not None and found != self.sha256:
            raise BundleError(
                f"{self.path}: sha256 is {found}, but the manifest says {self.sha256}; "
                "the file was changed or damaged: install the bundle again"
            )
        return content


@dataclass(frozen=True)
class Bundle:
    """A bundle folder and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def reference(self) -> str:
        """`name:version`."""
        return f"{self.manifest.name}:{self.manifest.version}"

    def file(self, precision: str) -> ModelFile:
        """The ONNX file of one precision."""
        entry = self.manifest.files.get(precision)
        if entry is None:
            raise UnknownName(f"precision of {self.reference}", precision, self.manifest.files)
        return ModelFile(
            path=self.folder / entry.path,
            name=self.manifest.name,
            version=self.manifest.version,
            precision=precision,
            minimum_size=self.manifest.minimum_size,
            sha256=entry.sha256,
        )

    def verify(self) -> None:
        """Read every file and compare its hash with the manifest."""
        for precision in self.manifest.files:
            self.file(precision).read()


@dataclass(frozen=True)
class BrokenBundle:
    """A folder that should be a bundle and is not, with the reason."""

    folder: Path
    reason: str


def search_path(models: Path | None = None) -> list[Path]:
    """Where bundles are looked for, first hit wins.

    `models` (the --models option), CROSSFUSE_MODELS, ./models, the user's data folder, and the
    package's own assets.
    """
    if models is not None and not models.is_dir():
        raise InvalidInput("models", str(models), "a folder of bundles, NAME/VERSION/manifest.json")
    candidates = [] if models is None else [models]
    candidates += [
        Path(entry) for entry in os.environ.get("CROSSFUSE_MODELS", "").split(os.pathsep) if entry
    ]
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    candidates += [
        Path("models"),
        Path(data_home) / "crossfuse" / "models",
        Path(__file__).resolve().parent.parent / "assets" / "models",
    ]
    return list(dict.fromkeys(candidates))


def installed_bundles(models: Path | None = None) -> tuple[list[Bundle], list[BrokenBundle]]:
    """All bundles on the search path, by name and rising version, and the folders that are broken.

    A bundle hides one of the same name and version further down the path.
    """
    found: dict[tuple[str, int], Bundle] = {}
    broken: list[BrokenBundle] = []
    for root in search_path(models):
        for manifest_path in sorted(root.glob(f"*/*/{MANIFEST_NAME}")):
            folder = manifest_path.parent
            try:
                bundle = open_bundle(folder)
            except BundleError as error:
                broken.append(BrokenBundle(folder, str(error)))
                continue
            found.setdefault((bundle.manifest.name, bundle.manifest.version), bundle)
    return [found[key] for key in sorted(found)], broken


def open_bundle(folder: Path) -> Bundle:
    """The bundle in a folder whose path ends in NAME/VERSION as its manifest says."""
    manifest = Manifest.read(folder)
    *_, name, version = folder.resolve().parts
    if (name, version) != (manifest.name, str(manifest.version)):
        raise BundleError(
            f"{folder}: the manifest says {manifest.name}/{manifest.version}, but the folder is "
            f"{name}/{version}; rename the folder or export the bundle again"
        )
    return Bundle(folder, manifest)


def find_bundle(reference: str, models: Path | None = None) -> Bundle:
    """The installed bundle called `name` (its highest version) or `name:version`."""
    match = REFERENCE_PATTERN.fullmatch(reference)
    if match is None:
        raise InvalidInput(
            "model", repr(reference), f"a name like {DEFAULT_MODEL!r} or '{DEFAULT_MODEL}:1'"
        )
    bundles, broken = installed_bundles(models)
    fitting = [
        bundle
        for bundle in bundles
        if bundle.manifest.name == match["name"]
        and match["version"] in (None, str(bundle.manifest.version))
    ]
    if fitting:
        return fitting[-1]
    for entry in broken:
        if entry.folder.parent.name == match["name"]:
            raise BundleError(entry.reason)
    installed = ", ".join(bundle.reference for bundle in bundles) or "none"
    raise ModelNotFound(f"model: no bundle {reference!r}; installed: {installed}")


def named_bundle(model: str, models: Path | None = None) -> Bundle:
    """The bundle that a command is given: a folder written as a path, `name` or `name:version`."""
    return open_bundle(Path(model)) if _looks_like_path(model) else find_bundle(model, models)


def resolve_model(
    model: str | Path, precisions: Sequence[str], models: Path | None = None
) -> ModelFile:
    """The file behind a name, a bundle folder or an `.onnx` file.

    `precisions` are tried in order; the first one the bundle has is taken.
    """
    if isinstance(model, str) and not _looks_like_path(model):
        return _pick(find_bundle(model, models), precisions)
    search_path(models)  # a folder that is not there is a mistake even where a path needs none
    path = Path(model)
    if path.is_dir():
        return _pick(open_bundle(path), precisions)
    if not path.is_file():
        raise ModelNotFound(
            f"model: no such file or folder: {path}; give a bundle folder, an "
            f".onnx file or the name of an installed model"
        )
    if path.suffix != ".onnx":
        raise InvalidInput("model", str(path), "a bundle folder or an .onnx file")
    return _file_of_bundle(path) or ModelFile(
        path, path.stem, 1, "unknown", GRAPH_MINIMUM_SIZE, sha256=None
    )


def _looks_like_path(model: str) -> bool:
    return model.endswith(".onnx") or model in (".", "..") or "/" in model or os.sep in model


def _pick(bundle: Bundle, precisions: Sequence[str]) -> ModelFile:
    for precision in precisions:
        if precision in bundle.manifest.files:
            return bundle.file(precision)
    return bundle.file(precisions[0])


def _file_of_bundle(path: Path) -> ModelFile | None:
    """The bundle's entry for a file named directly, so that its hash is checked all the same."""
    if not (path.parent / MANIFEST_NAME).is_file():
        return None
    bundle = open_bundle(path.parent)
    for precision in PRECISIONS:
        entry = bundle.manifest.files.get(precision)
        if entry is not None and entry.path == path.name:
            return bundle.file(precision)
    return None

"""Engine files on disk. A TensorRT engine is executable code, so only one's own is ever loaded.

An engine is NAME.PRECISION.KEY.plan with a .json beside it that holds its key and its sha256. Both
must lie in a folder that belongs to this user and that nobody else may write to.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossfuse.bundles import ModelFile
from crossfuse.engines.tensorrt_key import EngineKey, Platform
from crossfuse.errors import BundleError, OutputError

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class StoredEngine:
    """An engine on disk."""

    plan: Path
    key: EngineKey
    sha256: str

    def read(self) -> bytes:
        """The engine, refused when it is not the one that was written here."""
        check_trusted(self.plan)
        content = self.plan.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise BundleError(
                f"{self.plan}: sha256 is {found}, but it was written with {self.sha256}; "
                "the engine was changed or damaged: export it again"
            )
        return content


def engines_folder() -> Path:
    """Where engines are kept: CROSSFUSE_ENGINES, or the user's cache folder."""
    named = os.environ.get("CROSSFUSE_ENGINES")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "crossfuse" / "engines"


def check_trusted(path: Path) -> None:
    """Refuse a file or folder of somebody else, or that somebody else may write to."""
    try:
        entry = path.lstat()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
    if stat.S_ISLNK(entry.st_mode):
        raise BundleError(f"{path}: got a link; valid: engines themselves, which are code")
    if entry.st_uid != os.geteuid() or entry.st_mode & OTHERS_MAY_WRITE:
        raise BundleError(
            f"{path}: got owner {entry.st_uid} and mode {stat.S_IMODE(entry.st_mode):o}; valid: "
            f"owner {os.geteuid()}, writable by nobody else, because TensorRT engines are code; "
            "chmod go-w it if it is yours, or export the engine again"
        )


def own_folder(folder: Path) -> Path:
    """The folder, made for this user alone where it is not there, and trusted."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    check_trusted(folder)
    return folder


def write_engine(folder: Path, model: ModelFile, key: EngineKey, plan: bytes) -> StoredEngine:
    """Store an engine; the .json comes last, so that half a pair is never found."""
    own_folder(folder)
    path = folder / f"{model.name}-{model.version}.{key.precision}.{key.digest}.plan"
    stored = StoredEngine(path, key, hashlib.sha256(plan).hexdigest())
    record = {"key": key.to_json(), "sha256": stored.sha256, "model": model.name}
    for target, content in (
        (path, plan),
        (path.with_suffix(".json"), json.dumps(record, indent=2).encode()),
    ):
        write_privately(target, content)
    return stored


def write_privately(path: Path, content: bytes) -> None:
    """Replace a file at once, readable and writable by its owner alone."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def stored_engines(folder: Path, onnx_sha256: str, precision: str) -> list[StoredEngine]:
    """The engines of one ONNX file in a folder, the newest first; an absent folder has none."""
    if not folder.is_dir():
        return []
    check_trusted(folder)
    found: list[tuple[float, StoredEngine]] = []
    for path in folder.glob(f"*.{precision}.*.json"):
        check_trusted(path)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            stored = StoredEngine(
                path.with_suffix(".plan"),
                EngineKey.from_json(record["key"], str(path)),
                str(record["sha256"]),
            )
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise BundleError(
                f"{path}: cannot be read ({error!r}); remove it and export the engine again"
            ) from error
        if stored.key.onnx_sha256 == onnx_sha256:
            found.append((path.stat().st_mtime, stored))
    return [stored for _, stored in sorted(found, key=lambda entry: entry[0], reverse=True)]


def engine_for(engines: Sequence[StoredEngine], here: Platform) -> StoredEngine | None:
    """The newest of these that runs on this TensorRT and GPU."""
    return next((stored for stored in engines if not stored.key.strangers_on(here)), None)

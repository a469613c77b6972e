"""Finds the pairs of a data set: a path is infrared or visible by its place, never both."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from crossfuse.errors import InvalidInput
from crossfuse_training.data.config import DataSet
from crossfuse_training.data.sources import (
    FileSource,
    FrameSource,
    SceneSource,
    Source,
    open_video,
)

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
VIDEOS = (".mp4", ".avi", ".mkv", ".mov")
INFRARED = ("ir", "infrared", "lwir", "thermal")
VISIBLE = ("vis", "vi", "visible", "rgb")
_TNO_NAME = re.compile(r"(vis|ir)[_-]?(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Rejected:
    """Something that cannot be trained on, and why."""

    set: str
    file: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """Two pictures that belong together by their names; not read yet."""

    stem: str
    group: str
    sequence: str
    """The folder or video that its neighbours in time share."""
    source: Source


@dataclass(frozen=True)
class _Place:
    """A file of one modality, and what it shares with its partner."""

    infrared: bool
    key: str


def find(source: DataSet, root: Path | None) -> tuple[list[Candidate], list[Rejected]]:
    """All pairs of a set by stem, and the files that belong to none."""
    if source.layout == "synthetic":
        return list(_scenes(source)), []
    if root is None:
        raise InvalidInput(
            "data root", "none", f"a folder that holds {source.name}: --data or CROSSFUSE_DATA"
        )
    folder = root / (source.path or source.name)
    if not folder.is_dir():
        raise InvalidInput(f"data set {source.name}", f"no folder {folder}", "a folder of pairs")
    is_video = source.layout == "video"
    ir, vis, rejected = _sorted_by_modality(source, folder, VIDEOS if is_video else PICTURES)
    for found, name, known in ((ir, "infrared", INFRARED), (vis, "visible", VISIBLE)):
        if not found:
            raise InvalidInput(
                f"data set {source.name}",
                f"no {name} {'videos' if is_video else 'pictures'} in {folder}",
                f"layout {source.layout} with {name} named {', '.join(known)}, or as the recipe's"
                " ir_folder and vis_folder say",
            )
    for there, absent, name in ((ir, vis, "visible"), (vis, ir, "infrared")):
        alone = sorted(there.keys() - absent.keys())
        rejected += [Rejected(source.name, str(there[key]), f"no {name} partner") for key in alone]
    candidates: list[Candidate] = []
    for key in sorted(ir.keys() & vis.keys()):
        if is_video:
            frames, bad = _frames(source, key, ir[key], vis[key])
            candidates += frames
            rejected += bad
        else:
            candidates.append(_files(source, key, ir[key], vis[key]))
    return candidates, rejected


def _sorted_by_modality(
    source: DataSet, folder: Path, suffixes: Sequence[str]
) -> tuple[dict[str, Path], dict[str, Path], list[Rejected]]:
    """The files of each modality by what they share with their partner."""
    found: tuple[dict[str, Path], dict[str, Path]] = ({}, {})
    twice: dict[str, str] = {}
    for path in _walk(folder, suffixes):
        place = _place(source, path.relative_to(folder))
        if place is None or not place.key.startswith(f"{source.part}/" if source.part else ""):
            continue
        files = found[0] if place.infrared else found[1]
        if place.key in files:
            twice[place.key] = f"the same stem as {files[place.key]}"
        files[place.key] = path
    rejected = []
    for key, reason in twice.items():
        # Neither of the two is trusted, and a partner without them is no second mistake.
        paths = [files.pop(key) for files in found if key in files]
        rejected.append(Rejected(source.name, str(paths[0]), reason))
    return found[0], found[1], rejected


def _walk(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """All files of the suffixes below the folder, sorted; links are followed."""
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(files):
            if PurePath(name).suffix.lower() in suffixes and not name.startswith("."):
                yield Path(parent, name)


def _place(source: DataSet, path: Path) -> _Place | None:
    """The modality of a file, and its key; None where the file is neither."""
    folders, stem = path.parent.parts, path.stem
    if source.layout == "tno":
        match = _TNO_NAME.fullmatch(stem)
        if match is None:
            return None
        known = (*INFRARED, *VISIBLE)
        shared = [part for part in folders if part.lower() not in known]
        key = "/".join([*shared, match[2]] if match[2] else shared)
        return _Place(match[1].lower() == "ir", key)
    at = 0 if source.layout in ("folders", "video") else len(folders) - 1
    if not folders or (source.layout == "clips" and len(folders) != 2):
        return None
    modality = _modality(source, folders[at])
    if modality is None:
        return None
    return _Place(modality == "ir", "/".join([*folders[:at], *folders[at + 1 :], stem]))


def _modality(source: DataSet, folder: str) -> str | None:
    names: Mapping[str, tuple[str | None, tuple[str, ...]]] = {
        "ir": (source.ir_folder, INFRARED),
        "vis": (source.vis_folder, VISIBLE),
    }
    for modality, (given, known) in names.items():
        if folder == given if given else folder.lower() in known:
            return modality
    return None


def _files(source: DataSet, key: str, ir: Path, vis: Path) -> Candidate:
    folder, _, name = key.rpartition("/")
    match = re.search(source.sequence, name)
    group = "/".join(filter(None, (folder, match[1] if match else "")))
    return Candidate(key, group, folder, FileSource(ir, vis, source.ir_mapping))


def _frames(
    source: DataSet, key: str, ir: Path, vis: Path
) -> tuple[list[Candidate], list[Rejected]]:
    """A candidate for each frame of two videos; none where they are not of one length."""
    try:
        lengths = [(video.frames, round(video.rate, 3)) for video in map(open_video, (ir, vis))]
    except InvalidInput as error:
        return [], [Rejected(source.name, key, str(error))]
    if lengths[0] != lengths[1]:
        texts = [f"{frames} frames at {rate:g} fps" for frames, rate in lengths]
        return [], [Rejected(source.name, str(vis), f"{texts[1]}, while ir has {texts[0]}")]
    return [
        Candidate(f"{key}/{frame:06d}", key, key, FrameSource(ir, vis, frame))
        for frame in range(0, lengths[0][0], source.every)
    ], []


def _scenes(source: DataSet) -> Iterator[Candidate]:
    for seed in range(source.count):
        scene = SceneSource(seed, source.height, source.width)
        yield Candidate(f"{seed:05d}", "N" if scene.night else "D", "", scene)

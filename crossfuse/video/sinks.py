"""From the text a user gives to an open sink."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.video.address import shown
from crossfuse.video.av_sink import AvSink
from crossfuse.video.folder_sink import FolderSink
from crossfuse.video.http_sink import HttpSink
from crossfuse.video.opencv_sink import OpenCvSink
from crossfuse.video.rtsp_sink import RtspSink
from crossfuse.video.sink import Sink

ENCODERS = ("auto", "av", "opencv")
FORMS = "a file ending in .mp4, a folder, http://HOST:PORT to serve at, rtsp:// of a server"


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """How outputs are made."""

    encoder: str = "auto"
    """auto takes PyAV where it is installed (H.264), else OpenCV (MPEG-4)."""
    overwrite: bool = False
    sound_of: str | None = None
    """A file whose sound is copied; PyAV only."""
    sound_from: float = 0.0
    """Where in it the output begins, in seconds from its first picture."""

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise UnknownName("encoder", self.encoder, ENCODERS)


def check_outputs(targets: Sequence[str], sources: Sequence[str], options: SinkOptions) -> None:
    """Refuse before any work what cannot be written, or would replace what is read."""
    for number, target in enumerate(targets):
        _check_output(target, options)
        for other, name in (
            *((source, "the source") for source in sources),
            *((before, "another output") for before in targets[:number]),
        ):
            if same_place(target, other):
                raise InvalidInput("output", f"{target}, which is {name} too", "another name")


def _check_output(text: str, options: SinkOptions) -> None:
    scheme, is_address, _ = text.partition("://")
    if scheme in ("http", "rtsp"):
        return
    if is_address:
        raise InvalidInput("output", shown(text), FORMS)
    path = Path(text)
    if path.is_dir():
        if not options.overwrite and any(path.iterdir()):
            raise InvalidInput(
                "output", f"{text}, which is not empty", "an empty folder, or --overwrite"
            )
    elif path.suffix:
        if path.suffix.lower() != ".mp4":
            raise InvalidInput("output", text, FORMS)
        if not path.parent.is_dir():
            raise InvalidInput("output", text, f"a folder that exists; {path.parent} does not")
        if path.exists() and not options.overwrite:
            raise InvalidInput("output", f"{text}, which exists", "another name, or --overwrite")
    elif path.exists():
        raise InvalidInput("output", f"{text}, which is no folder", FORMS)


def same_place(one: str, other: str) -> bool:
    """Whether two sources or outputs are one file, folder or address."""
    if "://" in one or "://" in other:
        return one == other
    paths = Path(one), Path(other)
    if all(path.exists() for path in paths):
        return paths[0].samefile(paths[1])
    return paths[0].resolve() == paths[1].resolve()


def open_sink(text: str, size: tuple[int, int], fps: float, options: SinkOptions) -> Sink:
    """Open an output for frames of `size` (width, height)."""
    scheme = text.partition("://")[0]
    if scheme == "http":
        return HttpSink(text)
    if scheme == "rtsp":
        return RtspSink(text, size, fps)
    path = Path(text)
    if path.suffix.lower() != ".mp4" or path.is_dir():
        return FolderSink(path)
    with_av = importlib.util.find_spec("av") is not None and options.encoder != "opencv"
    if with_av or options.encoder == "av":
        return AvSink(path, size, fps, sound_of=options.sound_of, sound_from=options.sound_from)
    return OpenCvSink(path, size, fps)

"""From the text a user gives to an opened source."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from crossfuse.errors import InvalidInput, MissingDependency, UnknownName
from crossfuse.video.av_source import AvSource
from crossfuse.video.folder_source import FolderSource
from crossfuse.video.frames import Source
from crossfuse.video.opencv_source import OpenCvSource
from crossfuse.video.synthetic_source import NAME as SYNTHETIC
from crossfuse.video.synthetic_source import SyntheticSource

SCHEMES = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtmp", "srt")
DECODERS = ("auto", "av", "opencv")
# Of folders, in frames a second: two are then less than two minutes apart.
LEAST_RATE = 0.01
FORMS = "a video file, a folder of pictures, a camera index like 0, an rtsp:// or http:// address"


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How sources are opened and read."""

    decoder: str = "auto"
    """auto takes PyAV where it is installed, else OpenCV."""
    fps: float | None = None
    """Of folders of pictures."""
    palette: str | None = None
    """Of a false-colour infrared source."""
    timeout: float = 5.0
    """Seconds in which a live source must open, and give its next frame."""
    hardware: bool = False
    """Whether to decode in hardware."""

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise UnknownName("decoder", self.decoder, DECODERS)
        if self.fps is not None and not LEAST_RATE <= self.fps <= 1000:
            raise InvalidInput("fps", str(self.fps), f"a rate of {LEAST_RATE} to 1000, such as 25")
        if not 0 < self.timeout <= 3600:
            raise InvalidInput("timeout", f"{self.timeout} s", "a positive number, such as 5")


def is_live(text: str) -> bool:
    """Whether a source is a camera or a network stream."""
    return text.isdecimal() or text.partition("://")[0].lower() in SCHEMES


def open_source(text: str, *, infrared: bool, options: SourceOptions) -> Source:
    """Open a source; InvalidInput where there is none."""
    if text.partition(":")[0] == SYNTHETIC and not Path(text).exists():
        return SyntheticSource(text, infrared=infrared)
    palette = options.palette if infrared else None
    if text.isdecimal() and not Path(text).exists():
        return OpenCvSource(
            int(text),
            live=True,
            infrared=infrared,
            palette=palette,
            timeout=options.timeout,
            hardware=options.hardware,
        )
    live = is_live(text)
    path = Path(text)
    if not live and path.is_dir():
        return FolderSource(path, infrared=infrared, palette=palette, fps=options.fps)
    if not live and not path.is_file():
        raise InvalidInput("source", f"{text}, which is not there", FORMS)
    kind = AvSource if _with_av(options.decoder) else OpenCvSource
    return kind(
        text,
        live=live,
        infrared=infrared,
        palette=palette,
        timeout=options.timeout,
        hardware=options.hardware,
    )


def _with_av(decoder: str) -> bool:
    present = importlib.util.find_spec("av") is not None
    if decoder == "av" and not present:
        raise MissingDependency("av", "decoding with PyAV", "video")
    return present and decoder != "opencv"

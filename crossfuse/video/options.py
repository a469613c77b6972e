"""Everything that can be chosen about a video, with the values that suit most cameras."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images import DEFAULT_MAPPING, PALETTES, POLARITIES, IrMapping, parse_mapping
from crossfuse.video.layout import LAYOUTS
from crossfuse.video.pairing import POLICIES


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """Options of fuse_streams beyond its sources, outputs and model."""

    policy: str | None = None
    """wait, repeat or drop; not given: wait for recordings, drop for live sources."""
    tolerance_ms: float | None = None
    """How far apart two frames of a pair may be; not given: half a frame of the slower source."""
    offset_ms: float | None = None
    """Added to infrared timestamps it gives visible ones; not given: that of the rig, else 0."""
    max_wait: float = 0.2
    """Seconds a live frame waits for its partner."""
    deadline: float | None = None
    """Seconds after its capture at which a live frame is no longer fused."""
    reconnect: float = 60.0
    """Seconds for which a lost camera, stream or server is tried again."""
    crop: bool = False
    """Whether to keep only what both cameras see; needs a rig."""
    layout: str = "fused"
    overlay: bool = False
    """Whether to write rate, delay, drops and model into the picture."""
    preview: bool = False
    """Whether to show the output in a window."""
    overwrite: bool = False
    ir_mapping: str | IrMapping = DEFAULT_MAPPING
    """16-bit infrared to 8 bits: linear:LO:HI, percentile:LO:HI or none."""
    ir_polarity: str = "white-hot"
    ir_palette: str | None = None
    fps: float | None = None
    """Rate of sources that are folders."""
    decoder: str = "auto"
    encoder: str = "auto"
    timeout: float = 5.0
    """Seconds in which a live source must open, and give its next frame."""
    hardware: bool = False
    """Whether to decode in hardware."""
    sound: bool = True
    """Whether to copy the sound of the visible file, where PyAV is installed."""
    max_frames: int | None = None
    """Pairs to take; all if not given."""

    def __post_init__(self) -> None:
        if self.policy is not None and self.policy not in POLICIES:
            raise UnknownName("policy", self.policy, POLICIES)
        if self.layout not in LAYOUTS:
            raise UnknownName("layout", self.layout, LAYOUTS)
        if self.ir_polarity not in POLARITIES:
            raise UnknownName("ir_polarity", self.ir_polarity, POLARITIES)
        if self.ir_palette is not None and self.ir_palette not in PALETTES:
            raise UnknownName("ir_palette", self.ir_palette, PALETTES)
        if isinstance(self.ir_mapping, str):
            parse_mapping(self.ir_mapping)
        for field in ("tolerance_ms", "reconnect"):
            value = getattr(self, field)
            if value is not None and not 0 <= value < math.inf:
                raise InvalidInput(field, f"{value}", "0 or more")
        for field in ("max_wait", "deadline"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise InvalidInput(field, f"{value} s", "a positive number of seconds, such as 0.2")
        if self.offset_ms is not None and not abs(self.offset_ms) < math.inf:
            raise InvalidInput("offset_ms", str(self.offset_ms), "milliseconds, such as -40")
        if self.max_frames is not None and self.max_frames < 1:
            raise InvalidInput("max_frames", str(self.max_frames), "1 or more")

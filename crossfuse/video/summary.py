"""What became of a video: every frame accounted for, rates, delays and steadiness."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """What one source did."""

    source: str
    decoder: str
    """PyAV or OpenCV, with the device where hardware decodes, such as "PyAV, cuda"."""
    frames: int
    """Frames that were read and could be used."""
    expected: int | None
    """Frames the container promised; None where it promises nothing."""
    corrupt: int
    wrong_size: int
    clock_jumps: int
    reconnects: int
    state: str
    """streaming, reconnecting, ended or lost, at the end."""
    problem: str | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Of many numbers; None where there are none."""

    p50: float | None
    p99: float | None
    largest: float | None


@dataclass(slots=True)
class VideoSummary:
    """The account of one run of fuse_streams."""

    model: str = ""
    live: bool = False
    size: tuple[int, int] | None = None
    """Width and height of the output; a video has a pixel more where one of them is odd."""
    fps: float | None = None
    """Nominal rate of the output."""
    seconds: float = 0.0
    """How long the run took."""
    duration: float = 0.0
    """How long the output plays."""
    pairs: int = 0
    fused: int = 0
    written: int = 0
    failed: int = 0
    repeated: int = 0
    """Pairs for which the last frame of a source was used once more."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Frames and pairs without fault that were not fused, by reason."""
    rate: float = 0.0
    """Fused frames per second of the run."""
    delay_ms: Spread = Spread(None, None, None)
    """From the arrival of a pair to its output, of the latest 10 000."""
    pairing_error_ms: Spread = Spread(None, None, None)
    """Between the two frames of a pair, without sign, of the latest 10 000."""
    server_reconnects: int = 0
    flicker: float | None = None
    """Spread of the change of the frame mean, fused over visible; up to 1.1 is steady."""
    drift_px: float | None = None
    """How far the rig seems to have moved since it was calibrated; None where not to be seen."""
    infrared: SourceSummary | None = None
    visible: SourceSummary | None = None
    outputs: list[str] = field(default_factory=list)
    interrupted: bool = False
    problems: list[str] = field(default_factory=list)
    """Why the work failed, or ended before its time; empty when all went well."""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    def to_text(self) -> str:
        """A few lines for people."""
        dropped = ", ".join(f"{reason} {count}" for reason, count in self.dropped.items())
        lines = [
            f"fused {self.fused} of {self.pairs} pairs in {self.seconds:.1f} s "
            f"({self.rate:.1f} a second) with {self.model}; written {self.written}, "
            f"{self.duration:.2f} s to play",
        ]
        if self.failed or self.repeated or dropped:
            lines.append(
                f"failed {self.failed}, repeated {self.repeated}, dropped: {dropped or 'none'}"
            )
        if self.delay_ms.p50 is not None and self.live:
            lines.append(f"delay p50 {self.delay_ms.p50:.0f} ms, p99 {self.delay_ms.p99:.0f} ms")
        if self.flicker is not None:
            lines.append(f"flicker {self.flicker:.2f} of the visible source")
        if self.drift_px is not None:
            lines.append(f"drift of the rig {self.drift_px:.1f} px")
        lines += [
            f"{source.source}: reconnected {source.reconnects}, corrupt {source.corrupt}, "
            f"of another size {source.wrong_size}"
            for source in (self.infrared, self.visible)
            if source is not None and (source.reconnects or source.corrupt or source.wrong_size)
        ]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [f"-> {output}" for output in self.outputs]
        return "\n".join(lines)

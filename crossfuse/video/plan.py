"""How two opened sources go together: their sizes, how their frames pair, and at what rate."""

from __future__ import annotations

from collections.abc import Sequence

from crossfuse.errors import InvalidInput
from crossfuse.video.frames import SourceInfo
from crossfuse.video.options import VideoOptions
from crossfuse.video.pairing import PairPolicy, PairStream
from crossfuse.video.rig import Rig, RigAligner

# Of a source that does not say.
DEFAULT_FPS = 25.0
# Relative: two cameras of one nominal rate.
SAME_RATE = 1e-3


class Plan:
    """What follows from the infrared and the visible source, in this order, and the options."""

    def __init__(self, infos: Sequence[SourceInfo], options: VideoOptions) -> None:
        self.live = any(info.live for info in infos)
        self.policy = PairPolicy(options.policy or ("drop" if self.live else "wait"))
        self._infos = infos
        self._options = options
        self._rates = [info.fps or DEFAULT_FPS for info in infos]

    @property
    def expected(self) -> int | None:
        """How many pairs there will be at most, where that is known."""
        counts = [info.frames for info in self._infos]
        known = [count for count in counts if count is not None]
        pairs = None
        if len(known) == len(counts) or (known and not self.live):
            pairs = max(known) if self.policy is PairPolicy.REPEAT else min(known)
        most = self._options.max_frames
        return min((count for count in (pairs, most) if count is not None), default=None)

    @property
    def rate(self) -> float:
        """Frames a second of the output."""
        return max(self._rates) if self.policy is PairPolicy.REPEAT else min(self._rates)

    def pair_stream(self, rig: Rig | None) -> PairStream:
        """What makes pairs of the frames."""
        options = self._options
        offset = options.offset_ms
        if offset is None:
            offset = 0.0 if rig is None else rig.time_offset_ms
        tolerance = options.tolerance_ms
        if tolerance is None:
            tolerance = 500 / min(self._rates)
        by_number = self._equal and offset == 0 and options.tolerance_ms is None
        return PairStream(
            policy=self.policy,
            tolerance=round(tolerance * 1000),
            offset=round(offset * 1000),
            max_wait=options.max_wait,
            live=self.live,
            rate=self._rates[0] if by_number else None,
        )

    @property
    def _equal(self) -> bool:
        """Whether these are recordings of equal rate and length."""
        ir, vis = self._infos
        apart = abs(self._rates[0] - self._rates[1])
        return (
            not self.live
            and ir.frames is not None
            and ir.frames == vis.frames
            and apart < SAME_RATE * self._rates[0]
        )

    def check_sizes(self, aligner: RigAligner | None) -> None:
        """Refuse sources that do not fit each other, or their rig."""
        ir, vis = ((info.width, info.height) for info in self._infos)
        if aligner is not None:
            aligner.check_sizes(ir, vis)
        elif ir != vis:
            raise InvalidInput(
                "ir",
                f"{ir[0]}x{ir[1]} while vis is {vis[0]}x{vis[1]}",
                "two sources of the same size, or --rig with the file that "
                "`crossfuse calibrate` writes for the two cameras",
            )
        elif self._options.crop:
            raise InvalidInput("crop", "no rig", "--crop together with --rig")

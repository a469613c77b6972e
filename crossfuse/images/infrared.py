"""Brings infrared of any camera to what models take: 8 bits, hot is white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images.pixels import Pixels

WHITE_HOT: Final = "white-hot"
BLACK_HOT: Final = "black-hot"
POLARITIES: Final = (WHITE_HOT, BLACK_HOT)

_FIELD: Final = "ir_mapping"
_FORMS: Final = (
    "linear:LO:HI with 0 <= LO < HI <= 65535, "
    "percentile:P_LO:P_HI with 0 <= P_LO < P_HI <= 100, or none"
)
_FOLLOW: Final = 0.02
_LEVELS: Final = np.arange(65536, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class LinearMapping:
    """`low` becomes 0 and `high` 255; what lies outside is clipped."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 65535:
            raise InvalidInput(_FIELD, str(self), _FORMS)

    def __str__(self) -> str:
        return f"linear:{self.low}:{self.high}"

    def limits(self, frame: NDArray[np.uint16]) -> tuple[float, float]:
        """Levels that become 0 and 255: the same for every frame."""
        return float(self.low), float(self.high)


@dataclass(frozen=True, slots=True)
class PercentileMapping:
    """The level below which `low` percent of the pixels lie becomes 0, that of `high` 255."""

    low: float = 1.0
    high: float = 99.0

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise InvalidInput(_FIELD, str(self), _FORMS)

    def __str__(self) -> str:
        return f"percentile:{self.low:g}:{self.high:g}"

    def limits(self, frame: NDArray[np.uint16]) -> tuple[float, float]:
        """Levels of this frame that become 0 and 255; equal where the frame is flat."""
        below = np.cumsum(np.bincount(frame.ravel(), minlength=65536))
        ranks = [max(1, math.ceil(frame.size * share / 100)) for share in (self.low, self.high)]
        low, high = np.searchsorted(below, ranks)
        return float(low), float(high)


@dataclass(frozen=True, slots=True)
class NoMapping:
    """Refuses 16-bit frames."""

    def __str__(self) -> str:
        return "none"


IrMapping = LinearMapping | PercentileMapping | NoMapping

DEFAULT_MAPPING: Final = PercentileMapping()


def parse_mapping(text: str, *, field: str = _FIELD) -> IrMapping:
    """The mapping that `linear:LO:HI`, `percentile:P_LO:P_HI` or `none` describes."""
    kind, *numbers = text.split(":")
    try:
        if kind == "linear" and len(numbers) == 2:
            return LinearMapping(int(numbers[0]), int(numbers[1]))
        if kind == "percentile" and len(numbers) == 2:
            return PercentileMapping(float(numbers[0]), float(numbers[1]))
    except (ValueError, InvalidInput):
        raise InvalidInput(field, repr(text), _FORMS) from None
    if text == "none":
        return NoMapping()
    raise InvalidInput(field, repr(text), _FORMS)


def map_infrared(
    frame: Pixels,
    mapping: IrMapping = DEFAULT_MAPPING,
    *,
    polarity: str = WHITE_HOT,
    field: str = "ir",
) -> NDArray[np.uint8]:
    """One infrared picture, uint8 or uint16 HxW, as uint8 HxW with hot white.

    The mapping is for 16-bit frames; 8-bit ones keep their levels. Frames of a stream go through
    one HeldMapping instead, or the picture flickers.
    """
    check_polarity(polarity)
    if frame.dtype == np.uint8:
        return _white_hot(frame.astype(np.uint8, copy=False), polarity)
    wide = frame.astype(np.uint16, copy=False)
    return _white_hot(_apply(wide, _declared(mapping, field).limits(wide)), polarity)


class HeldMapping:
    """Maps the frames of one stream to uint8; its limits follow the scene too slowly to flicker.

    The first frame that is not flat sets the limits (a camera may start behind its shutter).
    Every later one moves them by a fiftieth of the way to its own: at 25 frames a second 63 % of
    a step takes 2 s. Flat frames move nothing.
    """

    def __init__(self, mapping: IrMapping = DEFAULT_MAPPING, *, polarity: str = WHITE_HOT) -> None:
        check_polarity(polarity)
        self._mapping = mapping
        self._polarity = polarity
        self._limits: tuple[float, float] | None = None

    def apply(self, frame: Pixels) -> NDArray[np.uint8]:
        """The next frame of the stream, uint8 or uint16 HxW, as uint8 HxW with hot white."""
        if frame.dtype == np.uint8:
            return _white_hot(frame.astype(np.uint8, copy=False), self._polarity)
        wide = frame.astype(np.uint16, copy=False)
        seen = _declared(self._mapping, "ir").limits(wide)
        if seen[0] < seen[1]:
            low, high = self._limits or seen
            self._limits = low + _FOLLOW * (seen[0] - low), high + _FOLLOW * (seen[1] - high)
        return _white_hot(_apply(wide, self._limits or seen), self._polarity)


def check_polarity(polarity: str) -> None:
    """Refuse a polarity that is neither white-hot nor black-hot."""
    if polarity not in POLARITIES:
        raise UnknownName("polarity", polarity, POLARITIES)


def _declared(mapping: IrMapping, field: str) -> LinearMapping | PercentileMapping:
    if isinstance(mapping, NoMapping):
        raise InvalidInput(
            field, "a 16-bit picture with ir_mapping none", "8 bits, or a mapping: " + _FORMS
        )
    return mapping


def _apply(frame: NDArray[np.uint16], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Stretch the limits to 0 and 255, rounded and clipped; flat limits split at their level."""
    low, high = limits
    scale = 255 / max(high - low, 1.0)
    table = np.clip((_LEVELS - low) * scale + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(table.take(frame), np.uint8)


def _white_hot(frame: NDArray[np.uint8], polarity: str) -> NDArray[np.uint8]:
    return ~frame if polarity == BLACK_HOT else frame

"""Makes one channel of an infrared picture that came with three."""

from __future__ import annotations

from functools import cache
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import ImageError, UnknownName
from crossfuse.images.pixels import Pixels

LUMA: Final = "luma"

# OpenCV's maps whose two ends differ; in cyclic ones (hsv, twilight) cold and hot share a colour.
_COLOUR_MAPS: Final = {
    "autumn": cv2.COLORMAP_AUTUMN,
    "bone": cv2.COLORMAP_BONE,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "cool": cv2.COLORMAP_COOL,
    "hot": cv2.COLORMAP_HOT,
    "inferno": cv2.COLORMAP_INFERNO,
    "jet": cv2.COLORMAP_JET,
    "magma": cv2.COLORMAP_MAGMA,
    "ocean": cv2.COLORMAP_OCEAN,
    "parula": cv2.COLORMAP_PARULA,
    "pink": cv2.COLORMAP_PINK,
    "plasma": cv2.COLORMAP_PLASMA,
    "rainbow": cv2.COLORMAP_RAINBOW,
    "spring": cv2.COLORMAP_SPRING,
    "summer": cv2.COLORMAP_SUMMER,
    "turbo": cv2.COLORMAP_TURBO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "winter": cv2.COLORMAP_WINTER,
}

PALETTES: Final = (LUMA, *_COLOUR_MAPS)
"""Ways to convert a false-colour infrared picture."""

_EQUAL_WITHIN: Final = 2
"""Levels by which equal channels may differ: lossy WebP leaves a difference of 1."""

_TYPICAL_DISTANCE: Final = 32.0
"""A picture with most pixels farther than this from the palette was made with another one."""

_COLOURS_AT_ONCE: Final = 16384
"""Bounds the table of distances to 16 MiB."""


def to_single_channel(image: Pixels, palette: str | None = None, *, field: str = "ir") -> Pixels:
    """HxW of an infrared picture of HxW, or of HxWx3 RGB; the dtype stays.

    Equal channels are one channel, whatever `palette` is. Unequal ones are refused without a
    palette; with one they become the position 0-255 in it, or the brightness for "luma".
    """
    if palette is not None and palette not in PALETTES:
        raise UnknownName("palette", palette, PALETTES)
    if image.ndim == 2:
        return image
    red, green, blue = cv2.split(image)
    spread = max(int(cv2.absdiff(green, other).max()) for other in (red, blue))
    if spread <= _EQUAL_WITHIN:
        return cast(Pixels, green)
    if palette is None:
        raise ImageError(
            field,
            f"a false-colour picture (channels differ by up to {spread})",
            f"one channel, three equal ones, or a palette to convert it: {', '.join(PALETTES)}",
        )
    if palette == LUMA:
        return cast(Pixels, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    if image.dtype != np.uint8:
        raise ImageError(field, f"a 16-bit picture with palette {palette!r}", f"8 bits, or {LUMA}")
    return _position_in_palette(image, palette, field)


@cache
def palette_colours(palette: str) -> NDArray[np.uint8]:
    """The 256 colours of a named palette from cold to hot, 256x3 RGB."""
    ramp = np.arange(256, dtype=np.uint8).reshape(-1, 1)
    painted = cv2.applyColorMap(ramp, _COLOUR_MAPS[palette])
    return np.asarray(cv2.cvtColor(painted, cv2.COLOR_BGR2RGB)[:, 0], np.uint8)


def _position_in_palette(image: Pixels, palette: str, field: str) -> NDArray[np.uint8]:
    """For each pixel the number of the nearest colour of the palette."""
    red, green, blue = (channel.astype(np.uint32) for channel in cv2.split(image))
    distinct, which, counts = np.unique(
        red << 16 | green << 8 | blue, return_inverse=True, return_counts=True
    )
    table = palette_colours(palette).astype(np.float32)
    nearest = np.empty(len(distinct), np.uint8)
    distance = np.empty(len(distinct), np.float32)
    for start in range(0, len(distinct), _COLOURS_AT_ONCE):
        part = slice(start, start + _COLOURS_AT_ONCE)
        codes = distinct[part]
        colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.float32)
        # |c - p|^2 without the |c|^2 that all entries of the palette share.
        to_entries = (table**2).sum(1) - 2 * colours @ table.T
        nearest[part] = to_entries.argmin(1)
        distance[part] = np.sqrt(to_entries.min(1) + (colours**2).sum(1))
    if counts[distance > _TYPICAL_DISTANCE].sum() > counts.sum() / 2:
        raise ImageError(
            field,
            f"colours of which most are not in the palette {palette!r}",
            f"the palette it was made with, of: {', '.join(PALETTES)}",
        )
    return nearest[which].reshape(image.shape[:2])

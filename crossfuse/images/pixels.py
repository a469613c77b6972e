"""What an array of pixels is here, and how large one may be."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import ImageError

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""A picture: HxW grey or HxWx3 RGB, of 8 or 16 bits."""

DEFAULT_MAX_PIXELS: Final = 2**24
"""4096x4096: 48 MiB as 8-bit RGB."""

MAX_FILE_BYTES: Final = 2**27
"""128 MiB: a 16-bit RGB picture of DEFAULT_MAX_PIXELS without compression takes 96 MiB."""


def check_pixels(width: int, height: int, max_pixels: int, field: str) -> None:
    """Refuse a size of zero or over the limit."""
    if width < 1 or height < 1:
        raise ImageError(field, f"a picture of {width}x{height}", "at least 1x1 pixels")
    if width * height > max_pixels:
        raise ImageError(
            field,
            f"a picture of {width}x{height} = {width * height} pixels",
            f"at most {max_pixels} pixels",
        )

"""Turns uint8 pictures into PNG, JPEG or WebP bytes."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput, UnknownName

DEFAULT_QUALITY: Final = 90

_LONGEST_SIDE: Final = {"png": 2**31 - 1, "jpeg": 65500, "webp": 16383}
ENCODINGS: Final = tuple(_LONGEST_SIDE)


def encode(
    image: NDArray[np.uint8], encoding: str = "png", *, quality: int = DEFAULT_QUALITY
) -> bytes:
    """A uint8 picture, HxW grey or HxWx3 RGB, as a file in memory.

    PNG is lossless and ignores `quality` (1 to 100); WebP has no grey and stores it as RGB.
    """
    if encoding not in ENCODINGS:
        raise UnknownName("encoding", encoding, ENCODINGS)
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise InvalidInput(
            "image", f"{image.dtype} of shape {image.shape}", "uint8 of HxW grey or HxWx3 RGB"
        )
    height, width = image.shape[:2]
    if not 1 <= min(width, height) <= max(width, height) <= _LONGEST_SIDE[encoding]:
        raise InvalidInput(
            "image", f"a size of {width}x{height}", f"sides of 1 to {_LONGEST_SIDE[encoding]}"
        )
    if not 1 <= quality <= 100:
        raise InvalidInput("quality", str(quality), "1 to 100")
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(f".{encoding}", stored, _parameters(encoding, quality))
    if not done:
        raise InvalidInput("image", f"{width}x{height}, which {encoding} refused", "another size")
    return data.tobytes()


def _parameters(encoding: str, quality: int) -> list[int]:
    if encoding == "jpeg":
        return [cv2.IMWRITE_JPEG_QUALITY, quality]
    if encoding == "webp":
        return [cv2.IMWRITE_WEBP_QUALITY, quality]
    # OpenCV's own choice for PNG (level 1, run lengths, one filter) is the fast one. Ten MSRS
    # pictures of 480x640, one thread, 2-core CPU: 8.1 ms and 383 KB each; level 3, 18 ms and
    # 363 KB; level 6 over 60 ms and 318 KB. Naming a level would also switch to trying all
    # filters: 13 ms at level 1.
    return []

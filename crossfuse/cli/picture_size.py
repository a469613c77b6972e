"""Sizes of pictures as they are typed: HEIGHTxWIDTH."""

from __future__ import annotations

import re

from crossfuse.errors import InvalidInput

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


def picture_size(text: str, field: str = "--size") -> tuple[int, int]:
    """Height and width of a text such as 480x640."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidInput(field, repr(text), "HEIGHTxWIDTH, such as 480x640")
    return int(match[1]), int(match[2])

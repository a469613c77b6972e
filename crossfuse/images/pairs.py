"""Checks that an infrared and a visible array can be fused."""

from __future__ import annotations

import numpy as np

from crossfuse.errors import InvalidInput
from crossfuse.images.pixels import DEFAULT_MAX_PIXELS, check_pixels


def validate_pair(
    ir: object,
    vis: object,
    *,
    min_size: int = 1,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    same_size: bool = True,
) -> None:
    """InvalidInput unless `ir` is uint8 or uint16 HxW and `vis` uint8 HxWx3 RGB or HxW.

    Both must be at least `min_size` on each side and at most `max_pixels` large. Where an
    alignment brings the infrared picture to the visible one, `same_size` is False.
    """
    ir_size = _check(ir, ("uint8", "uint16"), (2,), "ir")
    vis_size = _check(vis, ("uint8",), (2, 3), "vis")
    for (width, height), field in ((ir_size, "ir"), (vis_size, "vis")):
        if min(width, height) < min_size:
            raise InvalidInput(
                field, f"a picture of {width}x{height}", f"at least {min_size} pixels on each side"
            )
        check_pixels(width, height, max_pixels, field)
    if same_size and ir_size != vis_size:
        raise InvalidInput(
            "ir",
            f"{ir_size[0]}x{ir_size[1]} while vis is {vis_size[0]}x{vis_size[1]}",
            "two pictures of the same size, or an alignment (homography)",
        )


def _check(
    image: object, dtypes: tuple[str, ...], dimensions: tuple[int, ...], field: str
) -> tuple[int, int]:
    """Width and height of an array of the right kind."""
    shapes = "HxW grey" if dimensions == (2,) else "HxWx3 RGB or HxW grey"
    valid = f"a numpy array of {' or '.join(dtypes)}, {shapes}"
    if not isinstance(image, np.ndarray):
        raise InvalidInput(field, f"a {type(image).__name__}", valid)
    if (
        image.dtype not in [np.dtype(name) for name in dtypes]
        or image.ndim not in dimensions
        or image.shape[2:] not in ((), (3,))
    ):
        raise InvalidInput(field, f"{image.dtype} of shape {image.shape}", valid)
    return image.shape[1], image.shape[0]

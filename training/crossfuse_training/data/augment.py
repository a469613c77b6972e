"""Cuts a pair for training: one geometry for all its pictures, then what each sensor does.

Warps come from OpenCV, which the package needs anyway.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse_training.data.augment_config import (
    AugmentConfig,
    InfraredNoise,
    Misalign,
    Photometric,
)
from crossfuse_training.data.pair import Pair
from crossfuse_training.data.sources import Grey

Matrix = NDArray[np.float64]
"""3x3, from a pixel of the cut (x, y, 1) to a place in the picture."""

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True)
class Cut:
    """Cuts of one pair: uint8 HxW, 0..255, of one size."""

    ir: Grey
    """Moved against the others where a misalignment was drawn."""
    luma: Grey
    background: Grey
    aligned_ir: Grey
    """`ir` without misalignment; the same array where none was drawn."""
    teacher: Grey | None


def augment(
    pair: Pair,
    config: AugmentConfig,
    generator: np.random.Generator,
    *,
    height: int | None = None,
    width: int | None = None,
) -> Cut:
    """One cut of `height` x `width` pixels, both `config.crop` where not given.

    Equal pictures stay equal in every bit, misalignment, sensor noise and the changes of levels
    of one modality aside.
    """
    size = (height or config.crop, width or config.crop)
    place = _draw_place(pair, config, generator, size)
    movement = _draw_misalignment(config.misalign, generator, size)
    ir_levels = _draw_levels(config.photometric_ir, generator)
    vis_levels = _draw_levels(config.photometric_vis, generator)
    noise = _draw_noise(config.infrared_noise, generator, size)

    def infrared(matrix: Matrix) -> Grey:
        return _with_noise(_mapped(_warp(pair.ir, matrix, size), ir_levels), noise)

    aligned = infrared(place)
    return Cut(
        ir=aligned if movement is None else infrared(place @ movement),
        luma=_mapped(_warp(pair.luma, place, size), vis_levels),
        background=_mapped(_warp(pair.background, place, size), ir_levels),
        aligned_ir=aligned,
        teacher=None if pair.teacher is None else _warp(pair.teacher, place, size),
    )


def _draw_place(
    pair: Pair, config: AugmentConfig, generator: np.random.Generator, size: tuple[int, int]
) -> Matrix:
    """Where the cut is in the picture: corner, flips, rotation and scale about its middle."""
    if pair.ir.shape[0] < size[0] or pair.ir.shape[1] < size[1]:
        raise InvalidInput(
            "augment.crop", f"{size[0]}x{size[1]}", f"at most the size of {pair.name}"
        )
    top, left = (
        int(generator.integers(whole - part + 1))
        for whole, part in zip(pair.ir.shape, size, strict=True)
    )
    flip_x = -1.0 if generator.random() < config.flip_horizontal else 1.0
    flip_y = -1.0 if generator.random() < config.flip_vertical else 1.0
    angle = math.radians(generator.uniform(-config.rotation, config.rotation))
    scale = 1.0 / (1.0 + generator.uniform(-config.scale, config.scale))
    turned = _turned(angle, scale) @ np.diag([flip_x, flip_y, 1.0])
    return _shift(left, top) @ _about_middle(turned, size)


def _draw_misalignment(
    config: Misalign, generator: np.random.Generator, size: tuple[int, int]
) -> Matrix | None:
    """The movement of the infrared within the cut, or None."""
    if generator.random() >= config.probability:
        return None
    x, y = np.rint(generator.uniform(-config.pixels, config.pixels, 2))
    angle = math.radians(generator.uniform(-config.degrees, config.degrees))
    scale = 1.0 / (1.0 + generator.uniform(-config.scale, config.scale))
    movement = _shift(float(x), float(y)) @ _about_middle(_turned(angle, scale), size)
    if config.corners > 0:
        height, width = size
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        moved = corners + generator.uniform(-config.corners, config.corners, (4, 2))
        movement = movement @ cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return np.asarray(movement, np.float64)


def _draw_levels(config: Photometric, generator: np.random.Generator) -> Grey | None:
    """The new level for each of the 256, or None."""
    if generator.random() >= config.probability:
        return None
    gain = 1.0 + generator.uniform(-config.gain, config.gain)
    offset = generator.uniform(-config.offset, config.offset)
    span = math.log1p(config.gamma)
    gamma = math.exp(generator.uniform(-span, span))
    levels = np.clip(np.arange(256) * gain + offset, 0, 255) / 255
    return np.asarray(np.rint(255 * levels**gamma), np.uint8)


def _draw_noise(
    config: InfraredNoise, generator: np.random.Generator, size: tuple[int, int]
) -> NDArray[np.float32] | None:
    """Noise of height x width in grey levels, or None."""
    if generator.random() >= config.probability:
        return None
    gaussian, stripes = generator.uniform(0, (config.gaussian, config.stripes))
    noise = gaussian * generator.standard_normal(size, dtype=np.float32)
    noise += stripes * generator.standard_normal(size[1], dtype=np.float32)
    return np.asarray(noise, np.float32)


def _warp(image: Grey, matrix: Matrix, size: tuple[int, int]) -> Grey:
    """The cut of `size` (height, width) at `matrix`; beyond the border the picture is mirrored."""
    height, width = size
    border = cv2.BORDER_REFLECT_101
    if np.array_equal(matrix[2], (0, 0, 1)):
        cut = cv2.warpAffine(image, matrix[:2], (width, height), flags=_FLAGS, borderMode=border)
    else:
        cut = cv2.warpPerspective(image, matrix, (width, height), flags=_FLAGS, borderMode=border)
    return np.asarray(cut, np.uint8)


def _mapped(image: Grey, levels: Grey | None) -> Grey:
    return image if levels is None else np.asarray(levels[image], np.uint8)


def _with_noise(image: Grey, noise: NDArray[np.float32] | None) -> Grey:
    return image if noise is None else np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _turned(angle: float, scale: float) -> Matrix:
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float64)


def _about_middle(matrix: Matrix, size: tuple[int, int]) -> Matrix:
    """The same movement with the middle of the cut in place of its corner as the fixed point."""
    x, y = (size[1] - 1) / 2, (size[0] - 1) / 2
    return np.asarray(_shift(x, y) @ matrix @ _shift(-x, -y))

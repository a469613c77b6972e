"""What stands still in the street: trees and hedges made of leaves, lamp posts, a road sign."""

from __future__ import annotations

import math

import cv2
import numpy as np

from crossfuse.synthetic.camera import Floats
from crossfuse.synthetic.canvas import Canvas
from crossfuse.synthetic.lighting import Lamp
from crossfuse.synthetic.sprite import Colour, Sprite

_METAL: Colour = (0.10, 0.11, 0.11)


def stick_sprite(canvas: Canvas, sprite: Sprite) -> None:
    """Make a sprite part of the still scene."""
    rendered = sprite.render()
    if rendered is None:
        return
    box, alpha, albedo, heat = rendered
    solid = np.maximum(alpha, 1e-3)
    canvas.stick_on(box, alpha, sprite.z, albedo / solid[..., None], heat / solid)


def plant(
    canvas: Canvas,
    rng: np.random.Generator,
    at: tuple[float, float, float],
    radii: tuple[float, float],
    leaves: int,
    colour: Colour,
    heat: float,
) -> None:
    """A crown or a bush of single leaves around the point `at`, lighter towards the top."""
    camera = canvas.camera
    column, row = camera.project(*at)
    pixels = camera.focal / at[2]
    reach = (radii[0] * pixels * 1.15 + 2, radii[1] * pixels * 1.15 + 2)
    left, right = max(0, int(column - reach[0])), min(camera.width, int(column + reach[0]) + 1)
    top, bottom = max(0, int(row - reach[1])), min(camera.height, int(row + reach[1]) + 1)
    around = rng.uniform(0, 2 * np.pi, leaves)
    away = np.sqrt(rng.uniform(0, 1, leaves)) * (1 + 0.12 * np.sin(5 * around + rng.uniform(0, 6)))
    dx, dy = away * np.cos(around) * radii[0], away * np.sin(around) * radii[1]
    clump = np.sin(dx * 5.1 + at[0]) * np.sin(dy * 6.3 + at[2])
    light = 0.5 + 0.22 * dy / radii[1] + 0.16 * clump + rng.normal(0, 0.13, leaves)
    length = rng.uniform(0.05, 0.12, leaves) * pixels * 2 + 0.6
    turn = rng.uniform(0, 180, leaves)
    if left >= right or top >= bottom:
        return
    shade = np.zeros((2 * (bottom - top), 2 * (right - left)), np.uint8)
    order = np.argsort(light, kind="stable")
    sixteenths = 16 * np.stack(
        [
            2 * (column - left + pixels * dx),
            2 * (row - top - pixels * dy),
            length,
            0.45 * length,
        ]
    )
    tones = np.clip(255 * light, 25, 255)[order].tolist()
    for (u, v, long, short), angle, tone in zip(
        np.rint(sixteenths).astype(int).T[order].tolist(), turn[order].tolist(), tones, strict=True
    ):
        cv2.ellipse(shade, (u, v), (long, short), angle, 0, 360, (int(tone),), -1, shift=4)
    size = (right - left, bottom - top)
    alpha = cv2.resize((shade > 0) * np.float32(1), size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(shade * np.float32(1 / 255), size, interpolation=cv2.INTER_AREA)
    lightness = (mean / np.maximum(alpha, 1e-3))[..., None]
    canvas.stick_on(
        (slice(top, bottom), slice(left, right)),
        np.asarray(alpha, np.float32),
        at[2],
        np.asarray(np.array(colour, np.float32) * 2.2 * lightness * lightness, np.float32),
        np.asarray(heat + 1.2 * lightness[..., 0], np.float32),
    )


def paint_tree(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, colour: Colour, warmth: float
) -> None:
    """A tree whose trunk starts at (x, z)."""
    trunk = Sprite(canvas.camera, x, z, reach=1.2, height=5.0)
    bark: Colour = (0.09, 0.065, 0.045)
    trunk.limb((0.0, 0.0), 0.20, (0.05, 3.4), 0.13, bark, warmth + 2.0)
    trunk.limb((0.03, 2.2), 0.09, (0.9, 3.7), 0.05, bark, warmth + 1.5)
    trunk.limb((0.04, 2.6), 0.08, (-0.7, 4.0), 0.04, bark, warmth + 1.5)
    stick_sprite(canvas, trunk)
    for _ in range(4):
        at = (x + rng.normal(0, 0.9), 4.4 + rng.normal(0, 0.5), z + rng.uniform(-0.3, 0.3))
        plant(canvas, rng, at, (1.6, 1.15), 420, colour, warmth - 1.5)


def paint_lamp_post(canvas: Canvas, lamp: Lamp, foot_x: float, warmth: float, on: bool) -> None:
    """A post with an arm that holds the lamp; one that is on has a hot head."""
    reach = abs(lamp.x - foot_x) + 0.5
    post = Sprite(canvas.camera, foot_x, lamp.z, reach, lamp.y + 0.5)
    arm = lamp.x - foot_x
    post.limb((0.0, 0.0), 0.09, (0.0, lamp.y), 0.05, _METAL, warmth + 2.5)
    post.limb((0.0, lamp.y), 0.05, (arm, lamp.y + 0.18), 0.04, _METAL, warmth + 2.5)
    side = math.copysign(1.0, arm)
    head = [(arm - 0.35 * side, 0.05), (arm + 0.3 * side, 0.1), (arm + 0.25 * side, 0.25)]
    post.polygon([(x, lamp.y + up) for x, up in head], _METAL, warmth + 4.0)
    post.ellipse((arm, lamp.y + 0.04), (0.26, 0.09), (0.8, 0.8, 0.8), 52.0 if on else warmth + 4.0)
    stick_sprite(canvas, post)


def paint_road_sign(canvas: Canvas, x: float, z: float, warmth: float) -> None:
    """A no-entry sign: plain in the visible picture, a faint disc in infrared."""
    sign = Sprite(canvas.camera, x, z, reach=0.5, height=2.9)
    sign.limb((0.0, 0.0), 0.035, (0.0, 2.2), 0.035, (0.3, 0.3, 0.3), warmth)
    sign.ellipse((0.0, 2.45), (0.36, 0.36), (0.7, 0.7, 0.7), warmth + 0.5)
    sign.ellipse((0.0, 2.45), (0.33, 0.33), (0.62, 0.03, 0.03), warmth + 0.5)
    bar = [(-0.23, 2.38), (0.23, 2.38), (0.23, 2.52), (-0.23, 2.52)]
    sign.polygon(bar, (0.75, 0.75, 0.75), warmth + 0.8)
    stick_sprite(canvas, sign)


def halo(canvas: Canvas, lamp: Lamp) -> Floats:
    """The light a lamp spreads inside the lens: height x width x 3, linear RGB."""
    column, row = canvas.camera.project(lamp.x, lamp.y, lamp.z)
    pixels = canvas.camera.focal / lamp.z
    rows = (np.arange(canvas.camera.height) - row) ** 2 / pixels**2
    columns = (np.arange(canvas.camera.width) - column) ** 2 / pixels**2
    spread = sum(
        strength * np.outer(np.exp(-rows / width), np.exp(-columns / width))
        for strength, width in ((3.0, 0.045), (0.10, 1.0), (0.012, 12.0))
    )
    return np.asarray(np.multiply.outer(spread, lamp.colour), np.float32)

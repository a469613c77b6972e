"""The flat parts of the street: ground, brick wall with windows, fence, and the house at the end.

Each function paints one surface on the canvas. Visible albedo carries fine texture; infrared
(degrees Celsius, about `warmth`) hardly any, as in real recordings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossfuse.synthetic.camera import Floats
from crossfuse.synthetic.canvas import Canvas
from crossfuse.synthetic.lighting import BUILDING_HEIGHT, WALL_X
from crossfuse.synthetic.textures import band, grain, per_cell, stripes

KERB_X = -2.0
ROAD_END_X = 5.0
FENCE_X = 6.4
HOUSE_Z = 36.0


@dataclass(frozen=True)
class Materials:
    """What the seed decides about the surfaces."""

    rough: Floats
    fine: Floats
    brick: Floats
    """Linear RGB albedo, as are the colours below."""
    wood: Floats
    house: Floats
    window_glow: float
    """How bright a lit window is; 0 by day."""
    warmth: float
    """Mean temperature of the ground."""


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    return np.asarray(first + (second - first) * share[:, None], np.float32)


def _grey(value: float) -> Floats:
    return np.full(3, value, np.float32)


def paint_ground(canvas: Canvas, rng: np.random.Generator, stuff: Materials) -> None:
    """Road with marks, kerb and paved walk on the left, grass on the right."""
    eye, focal = canvas.camera.eye, canvas.camera.focal
    depth = eye / np.maximum(canvas.down, 1e-6)
    where = canvas.visible_part(depth, canvas.down > eye / 200.0)
    z, x = depth[where], (canvas.across * depth)[where]
    wide, long = z / focal, z * z / (focal * eye)

    stones = grain(stuff.fine, x, z, 0.02, long) + 0.6 * grain(stuff.rough, x, z, 0.04, long)
    asphalt = _grey(0.16) * (1.0 + 0.22 * stones)[:, None]
    on_road = band(x, KERB_X, ROAD_END_X, wide)
    middle = (KERB_X + ROAD_END_X) / 2
    dashes = band(x, middle - 0.08, middle + 0.08, wide) * stripes(z, 4.0, 2.0, long)
    edge = band(x, ROAD_END_X - 0.35, ROAD_END_X - 0.2, wide)
    crossing_z = 8.6
    bars = stripes(x, 1.0, 0.5, wide) * band(z, crossing_z - 1.3, crossing_z + 1.3, long) * on_road
    worn = np.clip(0.85 + 0.15 * grain(stuff.rough, x, z, 0.05, long), 0.3, 1.0)
    marks = np.maximum(np.maximum(dashes * (np.abs(z - crossing_z) > 2), edge), bars) * worn
    road = _mix(asphalt, _grey(0.62), marks)
    drain = band(x, 0.2, 0.9, wide) * band(z, 11.2, 12.0, long)
    road = _mix(road, _grey(0.05), drain * stripes(x, 0.12, 0.07, wide))

    slab = per_cell(rng, x / 0.5, z / 0.5)
    joints = np.maximum(stripes(x, 0.5, 0.03, wide), stripes(z, 0.5, 0.03, long))
    slabs = _grey(0.3) * (0.75 + 0.4 * slab + 0.1 * stones)[:, None]
    paving = _mix(slabs, _grey(0.09), joints)
    kerb = band(x, KERB_X - 0.18, KERB_X, wide)
    paving = _mix(paving, _grey(0.5) * (1 + 0.08 * stones)[:, None], kerb)

    blades = grain(stuff.fine, x * 2.0, z, 0.03, long) + grain(stuff.rough, x, z, 0.08, long)
    grass = (
        np.array([0.11, 0.19, 0.05], np.float32) * np.clip(1.0 + 0.35 * blades, 0.2, 2.2)[:, None]
    )
    albedo = np.where((x < KERB_X)[:, None], paving, _mix(grass, road, on_road))

    heat = stuff.warmth + 0.35 * grain(stuff.rough, x, z, 0.2, long)
    heat += np.where(x < KERB_X, 0.7, np.where(x > ROAD_END_X, -2.0, 0.0)) + 0.4 * kerb
    heat -= 1.5 * drain + 0.4 * marks
    canvas.paint(where, z, (0, 1, 0), albedo, heat)


def paint_wall(canvas: Canvas, rng: np.random.Generator, stuff: Materials) -> None:
    """The brick building on the left, with rows of windows of which some are lit."""
    eye, focal = canvas.camera.eye, canvas.camera.focal
    depth = WALL_X / np.minimum(canvas.across, -1e-6)
    height = eye - canvas.down * depth
    inside = (depth < 31.0) & (height > 0) & (height < BUILDING_HEIGHT)
    where = canvas.visible_part(depth, inside)
    z, y = depth[where], height[where]
    tall, long = z / focal, z * z / (focal * -WALL_X)

    row = np.floor(y / 0.11)
    shifted = z + 0.15 * np.mod(row, 2)
    tone = per_cell(rng, shifted / 0.3, row)
    dirt = grain(stuff.rough, z, y, 0.06, long)
    bricks = stuff.brick * (0.6 + 0.7 * tone + 0.12 * dirt)[:, None]
    mortar = np.maximum(stripes(y, 0.11, 0.02, tall), stripes(shifted, 0.3, 0.02, long))
    albedo = _mix(bricks, _grey(0.42), 0.8 * mortar)
    heat = stuff.warmth + 2.0 + 0.25 * dirt - 0.3 * tone
    ledge = band(y, 3.3, 3.5, tall)
    albedo = _mix(albedo, _grey(0.45), ledge)
    plinth = band(y, -1.0, 0.5, tall)
    albedo = _mix(albedo, _grey(0.2) * (1 + 0.2 * dirt)[:, None], plinth)

    storey = np.clip(np.floor((y - 0.2) / 3.0), 0, 2)
    bay = np.floor(z / 2.6)
    across, up = z - 2.6 * bay - 1.3, y - 0.2 - 3.0 * storey - 1.6
    frame = band(across, -0.7, 0.7, long) * band(up, -0.85, 0.85, tall)
    glass = band(across, -0.6, 0.6, long) * band(up, -0.75, 0.75, tall)
    bars = np.maximum(band(across, -0.04, 0.04, long), band(up, 0.15, 0.23, tall))
    glass = glass * (1.0 - bars)
    albedo = _mix(_mix(albedo, _grey(0.6), frame), _grey(0.03), glass)
    lit = (per_cell(rng, bay, storey) > 0.62) * glass
    curtain = 0.7 + 0.3 * stripes(across, 0.22, 0.09, long)
    glow = (stuff.window_glow * lit * curtain)[:, None] * np.array([1.0, 0.72, 0.36], np.float32)
    heat += glass * np.where(lit > 0, 3.0, -3.5) + 0.5 * (frame - glass)
    canvas.paint(where, z, (1, 0, 0), albedo, heat, glow)


def paint_fence(canvas: Canvas, rng: np.random.Generator, stuff: Materials) -> None:
    """A wooden fence along the right side."""
    eye, focal = canvas.camera.eye, canvas.camera.focal
    depth = FENCE_X / np.maximum(canvas.across, 1e-6)
    height = eye - canvas.down * depth
    top = 1.55 + 0.05 * np.cos(depth * (2 * np.pi / 0.2))
    where = canvas.visible_part(depth, (depth < HOUSE_Z) & (height > 0) & (height < top))
    z, y = depth[where], height[where]
    tall, long = z / focal, z * z / (focal * FENCE_X)
    tone = per_cell(rng, z / 0.2, np.zeros_like(z))
    veins = grain(stuff.rough, z * 6.0, y, 0.05, long)
    boards = stuff.wood * (0.65 + 0.6 * tone + 0.14 * veins)[:, None]
    albedo = _mix(boards, _grey(0.015), stripes(z - 0.1, 0.2, 0.035, long))
    rails = np.maximum(band(y, 0.35, 0.47, tall), band(y, 1.15, 1.27, tall))
    albedo = _mix(albedo, stuff.wood * np.float32(0.6), 0.5 * rails)
    heat = stuff.warmth - 1.2 + 0.5 * tone
    canvas.paint(where, z, (-1, 0, 0), albedo, heat)


def paint_house(canvas: Canvas, rng: np.random.Generator, stuff: Materials) -> None:
    """The plastered house that closes the street, under a tiled roof."""
    eye, focal = canvas.camera.eye, canvas.camera.focal
    depth = np.full_like(canvas.depth, HOUSE_Z)
    x, height = canvas.across * HOUSE_Z, eye - canvas.down * HOUSE_Z
    roof = 7.2 - 0.45 * np.abs(x - 3.5)
    where = canvas.visible_part(depth, (np.abs(x - 3.5) < 7.0) & (height > 0) & (height < roof))
    x, y = x[where], height[where]
    pixel = np.full_like(x, HOUSE_Z / focal)
    plaster = stuff.house * (1.0 + 0.08 * grain(stuff.rough, x, y, 0.1, pixel))[:, None]
    tiled = band(y, 4.6, 20.0, pixel)
    tiles = (
        np.array([0.2, 0.09, 0.06], np.float32)
        * (0.6 + 0.7 * per_cell(rng, x / 0.4, y / 0.35))[:, None]
    )
    albedo = _mix(plaster, tiles, tiled)
    bay = np.floor(x / 2.0)
    glass = band(x - 2.0 * bay - 1.0, -0.45, 0.45, pixel) * (1.0 - tiled)
    glass *= band(np.mod(y, 2.3), 0.8, 2.0, pixel)
    lit = (per_cell(rng, bay, y / 2.3) > 0.6) * glass
    albedo = _mix(albedo, _grey(0.04), glass)
    glow = (0.6 * stuff.window_glow * lit)[:, None] * np.array([1.0, 0.8, 0.5], np.float32)
    heat = stuff.warmth + 1.0 - 1.5 * tiled + np.where(lit > 0, 2.0, -1.5) * glass
    canvas.paint(where, depth[where], (0, 0, -1), albedo, heat, glow)

"""Where visible light comes from: street lamps at night, the sun by day, the sky always."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossfuse.synthetic.camera import Floats

BUILDING_HEIGHT = 9.0
WALL_X = -4.2
_SOFTNESS = 0.2
"""How far light reaches around an edge; rough things are not black at grazing angles."""


@dataclass(frozen=True)
class Lamp:
    """A street lamp that shines downwards; `colour` is linear RGB, about 1."""

    x: float
    y: float
    z: float
    colour: tuple[float, float, float]
    power: float


@dataclass(frozen=True)
class Lighting:
    """All the light of a scene, in linear RGB."""

    lamps: Sequence[Lamp]
    sky: tuple[float, float, float]
    sun: tuple[float, float, float]
    """Black at night."""
    shadow_edge: float
    """By day the building's shadow reaches from its wall to this x on the ground."""

    def at(self, x: Floats, y: Floats, z: Floats, normal: Floats) -> Floats:
        """Light on points (any shape) of surfaces with this unit normal (shape + 3): shape + 3."""
        light = np.empty((*x.shape, 3), np.float32)
        light[...] = self.sky
        light *= (0.75 + 0.25 * normal[..., 1])[..., None]
        for lamp in self.lamps:
            strength = _lamp_light(lamp, x, y, z, normal)
            light += strength[..., None] * np.array(lamp.colour, np.float32)
        if any(self.sun):
            light += self.sunlight(x, y, normal)[..., None] * np.array(self.sun, np.float32)
        return light

    def sunlight(self, x: Floats, y: Floats, normal: Floats) -> Floats:
        """How much of the sun, 0..1, reaches points of surfaces with this unit normal."""
        slope = (self.shadow_edge - WALL_X) / BUILDING_HEIGHT
        length = np.hypot(slope, 1.0)
        toward = (-slope * normal[..., 0] + normal[..., 1]) / length - 0.35 * normal[..., 2]
        lit = np.clip((x - (self.shadow_edge - y * slope)) / 0.3 + 0.5, 0.0, 1.0)
        return np.asarray(lit * np.clip(toward + _SOFTNESS, 0, None) / (1 + _SOFTNESS), np.float32)


def _lamp_light(lamp: Lamp, x: Floats, y: Floats, z: Floats, normal: Floats) -> Floats:
    dx, dy, dz = lamp.x - x, lamp.y - y, lamp.z - z
    distance = np.sqrt(dx * dx + dy * dy + dz * dz) + np.float32(1e-3)
    toward = (dx * normal[..., 0] + dy * normal[..., 1] + dz * normal[..., 2]) / distance
    facing = np.clip(toward + _SOFTNESS, 0.0, None) / (1.0 + _SOFTNESS)
    beam = np.clip((dy / distance - 0.55) / 0.38, 0.0, 1.0)
    return np.asarray(
        lamp.power * facing * beam * beam * (3 - 2 * beam) / (0.5 + distance * distance),
        dtype=np.float32,
    )

"""The still part of a scene: what each pixel shows, how far away it is, and how warm."""

from __future__ import annotations

import numpy as np

from crossfuse.synthetic.camera import Camera, Floats, Mask
from crossfuse.synthetic.lighting import Lighting


class Canvas:
    """Layers of height x width (colours with 3 linear RGB channels), painted far and near.

    albedo: share of light given back; glow: light of its own; heat: degrees Celsius;
    depth: metres, infinite for the sky; normal: unit vector of the surface.
    """

    def __init__(self, camera: Camera, sky: Floats, sky_heat: Floats) -> None:
        size = (camera.height, camera.width)
        self.camera = camera
        self.across, self.down = camera.rays()
        self.albedo = np.zeros((*size, 3), np.float32)
        self.glow = sky
        self.heat = sky_heat
        self.depth = np.full(size, np.inf, np.float32)
        self.normal = np.zeros((*size, 3), np.float32)

    def visible_part(self, depth: Floats, inside: Mask) -> Mask:
        """Where a surface at `depth`, limited to `inside`, is in front of what is painted."""
        return np.asarray(inside & (depth > 0) & (depth < self.depth))

    def paint(
        self,
        where: Mask,
        depth: Floats,
        normal: tuple[float, float, float],
        albedo: Floats,
        heat: Floats,
        glow: Floats | None = None,
    ) -> None:
        """Cover the pixels of `where`; the arrays hold one row per covered pixel."""
        self.depth[where] = depth
        self.normal[where] = normal
        self.albedo[where] = albedo
        self.heat[where] = heat
        self.glow[where] = 0.0 if glow is None else glow

    def stick_on(
        self, box: tuple[slice, slice], alpha: Floats, z: float, albedo: Floats, heat: Floats
    ) -> None:
        """Blend a flat thing facing the camera at distance `z` into a box of the picture."""
        alpha = alpha * (self.depth[box] > z)
        for layer, value in ((self.albedo, albedo), (self.glow, np.float32(0))):
            layer[box] += alpha[..., None] * (value - layer[box])
        self.heat[box] += alpha * (heat - self.heat[box])
        solid = alpha > 0.5
        self.depth[box][solid] = z
        self.normal[box][solid] = (0.0, 0.35, -0.94)

    def points(self) -> tuple[Floats, Floats, Floats]:
        """x, y and z of what each pixel shows, in metres."""
        z = np.minimum(self.depth, 1000.0)
        return self.across * z, self.camera.eye - self.down * z, z

    def lit(self, lighting: Lighting) -> Floats:
        """The visible picture, linear RGB."""
        light = lighting.at(*self.points(), self.normal)
        return np.asarray(self.albedo * light + self.glow, np.float32)

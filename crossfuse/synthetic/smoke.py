"""A drifting cloud of smoke: it hides what is behind it from the eye, hardly from infrared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from crossfuse.synthetic.camera import Camera, Floats
from crossfuse.synthetic.lighting import Lighting
from crossfuse.synthetic.textures import NOISE_SIZE

_SHARE_IN_INFRARED = 0.05
"""How opaque the smoke is to infrared, relative to its visible opacity."""
_HEAT = 18.0
"""Degrees Celsius."""


@dataclass(frozen=True)
class Smoke:
    """A cloud around (x, z) that rises from the ground; lengths in metres."""

    x: float
    z: float
    width: float
    height: float
    density: float
    drift: float
    """Metres per second to the right."""


class SmokeLayer:
    """The smoke of one scene as one camera sees it, prepared for any moment."""

    def __init__(
        self, smoke: Smoke, camera: Camera, depth: Floats, lighting: Lighting, noise: Floats
    ) -> None:
        self.z = smoke.z
        self._smoke = smoke
        self._noise = noise
        self._metres_per_pixel = smoke.z / camera.focal
        across, down = camera.rays()
        x, y = across * smoke.z, camera.eye - down * smoke.z
        lean = 0.35 * np.maximum(y, 0.0)
        wide = ((x - smoke.x - lean) / (smoke.width * (1.0 + 0.18 * np.maximum(y, 0.0)))) ** 2
        tall = np.where(y > 0.3, (y - 0.3) / smoke.height, (0.3 - y) / 0.9) ** 2
        envelope = np.exp(-1.2 * wide**1.5 - tall) * np.clip((depth - smoke.z) / 3.0 + 0.3, 0, 1)
        thick = envelope * smoke.density > 0.01
        rows, columns = np.flatnonzero(thick.any(axis=1)), np.flatnonzero(thick.any(axis=0))
        self.box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        self._x, self._y = x[self.box].astype(np.float32), y[self.box].astype(np.float32)
        self._envelope = (envelope[self.box] * smoke.density).astype(np.float32)
        upwards = np.zeros((*self._x.shape, 3), np.float32)
        upwards[..., 1] = 1.0
        self._light = 0.42 * lighting.at(
            self._x, np.maximum(self._y, 0.0), np.full_like(self._x, smoke.z), upwards
        )

    def opacity(self, seconds: float) -> Floats:
        """0..1 for each pixel of `box`, in the visible picture."""
        shift = self._smoke.drift * seconds
        big = self._drifting_noise(0.035, shift, 0.4 * seconds)
        small = self._drifting_noise(0.011, 1.6 * shift, 0.7 * seconds)
        puffs = np.clip(1.0 + 0.36 * big + 0.12 * small, 0.3, None)
        return np.asarray(1.0 - np.exp(-self._envelope * puffs), np.float32)

    def _drifting_noise(self, texel: float, right: float, up: float) -> Floats:
        """Noise over `box` with texels of `texel` metres, moved by these metres."""
        step = self._metres_per_pixel / texel
        column = (float(self._x[0, 0]) - right) / texel % NOISE_SIZE
        row = (up - float(self._y[0, 0])) / texel % NOISE_SIZE
        matrix = np.array([[step, 0, column], [0, step, row]], np.float32)
        found = cv2.warpAffine(
            self._noise,
            matrix,
            self._x.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_WRAP,
        )
        return np.asarray(found, np.float32)

    def cover(self, visible: Floats, heat: Floats, seconds: float) -> None:
        """Lay the smoke over the linear RGB picture and the temperatures, in place."""
        alpha = self.opacity(seconds)
        visible[self.box] += alpha[..., None] * (self._light - visible[self.box])
        part = heat[self.box]
        part += _SHARE_IN_INFRARED * alpha * (_HEAT - part)

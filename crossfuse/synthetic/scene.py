"""One synthetic street, seen at any moment by an infrared and a visible camera."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from crossfuse.errors import InvalidInput
from crossfuse.synthetic.camera import Floats
from crossfuse.synthetic.design import design_street
from crossfuse.synthetic.sprite import Sprite

Bytes: TypeAlias = npt.NDArray[np.uint8]

SMALLEST = 16


class Scene:
    """A street with people, a dog, a parked car, smoke and lamps, all decided by `seed`.

    The same seed gives the same street at every size. By night the lamps light parts of it; by
    day the building throws a shadow. What is warm stands mostly in the dark or behind the smoke.
    """

    def __init__(self, seed: int, height: int = 480, width: int = 640, night: bool = True) -> None:
        for field, size in (("height", height), ("width", width)):
            if size < SMALLEST:
                raise InvalidInput(field, str(size), f"{SMALLEST} pixels or more, such as 480")
        if seed < 0:
            raise InvalidInput("seed", str(seed), "0 or more")
        self._seed = seed
        self._street = design_street(seed, height, width, night)

    def frame(self, t: float) -> tuple[Bytes, Bytes]:
        """The pictures at `t` seconds: infrared uint8 HxW and visible uint8 HxWx3 RGB.

        The same `t` gives the same pictures, whatever was drawn before.
        """
        street = self._street
        visible, heat = street.visible.copy(), street.heat.copy()
        smoke_drawn = False
        for body in street.bodies:  # from far to near
            if not smoke_drawn and body.walk.z < street.smoke.z:
                street.smoke.cover(visible, heat, t)
                smoke_drawn = True
            self._place(body.draw(street.camera, t), body.walk.at(t)[0], visible, heat)
        if not smoke_drawn:
            street.smoke.cover(visible, heat, t)
        visible += street.halo
        noise = np.random.default_rng((self._seed, round(t * 1e6) % 2**63))
        infrared = self._expose_infrared(heat, noise)
        seen = self._expose_visible(visible, noise)
        if street.mirrored:
            infrared, seen = infrared[:, ::-1], seen[:, ::-1]
        return np.ascontiguousarray(infrared), np.ascontiguousarray(seen)

    def _place(self, sprite: Sprite, x: float, visible: Floats, heat: Floats) -> None:
        rendered = sprite.render()
        if rendered is None:
            return
        box, alpha, albedo, warmth = rendered
        in_front = self._street.depth[box] > sprite.z - 0.4
        alpha = alpha * in_front
        light = self._street.light_on_body(x, sprite.z)
        visible[box] *= (1.0 - alpha)[..., None]
        visible[box] += albedo * (light * in_front[..., None])
        heat[box] *= 1.0 - alpha
        mottle = cv2.resize(self._street.mottle, alpha.shape[::-1])
        heat[box] += warmth * in_front + alpha * mottle

    def _expose_infrared(self, heat: Floats, noise: np.random.Generator) -> Bytes:
        low, high = self._street.heat_range
        blur = self._street.infrared_blur
        grey: Floats = np.asarray(cv2.GaussianBlur(heat, (0, 0), blur), np.float32)
        grey -= low
        grey *= 255.0 / (high - low)
        grey += self._street.column_noise
        return _quantise(grey, self._street.infrared_noise * _grain(noise, grey))

    def _expose_visible(self, visible: Floats, noise: np.random.Generator) -> Bytes:
        level = np.sqrt(np.clip(visible, 0.0, 1.0, out=visible), out=visible)
        level *= 255.0
        return _quantise(level, (self._street.visible_noise * _grain(noise, level))[..., None])


def _grain(noise: np.random.Generator, picture: Floats) -> Floats:
    return noise.standard_normal(picture.shape[:2], dtype=np.float32)


def _quantise(level: Floats, noise: Floats) -> Bytes:
    level += noise
    level += 0.5
    return np.clip(level, 0.0, 255.0, out=level).astype(np.uint8)

"""Turns a seed into a street: what is where, how it is lit, and the layers that do not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossfuse.synthetic.bodies import Dog, Person, Walk, parked_car
from crossfuse.synthetic.camera import Camera, Floats
from crossfuse.synthetic.canvas import Canvas
from crossfuse.synthetic.lighting import Lamp, Lighting
from crossfuse.synthetic.planting import (
    halo,
    paint_lamp_post,
    paint_road_sign,
    paint_tree,
    plant,
    stick_sprite,
)
from crossfuse.synthetic.smoke import Smoke, SmokeLayer
from crossfuse.synthetic.sprite import Colour
from crossfuse.synthetic.surfaces import (
    FENCE_X,
    HOUSE_Z,
    KERB_X,
    ROAD_END_X,
    Materials,
    paint_fence,
    paint_ground,
    paint_house,
    paint_wall,
)
from crossfuse.synthetic.textures import fractal_noise, sample

_LAMP_COLOURS = ((1.0, 0.74, 0.42), (1.0, 0.86, 0.66), (0.86, 0.94, 1.0))
_BRICKS = ((0.33, 0.15, 0.10), (0.28, 0.18, 0.13), (0.36, 0.24, 0.15))
_WOODS = ((0.22, 0.15, 0.09), (0.16, 0.16, 0.15), (0.13, 0.19, 0.12))
_HOUSES = ((0.45, 0.40, 0.30), (0.38, 0.42, 0.42), (0.46, 0.34, 0.26))
_CARS = ((0.05, 0.08, 0.18), (0.14, 0.03, 0.03), (0.10, 0.10, 0.11), (0.05, 0.11, 0.07))
_CLOTHES = ((0.05, 0.055, 0.07), (0.07, 0.05, 0.04), (0.045, 0.06, 0.045), (0.06, 0.04, 0.06))
_FURS = ((0.16, 0.13, 0.10), (0.12, 0.10, 0.08), (0.13, 0.13, 0.12))
_LEAVES = ((0.10, 0.17, 0.05), (0.13, 0.16, 0.05), (0.08, 0.15, 0.07))


@dataclass(frozen=True)
class Street:
    """Everything a frame is made of; layers are height x width, colours linear RGB."""

    camera: Camera
    lighting: Lighting
    visible: Floats
    heat: Floats
    depth: Floats
    halo: Floats
    bodies: Sequence[Person | Dog]
    """From far to near."""
    smoke: SmokeLayer
    heat_range: tuple[float, float]
    """Degrees Celsius that become black and white."""
    infrared_blur: float
    infrared_noise: float
    """Deviation in grey levels, as is the next."""
    visible_noise: float
    mottle: Floats
    """How the temperature varies over a body: degrees, of any size."""
    mirrored: bool
    column_noise: Floats
    """Grey levels added to each column of the infrared picture."""

    def light_on_body(self, x: float, z: float) -> Floats:
        """The light on something that stands at (x, z), linear RGB."""
        east, up, ahead = (np.array([metres], np.float32) for metres in (x, 0.8, z))
        light = self.lighting.at(east, up, ahead, np.array([[0.0, 1.0, 0.0]], np.float32))
        return np.asarray(0.7 * light[0], np.float32)


def design_street(seed: int, height: int, width: int, night: bool) -> Street:
    """Build the street of this seed."""
    rng = np.random.default_rng(seed)  # no draw but the last may depend on the size
    camera = Camera(height, width)
    rough, fine = fractal_noise(rng, 1.1), fractal_noise(rng, 0.3)
    lamps = _choose_lamps(rng)
    lighting = _choose_light(rng, lamps, night)
    warmth = float(rng.uniform(8.0, 11.0)) if night else float(rng.uniform(17.0, 20.0))
    stuff = Materials(
        rough=rough,
        fine=fine,
        brick=_pick(rng, _BRICKS),
        wood=_pick(rng, _WOODS),
        house=_pick(rng, _HOUSES),
        window_glow=0.55 if night else 0.0,
        warmth=warmth,
    )
    canvas = _paint_sky(camera, stuff, night)
    paint_house(canvas, rng, stuff)
    paint_wall(canvas, rng, stuff)
    paint_fence(canvas, rng, stuff)
    paint_ground(canvas, rng, stuff)
    _plant_all(canvas, rng, warmth)
    for lamp in lamps:
        foot = KERB_X - 0.5 if lamp.x < (KERB_X + ROAD_END_X) / 2 else ROAD_END_X + 0.5
        paint_lamp_post(canvas, lamp, foot, warmth, on=night)
    paint_road_sign(canvas, KERB_X - 1.5, float(rng.uniform(15.0, 16.0)), warmth)
    car_z = float(rng.uniform(13.5, 15.5))
    stick_sprite(canvas, parked_car(camera, ROAD_END_X - 1.05, car_z, _choice(rng, _CARS), warmth))
    smoke = Smoke(
        x=float(rng.uniform(-0.2, 1.2)),
        z=float(rng.uniform(15.5, 17.5)),
        width=float(rng.uniform(1.9, 2.5)),
        height=float(rng.uniform(2.6, 3.4)),
        density=float(rng.uniform(3.2, 4.2)),
        drift=float(rng.uniform(0.2, 0.5)),
    )
    if not night:
        x, y, _ = canvas.points()
        canvas.heat += 5.0 * lighting.sunlight(x, y, canvas.normal)
    return Street(
        camera=camera,
        lighting=lighting,
        visible=canvas.lit(lighting),
        heat=canvas.heat,
        depth=canvas.depth,
        halo=sum((halo(canvas, lamp) for lamp in lamps if night), np.zeros(3, np.float32)),
        bodies=_choose_bodies(rng, smoke),
        smoke=SmokeLayer(smoke, camera, canvas.depth, lighting, rough),
        heat_range=(warmth - 7.0, 39.0),
        infrared_blur=max(0.4, camera.scale),
        infrared_noise=1.1,
        visible_noise=1.5 if night else 0.8,
        mottle=1.1 * (rough[:48, :32] - rough[:48, :32].mean()),
        mirrored=bool(rng.integers(2)),
        column_noise=(0.5 * rng.standard_normal(width)).astype(np.float32),
    )


def _choice(rng: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _pick(rng: np.random.Generator, colours: Sequence[Colour]) -> Floats:
    return np.array(_choice(rng, colours), np.float32)


def _choose_lamps(rng: np.random.Generator) -> list[Lamp]:
    left = Lamp(-1.3, 5.0, float(rng.uniform(12.5, 14.0)), _choice(rng, _LAMP_COLOURS), 42.0)
    right = Lamp(4.6, 5.4, float(rng.uniform(25.0, 28.0)), _choice(rng, _LAMP_COLOURS), 50.0)
    return [left, right]


def _choose_light(rng: np.random.Generator, lamps: list[Lamp], night: bool) -> Lighting:
    edge = float(rng.uniform(2.5, 4.0))
    if night:
        return Lighting(lamps, sky=(0.017, 0.020, 0.027), sun=(0.0, 0.0, 0.0), shadow_edge=edge)
    return Lighting([], sky=(0.20, 0.24, 0.30), sun=(1.5, 1.4, 1.2), shadow_edge=edge)


def _paint_sky(camera: Camera, stuff: Materials, night: bool) -> Canvas:
    across, down = camera.rays()
    up = np.clip(-down / 0.34, 0.0, 1.0)[..., None]
    stretch = 60.0 / (0.06 + np.clip(-down, 0.0, None))
    cloud = np.clip(sample(stuff.rough, across * stretch, stretch) * 0.35 + 0.35, 0.0, 1.0)
    if night:
        colour = _blend((0.016, 0.015, 0.020), (0.002, 0.003, 0.008), up)
        colour = colour * (1.0 + 0.9 * cloud[..., None] * (1 - up))
    else:
        blue = _blend((0.60, 0.70, 0.80), (0.16, 0.34, 0.66), up)
        colour = blue + cloud[..., None] * (0.86 - blue)
    heat = stuff.warmth - 9.0 - 14.0 * up[..., 0] + 3.0 * cloud
    return Canvas(camera, colour.astype(np.float32), heat.astype(np.float32))


def _blend(low: Colour, high: Colour, share: Floats) -> Floats:
    return np.asarray(np.array(low) * (1 - share) + np.array(high) * share, np.float32)


def _plant_all(canvas: Canvas, rng: np.random.Generator, warmth: float) -> None:
    leaves = _choice(rng, _LEAVES)
    z = HOUSE_Z - 3.0
    while z > 12.0:  # a hedge that looks over the fence, from far to near
        at = (FENCE_X + 0.9, float(rng.uniform(1.3, 1.8)), z)
        plant(canvas, rng, at, (1.2, 0.9), 260, leaves, warmth - 2.5)
        z -= 1.7
    for x, z in ((-2.9, 29.0), (FENCE_X + 0.6, 23.0), (FENCE_X + 0.4, float(rng.uniform(14, 17)))):
        paint_tree(canvas, rng, x + float(rng.normal(0, 0.3)), z, leaves, warmth)


def _choose_bodies(rng: np.random.Generator, smoke: Smoke) -> list[Person | Dog]:
    def walk(z: float, centre: float, reach: float, speed: float) -> Walk:
        return Walk(z, centre, reach, speed, start=float(rng.uniform(0.0, 4.0 * reach)))

    def person(route: Walk) -> Person:
        return Person(
            route, float(rng.uniform(0.94, 1.08)), _choice(rng, _CLOTHES), _choice(rng, _CLOTHES)
        )

    bodies: list[Person | Dog] = [
        person(walk(smoke.z + float(rng.uniform(1.0, 2.0)), smoke.x, 0.9, 0.7)),
        person(walk(smoke.z + float(rng.uniform(3.0, 5.0)), smoke.x + 0.4, 1.1, 0.8)),
        person(walk(float(rng.uniform(10.0, 11.0)), 4.4, 0.6, 0.8)),
        person(walk(float(rng.uniform(12.3, 13.0)), -1.6, 1.2, 1.0)),
        Dog(walk(float(rng.uniform(5.35, 5.5)), 0.6, 0.9, 0.7), _choice(rng, _FURS)),
    ]
    return sorted(bodies, key=lambda body: -body.walk.z)

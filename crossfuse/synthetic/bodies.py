"""Warm things: people and dogs that move, and a parked car; bright in infrared, dark in visible."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossfuse.synthetic.camera import Camera
from crossfuse.synthetic.sprite import Colour, Sprite

_FACE = 34.0
_HANDS = 31.0
_CLOTHES = 26.5
_SKIN: Colour = (0.22, 0.14, 0.10)
_HAIR: Colour = (0.03, 0.02, 0.015)
_SHOES: Colour = (0.03, 0.03, 0.03)
_GLASS: Colour = (0.02, 0.025, 0.03)


@dataclass(frozen=True)
class Walk:
    """To and fro across the street at distance `z`; metres and metres per second."""

    z: float
    centre: float
    reach: float
    speed: float
    start: float
    """Metres already gone at time 0."""

    def at(self, seconds: float) -> tuple[float, float, float]:
        """x, the direction of view (1 right, -1 left), and the way gone in metres."""
        gone = self.start + self.speed * seconds
        lap = (gone / self.reach) % 4.0
        offset, side = (lap - 1.0, 1.0) if lap < 2.0 else (3.0 - lap, -1.0)
        return self.centre + self.reach * offset, side, gone


@dataclass(frozen=True)
class Person:
    """Someone walking; the colours are linear RGB albedo."""

    walk: Walk
    size: float
    """1 is 1.75 m tall."""
    jacket: Colour
    trousers: Colour

    def draw(self, camera: Camera, seconds: float) -> Sprite:
        """The figure at this moment."""
        x, side, gone = self.walk.at(seconds)
        sprite = Sprite(camera, x, self.walk.z, 0.7, 1.85, size=self.size, side=side)
        swing = math.sin(gone / self.size * 2 * math.pi / 1.5)
        self._leg(sprite, -swing, 0.8)
        self._arm(sprite, swing, 0.8)
        sprite.limb((0.0, 0.95), 0.135, (0.02, 1.38), 0.165, self.jacket, _CLOTHES)
        sprite.ellipse((0.01, 1.2), (0.10, 0.2), self.jacket, _CLOTHES + 1.5)
        sprite.limb((0.03, 1.46), 0.06, (0.04, 1.56), 0.06, _SKIN, _FACE - 0.5)
        sprite.ellipse((0.02, 1.665), (0.105, 0.125), _HAIR, 28.5)
        sprite.ellipse((0.06, 1.635), (0.075, 0.095), _SKIN, _FACE)
        self._leg(sprite, swing, 1.0)
        self._arm(sprite, -swing, 1.0)
        return sprite

    def _leg(self, sprite: Sprite, swing: float, light: float) -> None:
        cloth = _dimmed(self.trousers, light)
        knee = (0.02 + 0.2 * swing, 0.5 + 0.02 * abs(swing))
        back = max(0.0, -swing)
        ankle = (knee[0] + 0.14 * swing - 0.1 * back, 0.09 + 0.1 * back)
        sprite.limb((0.0, 0.92), 0.105, knee, 0.075, cloth, _CLOTHES - 1.0)
        sprite.limb(knee, 0.075, ankle, 0.05, cloth, _CLOTHES - 2.5)
        toe = (ankle[0] + 0.13, ankle[1] - 0.05)
        sprite.limb((ankle[0], ankle[1] - 0.03), 0.05, toe, 0.035, _SHOES, 20.0)

    def _arm(self, sprite: Sprite, swing: float, light: float) -> None:
        cloth = _dimmed(self.jacket, light)
        elbow = (0.17 * swing, 1.12)
        hand = (elbow[0] + 0.12 * swing + 0.08, 0.9 + 0.05 * abs(swing))
        sprite.limb((0.01, 1.39), 0.07, elbow, 0.055, cloth, _CLOTHES - 0.8)
        sprite.limb(elbow, 0.055, hand, 0.04, cloth, _CLOTHES - 1.2)
        sprite.ellipse(hand, (0.05, 0.055), _SKIN, _HANDS)


@dataclass(frozen=True)
class Dog:
    """A dog on its way."""

    walk: Walk
    fur: Colour

    def draw(self, camera: Camera, seconds: float) -> Sprite:
        """The animal at this moment."""
        x, side, gone = self.walk.at(seconds)
        sprite = Sprite(camera, x, self.walk.z, 0.75, 0.9, size=0.68, side=side)
        swing = math.sin(gone * 2 * math.pi / 0.55)
        wag = 0.06 * math.sin(seconds * 9.0)
        for hip, phase in ((-0.28, -swing), (0.24, swing), (-0.24, swing), (0.28, -swing)):
            paw = (hip + 0.13 * phase, 0.05 + 0.05 * max(0.0, phase))
            sprite.limb((hip, 0.42), 0.075, paw, 0.035, self.fur, 26.0)
        sprite.limb((-0.3, 0.52), 0.125, (0.26, 0.53), 0.15, self.fur, 29.0)
        sprite.limb((-0.4, 0.58), 0.035, (-0.58, 0.75 + wag), 0.02, self.fur, 25.0)
        sprite.limb((0.3, 0.6), 0.1, (0.44, 0.74), 0.075, self.fur, 30.0)
        sprite.ellipse((0.48, 0.77), (0.105, 0.09), self.fur, 31.5)
        sprite.limb((0.52, 0.75), 0.055, (0.66, 0.71), 0.04, self.fur, 33.0)
        sprite.limb((0.42, 0.82), 0.035, (0.38, 0.7), 0.045, self.fur, 29.0)
        sprite.ellipse((0.54, 0.79), (0.02, 0.02), (0.01, 0.01, 0.01), 35.0)
        return sprite


def parked_car(camera: Camera, x: float, z: float, paint: Colour, warmth: float) -> Sprite:
    """The front of a car whose engine has just been switched off; `warmth` is of the ground."""
    car = Sprite(camera, x, z, reach=1.1, height=1.6)
    dark: Colour = (0.015, 0.015, 0.015)
    roof = _dimmed(paint, 0.7)
    for middle in (-0.72, 0.72):
        car.polygon(_box(middle, 0.3, 0.13, 0.3), dark, 30.0)
        car.ellipse((middle, 0.3), (0.09, 0.24), dark, 34.0)
    car.polygon(_box(0.0, 0.27, 0.62, 0.1), dark, 36.0)
    car.polygon(
        [(-0.9, 0.3), (-0.93, 0.75), (-0.8, 0.95), (0.8, 0.95), (0.93, 0.75), (0.9, 0.3)],
        paint,
        warmth + 9.0,
    )
    car.polygon([(-0.78, 0.93), (-0.58, 1.43), (0.58, 1.43), (0.78, 0.93)], roof, warmth + 5.0)
    car.polygon([(-0.68, 0.98), (-0.52, 1.36), (0.52, 1.36), (0.68, 0.98)], _GLASS, warmth - 1.0)
    car.ellipse((0.0, 0.84), (0.72, 0.14), paint, warmth + 16.0)
    car.ellipse((0.0, 0.8), (0.5, 0.1), paint, 33.0)
    car.polygon(_box(0.0, 0.6, 0.36, 0.085), dark, 39.0)
    for height in (0.55, 0.6, 0.65):
        car.polygon(_box(0.0, height, 0.34, 0.008), (0.4, 0.4, 0.4), 36.0)
    car.polygon(_box(0.0, 0.4, 0.26, 0.055), (0.7, 0.7, 0.68), warmth + 10.0)
    for side in (-1.0, 1.0):
        car.ellipse(
            (0.66 * side, 0.68), (0.17, 0.09), (0.45, 0.47, 0.5), warmth + 13.0, -8.0 * side
        )
        car.limb((0.86 * side, 1.0), 0.06, (1.0 * side, 1.02), 0.06, roof, warmth + 4.0)
    return car


def _dimmed(colour: Colour, light: float) -> Colour:
    red, green, blue = colour
    return light * red, light * green, light * blue


def _box(x: float, y: float, half_width: float, half_height: float) -> list[tuple[float, float]]:
    left, right, low, high = x - half_width, x + half_width, y - half_height, y + half_height
    return [(left, low), (right, low), (right, high), (left, high)]

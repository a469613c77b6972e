"""A stream through a model that stretches every frame anew: steady, and anew at a new scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfuse.streaming.brightness import HeldBrightness, look_at

HEIGHT, WIDTH = 96, 128


def scene(seed: int, spot: int = 0) -> tuple[Any, Any]:
    """Smooth sources of one scene; `spot` is the size of something hot in the infrared."""
    noise = np.random.default_rng(seed).integers(40, 160, (6, 8))
    ir = np.kron(noise, np.ones((16, 16))).astype(np.uint8)
    vis = np.repeat(np.roll(ir, 40)[..., None] // 2 + 60, 3, axis=2).astype(np.uint8)
    ir[10 : 10 + spot, 10 : 10 + spot] = 255
    return ir, vis


def minmax(ir: NDArray[np.uint8], vis: NDArray[np.uint8]) -> Any:
    """A model that maps its own least and greatest value to 0 and 255."""
    raw = ir[..., None].astype(np.float64) * 0.5 + vis * 0.5
    return np.round((raw - raw.min()) / (raw.max() - raw.min()) * 255).astype(np.uint8)


def test_a_hot_spot_does_not_darken_everything_else() -> None:
    held = HeldBrightness()
    ir, vis = scene(1)
    first = held.apply(minmax(ir, vis), look_at(ir, vis))
    assert (first == minmax(ir, vis)).all(), "the first frame is as the model makes it"
    hot, vis = scene(1, spot=8)
    stretched = minmax(hot, vis)
    steady = held.apply(stretched, look_at(hot, vis))
    outside = np.s_[32:, 32:]
    before = first[outside].astype(int)
    assert abs(stretched[outside] - before).mean() > 15, "without it the frame flickers"
    assert abs(steady[outside] - before).mean() < 5


def test_flicker_of_a_stream() -> None:
    """The measure of PRODUCT.md 7: how the means of the frames jump, fused against visible."""
    rng = np.random.default_rng(3)
    held = HeldBrightness()
    means: dict[str, list[float]] = {"raw": [], "steady": [], "vis": []}
    for spot in rng.integers(0, 12, 40):
        ir, vis = scene(1, int(spot))
        vis = (vis + rng.integers(-2, 3)).astype(np.uint8)
        fused = minmax(ir, vis)
        means["raw"].append(float(fused.mean()))
        means["steady"].append(float(held.apply(fused, look_at(ir, vis)).mean()))
        means["vis"].append(float(vis.mean()))
    flicker = {name: float(np.std(np.diff(values))) for name, values in means.items()}
    assert flicker["raw"] / flicker["vis"] > 3
    assert flicker["steady"] / flicker["vis"] <= 1.1


def test_a_new_scene_starts_anew() -> None:
    held = HeldBrightness()
    for ir, vis in (scene(1), scene(1, 8)):
        held.apply(minmax(ir, vis), look_at(ir, vis))
    dark = scene(2)[0] // 4, scene(2)[1] // 4
    fused = minmax(*dark)
    assert (held.apply(fused, look_at(*dark)) == fused).all()


def test_a_slow_change_is_followed() -> None:
    held = HeldBrightness(follow=0.2)
    ir, vis = scene(1)
    held.apply(minmax(ir, vis), look_at(ir, vis))
    hot, vis = scene(1, spot=8)
    for _ in range(60):
        steady = held.apply(minmax(hot, vis), look_at(hot, vis))
    assert abs(steady.astype(int) - minmax(hot, vis)).max() <= 1


def test_frames_without_contrast() -> None:
    held = HeldBrightness()
    flat = np.full((HEIGHT, WIDTH), 90, np.uint8), np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for level in (0, 255, 7):
        fused = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
        steady = held.apply(fused, look_at(*flat))
        assert steady.shape == fused.shape
        assert steady.dtype == np.uint8

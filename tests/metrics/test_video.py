"""Steadiness of fused videos, on made-up motion whose answer is known, and on real frames."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.metrics import VideoScorer, average, describe_video, evaluate_video

Grey = NDArray[np.uint8]
Frame = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@pytest.fixture(scope="module")
def texture() -> NDArray[np.float32]:
    """Smooth random texture, larger than a frame."""
    noise = np.random.default_rng(5).normal(0, 1, (160, 240)).astype(np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3))
    return np.asarray(128 + 50 * smooth / smooth.std(), np.float32)


def moving(texture: NDArray[np.float32], count: int, step: int) -> list[Grey]:
    """A camera that moves over the texture by some pixels per frame."""
    crops = [texture[20:116, 20 + n * step : 148 + n * step] for n in range(count)]
    return [np.clip(crop, 0, 255).astype(np.uint8) for crop in crops]


def brighter(frame: Grey, by: float) -> Grey:
    return np.asarray(np.clip(frame + by, 0, 255), np.uint8)


def test_a_video_equal_to_its_sources_is_perfectly_steady(texture: NDArray[np.float32]) -> None:
    frames = moving(texture, 5, 2)
    scores = evaluate_video((frame, frame, frame) for frame in frames)
    assert scores["flicker"] == pytest.approx(1)
    assert scores["frame_difference"] == 0
    # Warped by two whole pixels, but by an estimated flow and between pixels.
    assert scores["flow_warp"] < 1


def test_brightness_that_jumps_shows_in_every_metric(texture: NDArray[np.float32]) -> None:
    frames = moving(texture, 6, 2)
    jumping = [brighter(frame, 12 * (n % 2)) for n, frame in enumerate(frames)]
    steady = evaluate_video((frame, frame, frame) for frame in frames)
    restless = evaluate_video((f, f, j) for f, j in zip(frames, jumping, strict=True))
    assert restless["flicker"] > 5
    assert restless["frame_difference"] > steady["frame_difference"] + 3
    assert restless["flow_warp"] == pytest.approx(12, abs=2)


def test_flicker_is_the_ratio_of_spreads() -> None:
    vis = [np.full((20, 20), level, np.uint8) for level in (100, 104, 100, 104)]
    fused = [np.full((20, 20), level, np.uint8) for level in (90, 102, 90, 102)]
    # Changes of 4, -4, 4 and of 12, -12, 12.
    scores = evaluate_video((v, v, f) for v, f in zip(vis, fused, strict=True))
    assert scores["flicker"] == pytest.approx(3)
    assert scores["frame_difference"] == pytest.approx(8)
    assert scores["flow_warp"] == pytest.approx(12)


def test_a_frozen_video_over_moving_sources_is_not_consistent(
    texture: NDArray[np.float32],
) -> None:
    frames = moving(texture, 3, 3)
    frozen = evaluate_video((frame, frame, frames[0]) for frame in frames)
    change = np.mean([np.abs(b.astype(int) - a) for a, b in pairwise(frames)])
    assert frozen["frame_difference"] == pytest.approx(change)
    assert frozen["flow_warp"] > 5


@pytest.mark.parametrize(
    ("frames", "defined"),
    [
        (1, set()),
        (2, {"frame_difference", "flow_warp"}),
        (3, {"flicker", "frame_difference", "flow_warp"}),
    ],
)
def test_short_videos_leave_metrics_undefined(
    frames: int, defined: set[str], texture: NDArray[np.float32]
) -> None:
    scores = evaluate_video((frame, frame, frame) for frame in moving(texture, frames, 2))
    assert {name for name, value in scores.items() if not np.isnan(value)} == defined


def test_a_visible_video_without_change_leaves_flicker_undefined() -> None:
    still = np.full((20, 20), 7, np.uint8)
    scores = evaluate_video((still, still, still) for _ in range(4))
    assert np.isnan(scores["flicker"])
    assert scores["flow_warp"] == 0


def test_a_visible_video_that_brightens_evenly_leaves_flicker_undefined(
    texture: NDArray[np.float32],
) -> None:
    frame = texture[:33, :47].astype(np.uint8) // 2
    frames = [frame + np.uint8(step) for step in (0, 3, 6, 9)]
    fused = [brighter(frame, step) for step in (0, 5, 6, 20)]
    scores = evaluate_video((v, v, f) for v, f in zip(frames, fused, strict=True))
    assert np.isnan(scores["flicker"])


def test_frames_too_small_for_optical_flow_leave_it_undefined() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 15, 40)).astype(np.uint8)
    scores = evaluate_video((frame, frame, frame) for frame in frames)
    assert np.isnan(scores["flow_warp"])
    assert scores["frame_difference"] == 0


def test_the_smallest_frames_with_optical_flow(texture: NDArray[np.float32]) -> None:
    frames = [frame[:16, :16] for frame in moving(texture, 3, 1)]
    assert np.isfinite(evaluate_video((f, f, f) for f in frames)["flow_warp"])


def test_several_methods_share_the_sources(texture: NDArray[np.float32]) -> None:
    frames = moving(texture, 4, 2)
    scorer = VideoScorer()
    for n, frame in enumerate(frames):
        scorer.update(frame, frame, {"same": frame, "jumping": brighter(frame, 9 * (n % 2))})
    results = scorer.results()
    assert results["same"] == evaluate_video((frame, frame, frame) for frame in frames)
    assert results["jumping"]["flicker"] > results["same"]["flicker"]
    assert [row.name for row in describe_video()] == list(results["same"])


def test_size_and_methods_must_not_change() -> None:
    frame, other = np.zeros((20, 30), np.uint8), np.zeros((20, 31), np.uint8)
    scorer = VideoScorer()
    scorer.update(frame, frame, {"a": frame})
    with pytest.raises(InvalidInput, match="ir: got size 20x31; valid: 20x30"):
        scorer.update(other, other, {"a": other})
    with pytest.raises(InvalidInput, match=r"fused: got methods \['b'\]; valid: \['a'\]"):
        scorer.update(frame, frame, {"b": frame})


def test_a_video_has_frames() -> None:
    with pytest.raises(InvalidInput, match="frames: got none"):
        evaluate_video([])


@pytest.mark.data
def test_stretching_every_frame_makes_a_real_clip_less_steady(data_dir: Path) -> None:
    clip = sorted((data_dir / "m3svd_frames").iterdir())[0]
    plain: list[Frame] = []
    stretched: list[Frame] = []
    for path in sorted((clip / "ir").iterdir())[:6]:
        ir = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        vis = cv2.imread(str(clip / "vis" / path.name), cv2.IMREAD_GRAYSCALE)
        assert ir is not None
        assert vis is not None
        fused = average(ir, vis)
        top = fused.max() - 10 * (len(plain) % 2)
        plain.append((ir, vis, fused))
        stretched.append((ir, vis, np.clip(fused * (255 / top), 0, 255).astype(np.uint8)))
    steady, restless = evaluate_video(plain), evaluate_video(stretched)
    for name in steady:
        assert restless[name] > steady[name]

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import crossfuse
from crossfuse.errors import InvalidInput


@pytest.fixture
def fuser(mean_bundle: Path) -> crossfuse.Fuser:
    return crossfuse.load(mean_bundle, device="cpu", threads=1)


def pair(height: int = 40, width: int = 50) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return (
        random.integers(0, 256, (height, width), dtype=np.uint8),
        random.integers(0, 256, (height, width, 3), dtype=np.uint8),
    )


def test_colour_in_colour_out(fuser: crossfuse.Fuser) -> None:
    ir, vis = pair()
    fused = fuser.fuse(ir, vis)
    expected = np.rint(ir[..., None] * 0.5 + vis * 0.5).astype(np.uint8)
    np.testing.assert_array_equal(fused, expected)


def test_grey_in_grey_out(fuser: crossfuse.Fuser) -> None:
    ir, vis = pair()
    fused = fuser.fuse(ir, vis[..., 0])
    np.testing.assert_array_equal(fused, np.rint(ir * 0.5 + vis[..., 0] * 0.5).astype(np.uint8))


def test_pictures_need_not_be_contiguous(fuser: crossfuse.Fuser) -> None:
    ir, vis = pair()
    flipped = fuser.fuse(ir[::-1], vis[::-1, :, ::-1])
    np.testing.assert_array_equal(flipped, fuser.fuse(ir[::-1].copy(), vis[::-1, :, ::-1].copy()))


def test_sixteen_bits_are_mapped_as_told(fuser: crossfuse.Fuser) -> None:
    ir, vis = pair()
    deep = ir.astype(np.uint16) + 1000
    mapped = fuser.fuse(deep, vis, ir_mapping="linear:1000:1255")
    np.testing.assert_array_equal(mapped, fuser.fuse(ir, vis))
    with pytest.raises(InvalidInput, match="none"):
        fuser.fuse(deep, vis, ir_mapping="none")


def test_black_hot_is_turned_over(fuser: crossfuse.Fuser) -> None:
    ir, vis = pair()
    np.testing.assert_array_equal(
        fuser.fuse(255 - ir, vis, ir_polarity="black-hot"), fuser.fuse(ir, vis)
    )


def test_a_shift_aligns_pictures_of_two_sizes(fuser: crossfuse.Fuser) -> None:
    _, vis = pair(60, 80)
    ir = np.full((40, 50), 200, np.uint8)
    fused = fuser.fuse(ir, vis, homography=[1, 0, 20, 0, 1, 10, 0, 0, 1])
    assert fused.shape == vis.shape
    inside = np.rint(vis[25:40, 35:60] * 0.5 + 100).astype(np.uint8)
    np.testing.assert_array_equal(fused[25:40, 35:60], inside)


@pytest.mark.parametrize(
    ("ir", "vis", "expected"),
    [
        (np.zeros((40, 50), np.uint8), np.zeros((40, 51, 3), np.uint8), "ir: got 50x40 .* 51x40"),
        (np.zeros((40, 50), np.float32), np.zeros((40, 50, 3), np.uint8), "ir: got float32"),
        (np.zeros((40, 50), np.uint8), np.zeros((40, 50, 4), np.uint8), r"vis: .*\(40, 50, 4\)"),
        (np.zeros((40, 50), np.uint8), np.zeros((40, 50, 3), np.uint16), "vis: got uint16"),
        (np.zeros((40, 50, 3), np.uint8), np.zeros((40, 50, 3), np.uint8), r"ir: .*\(40, 50, 3\)"),
        (np.zeros((31, 50), np.uint8), np.zeros((31, 50, 3), np.uint8), "50x31.*at least 32"),
        (np.zeros((0, 50), np.uint8), np.zeros((0, 50, 3), np.uint8), "ir: "),
        ("ir.png", np.zeros((40, 50, 3), np.uint8), "ir: got a str"),
    ],
)
def test_a_wrong_pair_is_refused_by_name(
    fuser: crossfuse.Fuser, ir: np.ndarray, vis: np.ndarray, expected: str
) -> None:
    with pytest.raises(InvalidInput, match=expected):
        fuser.fuse(ir, vis)


def test_it_closes(mean_bundle: Path) -> None:
    with crossfuse.load(mean_bundle, device="cpu") as fuser:
        fuser.fuse(*pair())

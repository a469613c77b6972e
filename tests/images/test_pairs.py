"""Only arrays that can be fused pass; everything else is told what is valid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossfuse.errors import InvalidInput
from crossfuse.images import validate_pair

IR = np.zeros((8, 6), np.uint8)
VIS = np.zeros((8, 6, 3), np.uint8)


@pytest.mark.parametrize("ir", [IR, IR.astype(np.uint16), IR[::-1]])
@pytest.mark.parametrize("vis", [VIS, VIS[..., 0], VIS[..., ::-1]])
def test_valid_pairs(ir: Any, vis: Any) -> None:
    validate_pair(ir, vis)


@pytest.mark.parametrize(
    ("ir", "vis", "said"),
    [
        (None, VIS, "ir: got a NoneType; valid: a numpy array of uint8 or uint16, HxW grey"),
        (IR.tolist(), VIS, "ir: got a list"),
        (VIS, VIS, r"ir: got uint8 of shape \(8, 6, 3\); valid: a numpy array of uint8 or uint16"),
        (IR.astype(np.float32), VIS, r"ir: got float32 of shape \(8, 6\)"),
        (IR.astype(np.int8), VIS, "ir: got int8"),
        (IR.astype(">u2"), VIS, "ir: got >u2"),
        (IR, VIS.astype(np.uint16), "vis: got uint16 .*valid: a numpy array of uint8, HxWx3"),
        (IR, np.zeros((8, 6, 4), np.uint8), r"vis: got uint8 of shape \(8, 6, 4\)"),
        (IR, np.zeros((1, 8, 6, 3), np.uint8), r"vis: got uint8 of shape \(1, 8, 6, 3\)"),
        (IR, np.zeros(8, np.uint8), r"vis: got uint8 of shape \(8,\)"),
        (IR[:0], VIS, "ir: got a picture of 6x0; valid: at least 4 pixels on each side"),
        (IR[:3], VIS[:3], "ir: got a picture of 6x3; valid: at least 4 pixels"),
        (IR, VIS[:, :3], "vis: got a picture of 3x8; valid: at least 4 pixels"),
        (IR, VIS[:7], "ir: got 6x8 while vis is 6x7; valid: two pictures of the same size, or an"),
        (np.zeros((20, 20), np.uint8), VIS, "ir: got .*20x20 = 400 pixels; valid: at most 300"),
    ],
)  # fmt: skip
def test_invalid_pairs(ir: Any, vis: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{said}"):
        validate_pair(ir, vis, min_size=4, max_pixels=300)


def test_empty_arrays_without_a_minimum() -> None:
    with pytest.raises(InvalidInput, match="6x0"):
        validate_pair(IR[:0], VIS[:0], min_size=0)


def test_an_alignment_allows_two_sizes() -> None:
    validate_pair(IR, VIS[:4], same_size=False)

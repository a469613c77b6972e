"""What stands beside a speed: the distance to fp32, and the share of the peak."""

from __future__ import annotations

import json

import numpy as np
import pytest

from crossfuse.arrays import UInt8Array
from crossfuse_bench.quality import distance
from crossfuse_bench.report.cells import quality, remarks


def grey(side: int, value: int) -> UInt8Array:
    """A picture uint8 [side,side,3] of one value but for a corner."""
    picture = np.full((side, side, 3), value, np.uint8)
    picture[0, 0] = 0
    return picture


def test_psnr_is_that_of_its_formula() -> None:
    found = distance([grey(16, 103), grey(16, 100)], [grey(16, 100), grey(16, 100)])
    error = 9 * 255 / 256
    assert found["psnr"] == pytest.approx((10 * np.log10(255**2 / error) + 100) / 2)
    assert quality({"quality": found}).startswith("69.3 dB, SSIM 0.9998")


def test_a_picture_below_the_window_of_ssim_has_none() -> None:
    found = distance([grey(10, 103)], [grey(10, 100)])
    assert found["psnr"] > 30
    assert found["ssim"] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert quality({"quality": found}) == "38.6 dB, no SSIM"


def test_a_share_names_the_peak_it_is_of() -> None:
    # Rows of other threads have another one.
    assert remarks({"gflops": 81.0, "share_of_peak": 0.5}) == "81 GFLOP/s, 50% of a peak of 162"
    assert remarks({"gflops": 0.0, "share_of_peak": 0.0}) == ""

"""What can be read from a chart without touching it."""

from __future__ import annotations

import re

import pytest

from crossfuse_bench.report.plots import Series, line_chart, stacked_bars


@pytest.mark.parametrize(("low", "high"), [(11.0, 38.0), (17.0, 19.0), (0.01, 9.0), (5.0, 5.0)])
def test_an_axis_has_numbers_enough_to_be_read(low: float, high: float) -> None:
    chart = line_chart("", "ms", "%", [Series("m", [(low, 0), (high, 100)])], log=True)
    across = re.findall(r'text-anchor="middle">([\d.]+)</text>', chart)
    assert len(across) >= 3
    # Within the range that is shown, which is a decade around a single value.
    shown = (low, high) if low < high else (low / 4, low * 4)
    assert all(shown[0] <= float(mark) <= shown[1] for mark in across)


def test_a_bar_tells_its_sum() -> None:
    parts = [("decode", 1.0), ("infer", 11.5)]
    chart = stacked_bars("", [("closed, 1 caller", parts), ("closed, 8 callers", [("a", 100.0)])])
    assert ">12.5 ms</text>" in chart
    assert ">100 ms</text>" in chart

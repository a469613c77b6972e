"""What is drawn, looked up in the pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossfuse_training.charts import (
    Bar,
    BarPanel,
    HeatCell,
    Line,
    LinePanel,
    draw_bars,
    draw_heat_map,
    draw_lines,
)
from crossfuse_training.charts.canvas import SERIES, Canvas, shortened
from crossfuse_training.charts.scale import Scale, padded

BLUE, ORANGE = SERIES[0], SERIES[1]


def pixels(png: bytes) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded[..., ::-1], np.uint8)


def where(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((picture == colour).all(axis=-1))


def test_bars_are_as_long_as_their_values() -> None:
    bars = [Bar(0.4, None, "better"), Bar(-0.2, None, "worse"), Bar(None, None, "not shown")]
    picture = pixels(draw_bars("t", ["a", "b", "c"], [BarPanel("m", bars, None)]))
    better, worse = (where(picture, colour).any(axis=0) for colour in (BLUE, ORANGE))
    assert better.sum() == pytest.approx(2 * worse.sum(), abs=3)
    # One begins where the other ends.
    assert np.flatnonzero(worse).max() < np.flatnonzero(better).min()


def test_curves_end_where_their_values_do() -> None:
    lines = [Line("a", [0, 100], [1.0, 3.0]), Line("b", [0, 50], [3.0, 3.0]), Line("c", [], [])]
    picture = pixels(draw_lines("t", [LinePanel("loss", lines)]))
    below_legend = picture[70:]
    a, b = (where(below_legend, colour) for colour in (BLUE, ORANGE))
    end_of_a, end_of_b = (np.flatnonzero(each.any(axis=0)).max() for each in (a, b))
    start = np.flatnonzero(b.any(axis=0)).min()
    assert end_of_a - start == pytest.approx(2 * (end_of_b - start), abs=12)


def test_a_panel_without_points_is_drawn() -> None:
    assert pixels(draw_lines("t", [LinePanel("loss", [Line("a", [], [])])])).shape[1] == 1000


def test_heat_follows_the_strength() -> None:
    cells = [HeatCell("", strength) for strength in (1.0, 0.5, 0.0, -0.5, -1.0, None)]
    picture = pixels(draw_heat_map("t", "l", list("abcdef"), [("row", cells)]))
    middle = picture[86, 260::120][:6].astype(int)
    blue_over_red = (middle[:, 2] - middle[:, 0]).tolist()
    assert blue_over_red == [*sorted(blue_over_red[:5], reverse=True), 0]
    assert blue_over_red[2] == 0
    assert blue_over_red[0] > 60
    assert blue_over_red[4] < -60


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5),
    st.integers(2, 9),
)
def test_scales_hold_their_values_and_ticks(values: list[float], count: int) -> None:
    scale = Scale(*padded(values), 10, 200)
    assert all(10 <= scale.place(value) <= 200 for value in values)
    ticks = scale.ticks(count)
    assert len(ticks) <= count + 1
    assert all(10 - 1e-3 <= scale.place(tick) <= 200 + 1e-3 for tick in ticks)


def test_names_keep_both_ends() -> None:
    name = "exp_029_s1234_r8_is1_mb1_seed2"
    short = shortened(name, 20)
    assert len(short) == 20
    assert short.startswith("exp_029_s")
    assert short.endswith("mb1_seed2")
    assert shortened(name, 30) == name


def test_text_that_the_font_lacks_is_drawn_as_question_marks() -> None:
    drawn = []
    for text in ("a?b", "aßb"):
        canvas = Canvas(40, 200)
        canvas.text((10, 20), text)
        drawn.append(canvas.png())
    assert drawn[0] == drawn[1]

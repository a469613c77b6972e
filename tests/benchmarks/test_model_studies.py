"""The studies of shipped models: what they measure, on scenes whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse import synthetic
from crossfuse.images import encode, write_file
from crossfuse_bench import contrast_study, misalignment
from crossfuse_bench.held_out_pairs import STEMS, HeldOutPair, held_out_pairs
from crossfuse_bench.misalignment import REACH, Losses, measure, moved_by, shift_of

CHECKPOINT = Path("models/crossfuse-rt/checkpoint")
IR, VIS = synthetic.pair(3, 120, 160)
PAIR = HeldOutPair(IR, VIS[..., 1].copy())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three sets of small scenes, of which one each is held out."""
    for name, held in STEMS.items():
        for number in range(1 if held == slice(None) else 10):
            ir, vis = synthetic.pair(number, 48, 64)
            for kind, picture in (("ir", ir), ("vis", vis)):
                path = tmp_path / name / kind / f"{number:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_file(path, encode(picture, "png"))
    return tmp_path


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_a_shift_that_is_put_on_top_is_found(across: int, down: int) -> None:
    before = np.array(shift_of(PAIR.ir, PAIR.luma))
    after = np.array(shift_of(moved_by(PAIR.ir, across, down), PAIR.luma))
    assert np.abs(before).max() < REACH
    assert np.abs(after - before - (across, down)).max() <= 1


def test_what_ignores_the_infrared_loses_nothing() -> None:
    found = measure([PAIR], {"visible": lambda ir, vis: vis, "infrared": lambda ir, vis: ir}, 4)
    lost = {name: losses.row()[5] for name, losses in found.items()}
    assert lost["visible"] == 0
    assert lost["infrared"] > 0.05
    assert len(found["infrared"].moved) == 4


def test_a_row_is_aligned_moved_and_lost_of_each_metric() -> None:
    assert Losses([[1.5, 0.6]], [[1.0, 0.5], [1.2, 0.3]]).row() == pytest.approx(
        [1.5, 1.1, 0.4, 0.6, 0.4, 0.2]
    )


def test_ranks_are_beside_the_simple_rules() -> None:
    names = ["mine, 1", "average", "maximum", "laplacian_pyramid"]
    means = {name: [float(9 - place)] * 9 for place, name in enumerate(names)}
    assert contrast_study.ranked(means, "mine, 1") == {
        name: pytest.approx(place) for place, name in enumerate(names, 1)
    }


def test_every_tenth_stem_is_held_out(data: Path) -> None:
    (pair,) = held_out_pairs(data, "msrs")
    assert np.array_equal(pair.ir, synthetic.pair(9, 48, 64)[0])


def test_the_study_of_contrast_writes_its_report(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "contrast.md"
    contrast_study.main(
        ["--data", str(data), "--checkpoint", f"rt={CHECKPOINT}", "--share", "0", "1",
         "-o", str(output)]
    )  # fmt: skip
    text = output.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {name}" for name in STEMS
    ]
    assert text.count("| rt, 0 |") == text.count("| rt, 1 |") == len(STEMS)
    plain, raised = (
        next(line for line in text.splitlines() if line.startswith(f"| rt, {share} |"))
        for share in (0, 1)
    )
    spatial_frequency = 1 + 1 + contrast_study.METRICS.index("SF")
    assert float(raised.split("|")[spatial_frequency]) > float(plain.split("|")[spatial_frequency])


def test_the_study_of_misalignment_writes_its_report(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "misalignment.md"
    misalignment.main(
        ["--data", str(data), "--checkpoint", f"rt={CHECKPOINT}", "--pixels", "3",
         "-o", str(output)]
    )  # fmt: skip
    text = output.read_text()
    assert text.startswith("# Infrared that lies 3 pixels off")
    assert text.count("| rt |") == text.count("moved back by what the edges say") == 2

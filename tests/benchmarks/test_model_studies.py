"""The studies of shipped models: what they measure, on scenes whose answers are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse import synthetic
from crossfuse.images import encode, write_file
from crossfuse_bench import (
    contrast_study,
    failure_pictures,
    frame_by_frame,
    misalignment,
    shipped_models,
)
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


def write_clips(folder: Path, levels: Mapping[str, Sequence[int]]) -> list[str]:
    """Lossless clips of even frames, and the options that name them."""
    options = []
    for kind, means in levels.items():
        path = folder / f"{kind}.avi"
        clip = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (64, 48))
        for mean in means:
            clip.write(np.full((48, 64, 3), mean, np.uint8))
        clip.release()
        options += [f"--{kind}", str(path)]
    return options


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


def test_the_report_of_the_shipped_models_ranks_and_compares_them(
    data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "shipped.md"
    shipped_models.main(["--data", str(data), "-o", str(output)])
    text = output.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {name}, 1 pairs" for name in STEMS
    ]
    for model in (shipped_models.TEACHER, shipped_models.STUDENT):
        assert text.count(f"| {model} |") == len(STEMS)
        (scores, *_) = (row for row in text.splitlines() if row.startswith(f"| {model} |"))
        assert len(scores.split("|")) == 1 + 1 + len(contrast_study.METRICS) + 1 + 1
        assert text.count(f": {model} ") == len(STEMS), "a mean rank of its own in each set"
    ratios = re.findall(r"PSNR of crossfuse-rt against crossfuse-base: ([\d.]+) dB", text)
    assert len(ratios) == len(STEMS)
    assert all(float(ratio) > 20 for ratio in ratios)


def test_shares_and_psnr_are_of_the_student_against_the_teacher() -> None:
    dark = np.full((48, 64), 100, np.uint8)
    found = shipped_models.Found(
        {name: [[2.0] * 9] for name in ("average", "maximum", "laplacian_pyramid")}
        | {shipped_models.TEACHER: [[4.0] * 9], shipped_models.STUDENT: [[4.0] * 8 + [3.0]]},
        {shipped_models.TEACHER: [dark], shipped_models.STUDENT: [dark + 10]},
    )
    text = "\n".join(shipped_models.report(found))
    assert "at least 0.750 of what crossfuse-base has: in SSIM, corrected" in text
    assert f"{20 * np.log10(25.5):.1f} dB" in text
    assert "crossfuse-base 1.000, average 3.000, maximum 3.000" in text


def test_a_model_flickers_as_its_share_of_the_infrared(
    tmp_path: Path, write_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    levels = {"ir": (40, 80, 40, 80, 60, 40), "vis": (100, 104, 96, 104, 100, 96)}
    clips = write_clips(tmp_path, levels)
    changes = {kind: np.diff(means).std() for kind, means in levels.items()}
    for share, expected in ((0.0, 1.0), (1.0, changes["ir"] / changes["vis"])):
        bundle = write_bundle(tmp_path / f"{share:g}", share=share)
        frame_by_frame.main([*clips, "--model", str(bundle)])
        said = capsys.readouterr().out
        assert "6 frames fused one by one" in said
        assert float(said.split()[-1]) == pytest.approx(expected, abs=0.02)


def test_a_clip_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gone\.mp4: got no clip"):
        next(frame_by_frame.frames(tmp_path / "gone.mp4"))


def test_a_frame_is_shown_beside_what_both_models_make_of_it(tmp_path: Path) -> None:
    clips = write_clips(tmp_path, {"ir": (20, 60, 100), "vis": (100, 140, 180)})
    output = tmp_path / "out.jpg"
    failure_pictures.main([*clips, "--frame", "1", "-o", str(output)])
    shown = cv2.imread(str(output))
    assert shown is not None
    assert shown.shape == (2 * 48 + 8, 2 * 64 + 8, 3)
    assert abs(shown[:40, :56].mean() - 140) < 2, "visible, frame 1"
    assert abs(shown[:40, 72:].mean() - 60) < 2, "infrared, frame 1"
    with pytest.raises(SystemExit):
        failure_pictures.main([*clips, "--frame", "3", "-o", str(output)])

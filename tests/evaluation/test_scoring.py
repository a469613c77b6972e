"""What is scored, what is listed as a problem, and what the CSV file says."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.errors import ImageError, InvalidInput, OutputError
from crossfuse.evaluation import Evaluation, Method, SceneReader, evaluate
from crossfuse.images import read_infrared, read_visible
from crossfuse.metrics import BASELINES, describe, evaluate_pair

Methods = Callable[..., list[Method]]
Readers = Callable[[Path], SceneReader]


def rows_of(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "per_image.csv").open(newline="") as file:
        return {(row["method"], row["image"]): row for row in csv.DictReader(file)}


def problems_of(evaluation: Evaluation) -> list[tuple[str, str | None, bool]]:
    return [(each.image, each.method, each.scored) for each in evaluation.problems]


@pytest.mark.parametrize("profile", ["cddfuse", "corrected"])
def test_the_csv_file_has_what_the_metrics_say(
    pictures: Path, reader: SceneReader, methods_of: Methods, profile: str
) -> None:
    steps: list[tuple[int, int]] = []
    evaluation = evaluate(
        reader,
        methods_of(pictures, "first", "second"),
        pictures,
        profile=profile,
        workers=1,
        progress=lambda *step: steps.append(step),
    )
    assert evaluation.problems == []
    assert steps == [(1, 3), (2, 3), (3, 3)]
    rows = rows_of(pictures)
    assert set(rows) == {(m, i) for m in ("first", "second", *BASELINES) for i in "abc"}
    names = [metric.name for metric in describe(profile)]
    assert names[:9] == ["EN", "SD", "SF", "AG", "MI", "SCD", "VIF", "Qabf", "SSIM"]
    assert list(rows["first", "a"]) == ["method", "image", *names]
    for stem in "abc":
        ir, vis = (
            read_infrared(pictures / f"ir/{stem}.png"),
            read_visible(pictures / f"vis/{stem}.png"),
        )
        fused = read_visible(pictures / f"second/{stem}.png")
        for name, value in evaluate_pair(ir, vis, fused, profile).items():
            text = rows["second", stem][name]
            assert text == ("" if np.isnan(value) else repr(value)), name
        maximum = evaluate_pair(ir, vis, BASELINES["maximum"](ir, vis), profile)
        assert float(rows["maximum", stem]["Qabf"]) == maximum["Qabf"]
    # These pictures are too small for five scales.
    assert {row["MS_SSIM"] for row in rows.values()} == {""}
    cell = evaluation.standings.methods[0].cells["MS_SSIM"]
    assert (cell.mean, cell.defined, cell.undefined, cell.rank) == (None, 0, 3, None)
    assert ("a", "first", ["VIF", "MS_SSIM"]) in evaluation.table.undefined()


def test_every_picture_that_cannot_be_scored_is_listed(
    pictures: Path, reader_of: Readers, methods_of: Methods
) -> None:
    (pictures / "first/a.png").unlink()
    (pictures / "second/b.png").write_text("no picture")
    cv2.imwrite(str(pictures / "second/c.png"), np.zeros((5, 6), np.uint8))
    cv2.imwrite(str(pictures / "vis/only.png"), np.zeros((5, 6), np.uint8))
    cv2.imwrite(str(pictures / "first/extra.png"), np.zeros((5, 6), np.uint8))
    cv2.imwrite(str(pictures / "ir/size.png"), np.eye(9, dtype=np.uint8))
    cv2.imwrite(str(pictures / "vis/size.png"), np.eye(8, dtype=np.uint8))
    evaluation = evaluate(
        reader_of(pictures), methods_of(pictures, "first", "second"), pictures, workers=1
    )
    assert problems_of(evaluation) == [
        ("a", "first", False),
        ("b", "second", False),
        ("c", "second", False),
        ("c", "second", False),
        ("extra", None, False),
        ("only", None, False),
        ("size", None, False),
    ]
    reasons = [each.reason for each in evaluation.problems]
    assert "no picture a.* in" in reasons[0]
    assert "second/b.png: got" in reasons[1]
    assert "fused: got a constant picture" in reasons[2]
    assert "fused: got size 5x6; valid: 40x48" in reasons[3]
    assert "--ir: got no picture extra.*" in reasons[4]
    assert "--ir: got no picture only.*" in reasons[5]
    assert "vis: got size 8x8; valid: 9x9" in reasons[6]
    rows = rows_of(pictures)
    assert ("first", "a") not in rows
    assert ("average", "a") in rows
    assert {image for _, image in rows} == {"a", "b", "c"}
    counts = [(each.scored, each.failed) for each in evaluation.standings.methods]
    assert counts == [(2, 4), (1, 5), (3, 3), (3, 3), (3, 3)]
    # Only c remains on which `first` and the baselines, and a on which `second`, can be compared.
    assert evaluation.standings.ranked_pictures["EN"] == 0


@pytest.mark.parametrize("kind", ["ir", "vis", "first"])
def test_a_constant_picture_is_scored_where_that_is_defined_and_listed(
    pictures: Path, reader: SceneReader, methods_of: Methods, kind: str
) -> None:
    cv2.imwrite(str(pictures / kind / "b.png"), np.full((40, 48), 7, np.uint8))
    evaluation = evaluate(reader, methods_of(pictures, "first"), pictures, workers=1)
    assert problems_of(evaluation) == [("b", "first" if kind == "first" else None, True)]
    assert "a constant picture (every pixel is 7)" in evaluation.problems[0].reason
    row = rows_of(pictures)["first", "b"]
    assert row["CC"] == ""
    assert float(row["EN"]) == 0 if kind == "first" else float(row["EN"]) > 0
    for standing in evaluation.standings.methods:
        for cell in standing.cells.values():
            assert cell.mean is None or np.isfinite(cell.mean)
            assert cell.defined + cell.undefined == 3


def test_a_mean_is_over_the_pictures_on_which_a_metric_is_defined(
    pictures: Path, reader: SceneReader, methods_of: Methods
) -> None:
    cv2.imwrite(str(pictures / "first/b.png"), np.full((40, 48), 7, np.uint8))
    evaluation = evaluate(reader, methods_of(pictures, "first", "second"), pictures, workers=1)
    rows = rows_of(pictures)
    cell = evaluation.standings.methods[0].cells["CC"]
    expected = [float(rows["first", image]["CC"]) for image in "ac"]
    assert (cell.defined, cell.undefined) == (2, 1)
    assert cell.mean == pytest.approx(np.mean(expected))
    # Ranks compare the same pictures for all.
    assert evaluation.standings.ranked_pictures["CC"] == 2
    assert evaluation.standings.ranked_pictures["EN"] == 3


def test_methods_that_a_report_cannot_tell_apart_are_refused(
    pictures: Path, reader: SceneReader, methods_of: Methods
) -> None:
    with pytest.raises(InvalidInput, match=r"method name: got 'first' for .* and for"):
        evaluate(reader, methods_of(pictures, "first", "first"), pictures)
    (pictures / "first").rename(pictures / "average")
    with pytest.raises(InvalidInput, match="every report has that row already"):
        evaluate(reader, methods_of(pictures, "average"), pictures)


def test_a_method_that_fails_on_a_picture_fails_there_alone(
    pictures: Path, reader: SceneReader
) -> None:
    def fuse(scene: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        raise ImageError("server", "a fault", "none")

    evaluation = evaluate(reader, [Method("mine", "model", "here", fuse)], pictures, workers=1)
    assert problems_of(evaluation) == [(image, "mine", False) for image in "abc"]
    mine, *baselines = evaluation.standings.methods
    assert (mine.scored, mine.failed, mine.mean_rank) == (0, 3, None)
    assert None not in [each.cells["EN"].rank for each in baselines]
    assert all(each.p is None and each.better is None for each in evaluation.standings.comparisons)


def test_no_half_written_file_is_left(
    pictures: Path, reader: SceneReader, methods_of: Methods, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pictures / "out").mkdir()
    (pictures / "out/per_image.csv").write_text("from before")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(
            reader, methods_of(pictures, "first"), pictures / "out", workers=1, progress=interrupt
        )
    assert [path.name for path in (pictures / "out").iterdir()] == ["per_image.csv"]
    assert (pictures / "out/per_image.csv").read_text() == "from before"
    with pytest.raises(OutputError, match=r"per_image\.csv: could not be written"):
        evaluate(reader, methods_of(pictures, "first"), pictures / "nowhere", workers=1)

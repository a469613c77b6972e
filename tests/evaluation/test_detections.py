"""mAP through pycocotools, and COCO files that are not what they should be."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from crossfuse.errors import InvalidInput, MissingDependency
from crossfuse.evaluation import DetectionScore, score_detections

BOXES = [[10, 10, 40, 60], [100, 20, 80, 80], [5, 5, 100, 50]]


@pytest.fixture
def truth() -> dict[str, Any]:
    """Three boxes on two images, without the fields that users leave out."""
    return {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": BOXES[0]},
            {"image_id": 1, "category_id": 2, "bbox": BOXES[1]},
            {"image_id": 2, "category_id": 1, "bbox": BOXES[2]},
        ],
    }


def found(truth: dict[str, Any], shift: float = 0, score: float = 0.9) -> list[dict[str, Any]]:
    """Every box of the ground truth, moved to the right."""
    return [
        {**entry, "bbox": [entry["bbox"][0] + shift, *entry["bbox"][1:]], "score": score}
        for entry in truth["annotations"]
    ]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def score(folder: Path, truth: Any, detections: Any) -> DetectionScore:
    truth_file = write(folder / "truth.json", truth)
    files = [("ours", write(folder / "found.json", detections))]
    (result,) = score_detections(truth_file, files)
    return result


def test_every_box_found(
    tmp_path: Path, truth: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    result = score(tmp_path, truth, found(truth))
    assert (result.name, result.detections) == ("ours", 3)
    assert (result.map, result.map50, result.map75) == pytest.approx((1, 1, 1))
    assert capsys.readouterr().out == ""


def test_boxes_beside_the_mark(tmp_path: Path, truth: dict[str, Any]) -> None:
    # Moved by a tenth of 100 pixels, two boxes overlap less than 0.85 and one by 9/11 as well.
    result = score(tmp_path, truth, found(truth, shift=10))
    overlaps = [(width - 10) / (width + 10) for width in (40, 80, 100)]
    assert overlaps == pytest.approx([0.6, 0.778, 0.818], abs=1e-3)
    assert result.map50 == pytest.approx(1)
    assert result.map75 is not None
    assert result.map75 < 1
    assert result.map is not None
    assert 0.4 < result.map < result.map75


def test_nothing_found_and_nothing_to_find(tmp_path: Path, truth: dict[str, Any]) -> None:
    nothing = score(tmp_path, truth, [])
    assert (nothing.map, nothing.map50, nothing.map75, nothing.detections) == (0, 0, 0, 0)
    empty = score(tmp_path, {**truth, "annotations": []}, found(truth))
    assert (empty.map, empty.map50, empty.map75) == (None, None, None)


def test_methods_do_not_disturb_each_other(tmp_path: Path, truth: dict[str, Any]) -> None:
    truth_file = write(tmp_path / "truth.json", truth)
    good = write(tmp_path / "good.json", found(truth))
    bad = write(tmp_path / "bad.json", found(truth, shift=30))
    results = score_detections(truth_file, [("a", good), ("b", bad), ("c", good)])
    assert [result.map50 == pytest.approx(1) for result in results] == [True, False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": None}, "a JSON object|a JSON dict"),
        ({"images": [{"id": "x"}]}, "images without id"),
        ({"annotations": [{"bbox": [1, 2, 3]}]}, r"annotations\[0\]: got bbox \[1, 2, 3\]"),
        (
            {"annotations": [{"bbox": [1, 2, 3, 4], "image_id": 9, "category_id": 1}]},
            "image_id 9; valid: one of the ground truth's",
        ),
    ],
)
def test_ground_truth_that_breaks_the_rules(
    tmp_path: Path, truth: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=f"--ground-truth .*({message})"):
        score(tmp_path, {**truth, **change}, [])


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        ("{", "no readable JSON"),
        ({}, "a JSON dict; valid: a COCO list"),
        ([3], r"\[0\]: got bbox None"),
        ([{"bbox": [1, 2, 3, 4], "image_id": 1, "category_id": 7}], "category_id 7"),
        ([{"bbox": [1, 2, 3, 4], "image_id": 1, "category_id": 2}], "no score"),
    ],
)
def test_detections_that_break_the_rules(
    tmp_path: Path, truth: dict[str, Any], detections: Any, message: str
) -> None:
    with pytest.raises(InvalidInput, match=f"--detections .*{message}"):
        score(tmp_path, truth, detections)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"--ground-truth .*No such file"):
        score_detections(tmp_path / "none.json", [("a", tmp_path / "none.json")])


def test_without_pycocotools_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingDependency, match=r"pip install 'crossfuse\[eval\]'"):
        score_detections(tmp_path / "truth.json", [])

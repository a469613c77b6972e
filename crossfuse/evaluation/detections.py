"""Downstream view: how well a user's own detector does on each method's pictures (COCO mAP)."""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossfuse.errors import ImageError, InvalidInput, MissingDependency
from crossfuse.images import read_bytes


@dataclass(frozen=True)
class DetectionScore:
    """Mean average precision of one set of detections; None where there is nothing to detect."""

    name: str
    source: str
    detections: int
    map: float | None
    """Mean over categories and over overlaps 0.50 to 0.95."""
    map50: float | None
    map75: float | None


def score_detections(
    ground_truth: Path, detections: Sequence[tuple[str, Path]]
) -> list[DetectionScore]:
    """Scores of (name, file) pairs, all against one file, with the COCO rules for boxes."""
    try:
        coco = importlib.import_module("pycocotools.coco").COCO
        coco_eval = importlib.import_module("pycocotools.cocoeval").COCOeval
    except ImportError:
        raise MissingDependency("pycocotools", "--detections", "eval") from None
    truth_content = _read_ground_truth(ground_truth)
    scores = []
    # pycocotools talks on stdout, where only data belongs.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = truth_content
        truth.createIndex()
        for name, path in detections:
            found = _read_detections(path, truth_content)
            results = coco()
            results.dataset = {**copy.deepcopy(truth_content), "annotations": found}
            results.createIndex()
            evaluator = coco_eval(truth, results, "bbox")
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
            # -1 is what pycocotools answers where no object is in the ground truth.
            numbers = [float(value) if value >= 0 else None for value in evaluator.stats[:3]]
            scores.append(DetectionScore(name, str(path), len(found), *numbers))
    return scores


def _read_ground_truth(path: Path) -> dict[str, Any]:
    """The content with the fields COCO rules need: id, area and iscrowd where they are left out."""
    field = f"--ground-truth {path}"
    content = _read_json(field, path)
    parts = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(p), list) for p in parts):
        raise InvalidInput(field, _kind(content), f"a COCO object with lists {', '.join(parts)}")
    images, categories = (_ids(field, part, content[part]) for part in ("images", "categories"))
    for number, entry in enumerate(content["annotations"], 1):
        _check_box(f"{field}: annotations[{number - 1}]", entry, images, categories)
        entry.setdefault("id", number)
        entry.setdefault("iscrowd", 0)
        entry.setdefault("area", entry["bbox"][2] * entry["bbox"][3])
    return {part: content[part] for part in parts}


def _read_detections(path: Path, truth: dict[str, Any]) -> list[dict[str, Any]]:
    field = f"--detections {path}"
    content = _read_json(field, path)
    if not isinstance(content, list):
        raise InvalidInput(field, _kind(content), "a COCO list of detections")
    images, categories = ({entry["id"] for entry in truth[p]} for p in ("images", "categories"))
    for number, entry in enumerate(content, 1):
        _check_box(f"{field}: [{number - 1}]", entry, images, categories)
        if not _is_number(entry.get("score")):
            raise InvalidInput(f"{field}: [{number - 1}]", "no score", "a number")
        entry.update(id=number, iscrowd=0, area=entry["bbox"][2] * entry["bbox"][3])
    return content


def _read_json(field: str, path: Path) -> Any:
    try:
        return json.loads(read_bytes(path))
    except ImageError as error:
        raise InvalidInput(field, error.received, "a JSON file that can be read") from None
    except ValueError as error:
        raise InvalidInput(field, f"no readable JSON ({error})", "a COCO file") from None


def _ids(field: str, part: str, entries: list[Any]) -> set[Any]:
    if not all(isinstance(entry, dict) and isinstance(entry.get("id"), int) for entry in entries):
        raise InvalidInput(field, f"{part} without id", f"{part} that have an integer id each")
    return {entry["id"] for entry in entries}


def _check_box(field: str, entry: Any, images: set[Any], categories: set[Any]) -> None:
    box = entry.get("bbox") if isinstance(entry, dict) else None
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
        raise InvalidInput(field, f"bbox {box!r}", "an object with bbox [x, y, width, height]")
    for key, known in (("image_id", images), ("category_id", categories)):
        if entry.get(key) not in known:
            raise InvalidInput(field, f"{key} {entry.get(key)!r}", "one of the ground truth's")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(content: Any) -> str:
    return f"a JSON {type(content).__name__}"

"""Rigs from listed points and from a heated chessboard."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.calibration import (
    CalibrationRefused,
    Recording,
    calibrate_from_chessboard,
    calibrate_from_points,
    read_points,
)
from crossfuse.calibration.geometry import corner_error, similarity
from crossfuse.errors import InvalidInput

IR, VIS = (320, 240), (640, 480)
TRUTH = similarity(1.9, 2.0, IR, VIS)


def still(size: tuple[int, int], pictures: list[NDArray[np.uint8]] | None = None) -> Recording:
    frames = pictures or [np.zeros(size[::-1], np.uint8)]
    return Recording("still", size, frames, np.arange(len(frames), dtype=np.float64))


def write_points(path: Path, *, wrong: int = 0, noise: float = 0.3, count: int = 20) -> Path:
    random = np.random.default_rng(1)
    ir = random.uniform((0, 0), IR, (count, 2))
    vis = cv2.perspectiveTransform(ir[:, None], TRUTH)[:, 0] + random.normal(0, noise, (count, 2))
    vis[:wrong] += 60
    lines = ["ir_x,ir_y,vis_x,vis_y"]
    lines += [",".join(map(str, row)) for row in np.hstack([ir, vis])]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_points_with_a_few_wrong_clicks(tmp_path: Path) -> None:
    rig = calibrate_from_points(still(IR), still(VIS), write_points(tmp_path / "p.csv", wrong=3))
    assert corner_error(rig.homography, TRUTH, IR) < 3
    assert rig.quality.method == "points"
    assert rig.quality.samples == 20
    assert rig.quality.agreement == pytest.approx(17 / 20)
    assert rig.quality.offset_error is None


def test_points_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    points = write_points(tmp_path / "p.csv", noise=40)
    with pytest.raises(CalibrationRefused, match=r"points: .* valid: "):
        calibrate_from_points(still(IR), still(VIS), points)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,4\n5,6,7,8\n", r"points: got 2; valid: 4 or more"),
        ("1,2,3,4\n5,6,seven,8\n", r"line 2: got 5,6,seven,8; valid: lines of four numbers"),
        ("1,2,3\n", r"line 1: got 1,2,3; valid: lines of four numbers"),
        ("0,0,0,0\n1,1,1,1\n2,2,2,2\n3,3,3,3\n4,4,4,4\n", "points on a line"),
    ],
)
def test_files_of_points_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        calibrate_from_points(still(IR), still(VIS), path)


def test_a_spreadsheet_s_mark_does_not_cost_a_point(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = "\n".join(f"{x},{y},{x},{y}" for x, y in [(0, 0), (99, 0), (0, 99), (99, 99)])
    path.write_text(rows, encoding="utf-8-sig")
    assert len(read_points(path)[0]) == 4


def board(squares: tuple[int, int], side: int = 40) -> NDArray[np.uint8]:
    rows, columns = np.indices((squares[1] * side, squares[0] * side)) // side
    fields = np.where((rows + columns) % 2 == 0, 30, 220).astype(np.uint8)
    return np.pad(fields, 40, constant_values=220)


def test_a_heated_chessboard_with_swapped_fields() -> None:
    picture = np.zeros(VIS[::-1], np.uint8) + 220
    fields = board((9, 6))
    picture[20 : 20 + fields.shape[0], 80 : 80 + fields.shape[1]] = fields
    smooth = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8)
    seen = np.asarray(
        cv2.warpPerspective(
            255 - smooth, np.linalg.inv(TRUTH), IR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.uint8,
    )
    rig = calibrate_from_chessboard(still(IR, [seen]), still(VIS, [smooth]), (8, 5))
    assert corner_error(rig.homography, TRUTH, IR) < 3
    assert rig.quality.method == "chessboard"


def test_no_chessboard_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no pair of frames .* heated board with 8x5"):
        calibrate_from_chessboard(still(IR), still(VIS), (8, 5))

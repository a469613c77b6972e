"""`crossfuse calibrate` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.cli import main
from crossfuse.video import read_rig


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Folders with one picture each, of two sizes."""
    for name, size in (("ir", (160, 120)), ("vis", (320, 240))):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(len(name)).integers(0, 255, size[::-1], np.uint8)
        cv2.imwrite(str(tmp_path / name / "0.png"), noise)
    points = "\n".join(f"{x},{y},{2 * x},{2 * y}" for x in (10, 80, 150) for y in (10, 60, 110))
    (tmp_path / "points.csv").write_text(points, encoding="utf-8")
    return ["--ir", str(tmp_path / "ir"), "--vis", str(tmp_path / "vis")]


def test_from_points_with_pictures(
    tmp_path: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rig, check = tmp_path / "rig.json", tmp_path / "check"
    arguments = ["calibrate", *pictures, "--points", str(tmp_path / "points.csv"), "-o", str(rig)]
    assert main([*arguments, "--pictures", str(check), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(rig.read_text(encoding="utf-8"))
    np.testing.assert_allclose(read_rig(rig).homography, np.diag([2, 2, 1]), atol=1e-6)
    for name in ("checkerboard.png", "edges.png"):
        assert cv2.imread(str(check / name)).shape == (240, 320, 3)  # type: ignore[union-attr]
    assert main(arguments) == 2
    assert "which exists; valid: another name, or --overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0
    assert "9 samples (points), 100% agree" in capsys.readouterr().out


def test_a_bad_rig_is_not_written(
    tmp_path: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rig = tmp_path / "rig.json"
    assert main(["calibrate", *pictures, "-o", str(rig)]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("crossfuse calibrate: alignment: ")
    assert "valid: " in error
    assert not rig.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--chessboard", "9"], "--chessboard: got '9'; valid: inner corners across and down"),
        (["-o", "missing/rig.json"], "a folder that exists; missing is not"),
        (["--ir", "nothing.mp4"], "nothing.mp4, which is not there"),
        (["--frames", "0"], "--frames: got 0; valid: 1 or more"),
        (["--ir-mapping", "linear:9"], "--ir-mapping: got 'linear:9'; valid: "),
        (["--chessboard", "9x99999999999"], "--chessboard: got '9x99999999999'; valid: inner"),
        (
            ["--points", "none.csv"],
            "none.csv: got No such file or directory; valid: a file of line",
        ),
        (["--points", "points.csv", "-o", "points.csv", "--overwrite"], "which is read too"),
        (["--ir-palette", "jot"], "(did you mean 'jet'?)"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    tmp_path: Path,
    pictures: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", *pictures, "-o", "rig.json", *change]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error

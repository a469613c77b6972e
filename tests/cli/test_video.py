"""`crossfuse video` as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.cli import main
from crossfuse.video.opencv_sink import OpenCvSink

PATIENCE = 60.0


def write_video(path: Path, frames: int) -> Path:
    sink = OpenCvSink(path, (64, 48), 25.0)
    for number in range(frames):
        picture = np.full((48, 64, 3), 100, np.uint8)
        picture[:, : 1 + number % 60] = (200, 60, 60)
        sink.write(picture, number * 40_000)
    sink.close()
    return path


def frames_in(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    return count


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    ir = tmp_path / "ir"
    ir.mkdir()
    for number in range(12):
        cv2.imwrite(str(ir / f"{number}.png"), np.full((48, 64), 10 * number, np.uint8))
    return ["--ir", str(ir), "--vis", str(write_video(tmp_path / "vis.mp4", 12))]


def test_the_summary_is_alone_on_stdout(
    tmp_path: Path, sources: list[str], mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "fused.mp4"
    arguments = ["video", *sources, "-o", str(output), "--model", str(mean_bundle), "--json"]
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["pairs"], summary["fused"], summary["written"]) == (12, 12, 12)
    assert summary["model"] == "mean:1"
    assert summary["problems"] == []
    assert frames_in(output) == 12
    assert main(arguments) == 2  # it exists
    assert main([*arguments, "--overwrite"]) == 0


def test_text_for_people(
    tmp_path: Path, sources: list[str], mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "frames"
    code = main(["video", *sources, "-o", str(folder), "--model", str(mean_bundle)])
    assert code == 0
    assert "fused 12 of 12 pairs" in capsys.readouterr().out
    assert len(list(folder.iterdir())) == 12


def test_hardware_is_asked_for_and_not_needed(
    tmp_path: Path, sources: list[str], mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = ["-o", str(tmp_path / "fused.mp4"), "--model", str(mean_bundle), "--json"]
    assert main(["video", *sources, *result, "--hardware"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["fused"], summary["problems"]) == (12, [])
    assert summary["visible"]["decoder"].split(", ")[0] in ("PyAV", "OpenCV")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--ir", "missing.mp4"], "source: got missing.mp4, which is not there"),
        (["-o", "fused.avi"], r"output: got fused.avi; valid: a file ending in .mp4"),
        (["--crop"], "crop: got no rig; valid: --crop together with --rig"),
        (["--tolerance", "-1"], "tolerance_ms: got -1.0; valid: 0 or more"),
        (["--max-frames", "0"], "max_frames: got 0; valid: 1 or more"),
        (["--ir-palette", "jot"], "(did you mean 'jet'?)"),
        (["--ir-mapping", "linear:9"], "--ir-mapping: got "),
        (["--preview"], "preview: got "),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    tmp_path: Path,
    sources: list[str],
    mean_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["video", *sources, "-o", "o.mp4", "--model", str(mean_bundle), *change]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_no_output_is_bad_usage(sources: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["video", *sources]) == 2
    assert "output: got none; valid: -o OUT, or --preview" in capsys.readouterr().err


@pytest.fixture
def long_run(tmp_path: Path, mean_bundle: Path) -> list[str]:
    """A run that takes some seconds."""
    video = str(write_video(tmp_path / "long.mp4", 3000))
    sources = ["--ir", video, "--vis", video, "--ir-palette", "luma"]
    model = ["--model", str(mean_bundle), "--threads", "1"]
    return ["video", *sources, *model, "-o", str(tmp_path / "fused.mp4"), "--json"]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    program = "from crossfuse.cli import main; import sys; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_growth(path: Path, size: int) -> None:
    end = time.monotonic() + PATIENCE
    while not (path.exists() and path.stat().st_size > size):
        assert time.monotonic() < end, f"{path} never grew"
        time.sleep(0.02)


@pytest.mark.parametrize("encoder", ["opencv", "av"])
def test_what_was_fused_before_kill_9_plays(
    tmp_path: Path, long_run: list[str], encoder: str
) -> None:
    if encoder == "av":
        pytest.importorskip("av")
    output, pictures = tmp_path / "fused.mp4", tmp_path / "pictures"
    process = start([*long_run, "--encoder", encoder, "-o", str(pictures)])
    try:
        wait_for_growth(output, 20_000)
    finally:
        process.kill()
        printed, _ = process.communicate()
    assert printed == "", "it had ended before it was killed"
    fused = len(list(pictures.glob("*.png")))
    # All but the last second, 25 frames; each picture was written after its frame of the video.
    assert fused - 25 <= frames_in(output) <= fused + 1
    assert fused > 50


def test_ctrl_c_finishes_the_output(tmp_path: Path, long_run: list[str]) -> None:
    output = tmp_path / "fused.mp4"
    process = start([*long_run, "--encoder", "opencv"])
    try:
        wait_for_growth(output, 1_000)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130
    summary = json.loads(printed)
    assert summary["interrupted"] is True
    assert frames_in(output) == summary["written"] == summary["fused"]
    assert 0 < summary["fused"] < 3000

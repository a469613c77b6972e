"""Sources that go wrong in the middle, disks that fill up: an account, and what was fused plays."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, fuse_streams
from crossfuse.video.frames import SourceInfo, VideoFrame
from crossfuse.video.reader import Reader

FULL_DISK = """
import resource, sys
from crossfuse.cli import main
room = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
sys.exit(main())
"""


def test_a_corrupt_frame_of_a_folder_is_left_out_and_counted(
    tmp_path: Path, fuser: Fuser, make_folder: Callable[..., Path]
) -> None:
    ir, vis = make_folder(tmp_path / "ir"), make_folder(tmp_path / "vis")
    (ir / "f5.png").write_bytes(b"not a picture")
    summary = fuse_streams(ir, vis, fuser=fuser)
    assert summary.infrared is not None
    assert (summary.infrared.frames, summary.infrared.corrupt) == (11, 1)
    assert "f5.png" in (summary.infrared.problem or "")
    assert summary.fused == 11


def test_frames_of_another_size_are_left_out_and_counted(
    tmp_path: Path, fuser: Fuser, make_folder: Callable[..., Path]
) -> None:
    ir, vis = make_folder(tmp_path / "ir"), make_folder(tmp_path / "vis")
    cv2.imwrite(str(vis / "f7.png"), np.zeros((96, 64), np.uint8))
    summary = fuse_streams(ir, vis, tmp_path / "out.mp4", fuser=fuser)
    assert summary.visible is not None
    assert summary.visible.wrong_size == 1
    assert "64x96; valid: 64x48" in (summary.visible.problem or "")
    assert summary.written == 11


@pytest.mark.parametrize("decoder", ["opencv", "av"])
def test_a_file_that_was_cut_off_is_a_problem_and_its_pairs_are_kept(
    tmp_path: Path,
    fuser: Fuser,
    make_video: Callable[..., Path],
    numbers_of: Callable[[Path], list[int]],
    decoder: str,
) -> None:
    if decoder == "av":
        pytest.importorskip("av")
    ir, vis = (make_video(tmp_path / f"{name}.mp4", 28) for name in ("ir", "vis"))
    data = bytearray(ir.read_bytes())
    at = data.rfind(b"mdat") + 4  # the frames of the last fragment become noise
    data[at : at + 40] = np.random.default_rng(0).bytes(40)
    ir.write_bytes(data)
    output = tmp_path / "out.mp4"
    summary = fuse_streams(ir, vis, output, fuser=fuser, options=VideoOptions(decoder=decoder))
    # Whether a decoder conceals or gives up is its own affair; the first fragment is whole.
    assert summary.written >= 12
    assert numbers_of(output)[:10] == list(range(10))


class Jumping:
    """A source whose clock goes back and then jumps an hour ahead."""

    info = SourceInfo("jumping", 64, 48, 25.0, None, live=False)
    decoder = "none"

    def __init__(self) -> None:
        self._positions = [0, 40_000, 80_000, 10_000, 50_000, 3_600_000_000, 3_600_040_000]

    def read(self) -> VideoFrame | None:
        if not self._positions:
            return None
        return VideoFrame(np.zeros((48, 64), np.uint8), self._positions.pop(0))

    def close(self) -> None:
        """Nothing is held."""


def test_clocks_that_jump_are_put_right() -> None:
    positions: list[int] = []
    ended = threading.Event()
    reader = Reader(Jumping, lambda frame: positions.append(frame.position), ended.set, reconnect=0)
    reader.start()
    assert ended.wait(30)
    assert positions[:3] == [0, 40_000, 80_000]
    assert np.diff(positions).tolist() == [40_000] * 6
    assert reader.clock_jumps == 2


@pytest.mark.parametrize(("encoder", "room"), [("opencv", 40_000), ("av", 150_000)])
def test_a_full_disk_ends_the_work_and_the_file_plays(
    tmp_path: Path,
    mean_bundle: Path,
    make_video: Callable[..., Path],
    numbers_of: Callable[[Path], list[int]],
    encoder: str,
    room: int,
) -> None:
    if encoder == "av":
        pytest.importorskip("av")
    noise = np.random.default_rng(0)
    folder = tmp_path / "vis"
    folder.mkdir()
    for number in range(90):
        cv2.imwrite(str(folder / f"{number}.png"), noise.integers(0, 255, (48, 64, 3), np.uint8))
    output = tmp_path / "out.mp4"
    sources = ["--ir", str(folder), "--vis", str(folder), "--ir-palette", "luma"]
    result = ["-o", str(output), "--model", str(mean_bundle), "--json", "--encoder", encoder]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(room), "video", *sources, *result],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert "File too large" in summary["problems"][0]
    assert len(numbers_of(output)) >= 12


def test_false_colour_infrared_is_refused_unless_its_palette_is_named(
    tmp_path: Path, fuser: Fuser
) -> None:
    folders = []
    for name in ("ir", "vis"):
        folder = tmp_path / name
        folder.mkdir()
        ramp: NDArray[np.uint8] = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
        cv2.imwrite(str(folder / "0.png"), cv2.applyColorMap(ramp, cv2.COLORMAP_JET))
        folders.append(folder)
    with pytest.raises(InvalidInput, match="false-colour"):
        fuse_streams(*folders, fuser=fuser)
    options = VideoOptions(ir_palette="jet")
    assert fuse_streams(*folders, fuser=fuser, options=options).fused == 1

"""What calibration reads: both cameras at the same time, on one clock where they are live."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.calibration import read_recordings
from crossfuse.video.frames import SourceInfo, SourceLost, VideoFrame
from crossfuse.video.sources import SourceOptions

INTERVAL = 0.02
SECONDS = 20


class Camera:
    """Gives a grey level that says when the picture was taken; dies after so many frames."""

    decoder = "none"

    def __init__(self, begins: float, dies_after: int) -> None:
        self.info = SourceInfo("camera", 64, 48, 50.0, None, live=True)
        self.read_in: set[str] = set()
        self._begins = begins
        self._left = dies_after

    def read(self) -> VideoFrame | None:
        if self._left == 0:
            raise SourceLost("camera: no frame came")
        self._left -= 1
        time.sleep(INTERVAL)
        self.read_in.add(threading.current_thread().name)
        now = time.monotonic()
        level = np.uint8(255 * min(1.0, (now - self._begins) / SECONDS))
        return VideoFrame(np.full((48, 64), level, np.uint8), round(now * 1e6))

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> dict[bool, Camera]:
    """The infrared one under True, the visible one under False."""
    begins = time.monotonic()
    both = {infrared: Camera(begins, 40) for infrared in (True, False)}
    monkeypatch.setattr(
        "crossfuse.calibration.recordings.open_source",
        lambda text, *, infrared, options: both[infrared],
    )
    return both


def test_live_cameras_are_read_at_the_same_time(cameras: dict[bool, Camera]) -> None:
    ir, vis = read_recordings("0", "1", options=SourceOptions(), frames=20)
    assert cameras[True].read_in.isdisjoint(cameras[False].read_in)
    assert len(ir.frames) == len(vis.frames) == 20
    assert min(ir.times[0], vis.times[0]) == 0
    assert ir.times[0] < vis.times[-1]
    assert vis.times[0] < ir.times[-1]
    starts = [
        SECONDS * int(frame[0, 0]) / 255 - seconds
        for camera in (ir, vis)
        for frame, seconds in zip(camera.frames, camera.times, strict=True)
    ]
    assert max(starts) - min(starts) < 2 * SECONDS / 255  # one clock


def test_a_camera_that_dies_does_not_keep_the_other_one_waiting(
    cameras: dict[bool, Camera],
) -> None:
    cameras[True]._left = 3
    cameras[False]._left = 100_000
    with pytest.raises(SourceLost, match="no frame came"):
        read_recordings("0", "1", options=SourceOptions(), frames=100_000)
    assert cameras[False]._left > 90_000


def test_a_picture_that_is_broken_leaves_its_time_out(tmp_path: Path) -> None:
    for name, broken in (("ir", 2), ("vis", 0)):
        (tmp_path / name).mkdir()
        for number in range(4):
            picture = np.full((48, 64), 10 * number, np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), picture)
        (tmp_path / name / f"{broken}.png").write_bytes(b"no picture")
    ir, vis = read_recordings(
        str(tmp_path / "ir"), str(tmp_path / "vis"), options=SourceOptions(fps=10)
    )
    np.testing.assert_allclose(ir.times, [0, 0.1, 0.3])
    np.testing.assert_allclose(vis.times, [0.1, 0.2, 0.3])
    assert [int(frame[0, 0]) for frame in vis.frames] == [10, 20, 30]

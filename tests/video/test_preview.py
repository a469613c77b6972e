"""The preview window. A stand-in takes the place of OpenCV's windows, which need a display."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, VideoSummary, fuse_streams

FRAMES = 12


class Windows:
    """Does what OpenCV's windows do, on paper; a key is pressed at one of the frames."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.shown: list[NDArray[np.uint8]] = []
        self.pressed: dict[int, int] = {}
        self.breaks_at: int | None = None

    def named_window(self, title: str) -> None:
        self.open.add(title)

    def imshow(self, title: str, picture: NDArray[np.uint8]) -> None:
        assert title in self.open
        if len(self.shown) == self.breaks_at:
            self.open.clear()
            raise cv2.error("the display has gone")
        self.shown.append(picture)

    def wait_key(self, milliseconds: int) -> int:
        return self.pressed.get(len(self.shown), -1)

    def destroy_window(self, title: str) -> None:
        if title not in self.open:
            raise cv2.error("no such window")
        self.open.remove(title)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    """A display, and an OpenCV that can open windows on it."""
    made = Windows()
    monkeypatch.setattr("crossfuse.video.preview_sink.windows_work", lambda: True)
    monkeypatch.setattr(cv2, "namedWindow", made.named_window)
    monkeypatch.setattr(cv2, "imshow", made.imshow)
    monkeypatch.setattr(cv2, "waitKey", made.wait_key)
    monkeypatch.setattr(cv2, "destroyWindow", made.destroy_window)
    return made


@pytest.fixture
def previewed(
    tmp_path: Path, fuser: Fuser, make_folder: Callable[..., Path]
) -> Callable[[], VideoSummary]:
    """Fuses FRAMES pairs into a video, with a preview."""
    ir, vis = (make_folder(tmp_path / name, FRAMES) for name in ("ir", "vis"))

    def run() -> VideoSummary:
        options = VideoOptions(preview=True, overwrite=True)
        return fuse_streams(ir, vis, tmp_path / "out.mp4", fuser=fuser, options=options)

    return run


def test_every_frame_is_shown_in_order_and_the_window_closes(
    windows: Windows, previewed: Callable[[], VideoSummary]
) -> None:
    summary = previewed()
    assert (summary.written, summary.interrupted, summary.problems) == (FRAMES, False, [])
    assert {picture.shape for picture in windows.shown} == {(48, 64, 3)}
    assert [int(picture.mean()) for picture in windows.shown] == [8 + 8 * n for n in range(FRAMES)]
    assert windows.open == set()


def test_windows_get_the_colours_in_their_order(
    tmp_path: Path, windows: Windows, fuser: Fuser, make_folder: Callable[..., Path]
) -> None:
    ir, vis = make_folder(tmp_path / "ir", 3), tmp_path / "vis"
    vis.mkdir()
    for number in range(3):
        cv2.imwrite(str(vis / f"{number}.png"), np.full((48, 64, 3), (200, 60, 20), np.uint8))
    fuse_streams(ir, vis, fuser=fuser, options=VideoOptions(preview=True))
    blue, _, red = windows.shown[0].reshape(-1, 3).mean(axis=0)
    assert blue > red + 50


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_q_and_esc_end_the_work_and_the_video_plays(
    tmp_path: Path,
    windows: Windows,
    previewed: Callable[[], VideoSummary],
    numbers_of: Callable[[Path], list[int]],
    key: int,
) -> None:
    windows.pressed = {3: key}
    summary = previewed()
    assert summary.interrupted
    assert summary.problems == []
    assert summary.written == len(windows.shown) == len(numbers_of(tmp_path / "out.mp4")) >= 3
    assert windows.open == set()


def test_a_display_that_goes_away_is_a_problem_and_the_video_plays(
    tmp_path: Path,
    windows: Windows,
    previewed: Callable[[], VideoSummary],
    numbers_of: Callable[[Path], list[int]],
) -> None:
    windows.breaks_at = 5
    summary = previewed()
    assert summary.problems[0].startswith("preview: got no window any more; valid: a display")
    assert 5 <= len(numbers_of(tmp_path / "out.mp4")) <= 6


def test_without_windows_nothing_is_begun(
    previewed: Callable[[], VideoSummary], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No display is there, whatever the machine has and whichever OpenCV is installed."""
    monkeypatch.setenv("DISPLAY", "127.0.0.1:99")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InvalidInput, match="preview: got no display, or an OpenCV without windows"):
        previewed()

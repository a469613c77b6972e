"""The MP4 that grows by fragments: an ordinary one in the end, with every frame at its time."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import OutputError
from crossfuse.video.av_sink import AvSink
from crossfuse.video.mp4_boxes import children
from crossfuse.video.opencv_sink import OpenCvSink
from crossfuse.video.sink import Sink
from crossfuse.video.timing import NEAR

FPS = 25.0
SIZE = (64, 48)
DAY = 86_400_000_000

# Milliseconds: as a camera gives them, with a stall in the middle.
UNEVEN = [0, 40, 95, 120, 161, 200, 243, 900, 935, 990, 1500, 1540, 1577, 1640]


@pytest.fixture(params=["opencv", "av"])
def open_sink(request: pytest.FixtureRequest) -> Callable[[Path], Sink]:
    """Opens either kind of MP4, as of a live source: without sound."""
    if request.param == "opencv":
        return lambda path: OpenCvSink(path, SIZE, FPS)
    pytest.importorskip("av")
    return lambda path: AvSink(path, SIZE, FPS)


def kinds_in(path: Path) -> list[bytes]:
    """The boxes a file consists of."""
    return [kind for kind, _ in children(path.read_bytes())]


def times_in(path: Path) -> list[float]:
    """When the frames of a file are shown, in milliseconds."""
    capture = cv2.VideoCapture(str(path))
    times = []
    while capture.read()[0]:
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    return times


def test_uneven_times_are_kept_and_the_index_is_that_of_an_ordinary_file(
    tmp_path: Path,
    open_sink: Callable[[Path], Sink],
    picture: Callable[[int], NDArray[np.uint8]],
    numbers_of: Callable[[Path], list[int]],
) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(path)
    for number, time in enumerate(UNEVEN):
        sink.write(picture(number), 1000 * time)
    assert b"moof" in kinds_in(path)
    sink.close()
    kinds = kinds_in(path)
    assert kinds[-1] == b"moov"
    assert b"moof" not in kinds
    assert numbers_of(path) == list(range(len(UNEVEN)))
    # Times next to those of an even rate are taken for them.
    assert times_in(path) == pytest.approx(UNEVEN, abs=NEAR * 1000 / FPS)
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == len(UNEVEN)


def test_any_frame_can_be_sought(
    tmp_path: Path,
    open_sink: Callable[[Path], Sink],
    picture: Callable[[int], NDArray[np.uint8]],
    number: Callable[[NDArray[np.uint8]], int],
) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(path)
    for count in range(28):
        sink.write(picture(count), 40_000 * count)
    sink.close()
    capture = cv2.VideoCapture(str(path))
    for wanted in (20, 3, 27, 0, 13):
        capture.set(cv2.CAP_PROP_POS_FRAMES, wanted)
        assert number(np.asarray(capture.read()[1], np.uint8)) == wanted


def test_weeks_have_room_in_it(
    tmp_path: Path, open_sink: Callable[[Path], Sink], picture: Callable[[int], NDArray[np.uint8]]
) -> None:
    """At 10 000 ticks a second, five days are more than 32 bits hold."""
    path = tmp_path / "out.mp4"
    sink = open_sink(path)
    days = [0, 2, 4, 6, 8, 10]
    for day in days:
        sink.write(picture(day), DAY * day)
    sink.close()
    assert times_in(path) == pytest.approx([DAY / 1000 * day for day in days], abs=0.2)


def test_a_disk_without_room_for_the_index_leaves_the_fragments(
    tmp_path: Path, open_sink: Callable[[Path], Sink], picture: Callable[[int], NDArray[np.uint8]]
) -> None:
    path = tmp_path / "out.mp4"
    sink = open_sink(path)
    for number in range(27):
        sink.write(picture(number), 40_000 * number)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for the frames that the sink still holds, and not for the index.
    assert cv2.VideoCapture(str(path)).read()[0]
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 700, before[1]))
    try:
        with pytest.raises(OutputError, match=r"out.mp4: could not be written: got File too large"):
            sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert b"moof" in kinds_in(path)
    assert len(times_in(path)) >= 24

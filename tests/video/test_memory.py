"""A stream that runs for weeks: what it holds does not grow with its frames."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from crossfuse.arrays import UInt8Array
from crossfuse.engines import Engine, EngineDescription
from crossfuse.errors import EngineError
from crossfuse.fuser import Fuser
from crossfuse.streaming import Source
from crossfuse.video import FusedPair, VideoOptions, fuse_streams
from crossfuse.video.frames import SourceInfo, VideoFrame
from crossfuse.video.latest import KEPT, Latest
from crossfuse.video.mp4_boxes import Track, box
from crossfuse.video.mp4_file import Mp4File
from crossfuse.video.pairing import OVERRUN, READ_AHEAD, PairPolicy, PairStream

# In bytes; a number per frame would be more.
MOST_GROWTH = 16 * 1024
FRAMES = 800
SETTLED = 200

WRITE_TO_AN_MP4 = """
import sys
from pathlib import Path
import numpy as np
from crossfuse.video.av_sink import AvSink

def held():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["RssAnon"].split()[0]) * 1024

sink = AvSink(Path(sys.argv[1]), (16, 16), 25.0)
picture = np.zeros((16, 16, 3), np.uint8)
for number in range(30_000):
    sink.write(picture, 40_000 * number)
    if number == 5_000:
        before = held()
print(held() - before)
sink.close()
"""

COUNT_HEAPS = """
import ctypes, tempfile, threading
from crossfuse.video import share_one_heap

share_one_heap()
everybody = threading.Barrier(9)

def work():
    held = [bytes(50_000) for _ in range(20)]
    everybody.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
everybody.wait()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile("r") as report:
    file = ctypes.c_void_p(libc.fopen(report.name.encode(), b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
    print(report.read().count("<heap nr="))
"""


class Copying(Engine):
    """Gives the visible picture back."""

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        return vis

    def describe(self) -> EngineDescription:
        return EngineDescription("copying", 1, "fp32", "0" * 64, "cpu", "none", "none", 1, 32)


class Refusing(Copying):
    """Has something else to say against every frame."""

    def __init__(self) -> None:
        self.asked = 0

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        self.asked += 1
        raise EngineError(f"frame {self.asked} is not wanted")


class Stepping:
    """A live source that gives a frame for each that came out at the other end."""

    info = SourceInfo("stepping", 64, 48, 25.0, None, live=True)
    decoder = "none"

    def __init__(self) -> None:
        self.wanted = threading.Semaphore(1)
        self._picture = np.zeros((48, 64), np.uint8)
        self._number = 0

    def read(self) -> VideoFrame | None:
        self.wanted.acquire()
        self._number += 1
        return VideoFrame(self._picture, 40_000 * self._number)

    def close(self) -> None:
        """Nothing is held."""


def test_nothing_is_kept_of_a_frame_that_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {True: Stepping(), False: Stepping()}
    monkeypatch.setattr(
        "crossfuse.video.session.open_source", lambda text, *, infrared, options: sources[infrared]
    )
    held: list[int] = []
    outputs = count()
    stop = threading.Event()

    def step(pair: FusedPair) -> None:
        number = next(outputs)
        if number == FRAMES:
            stop.set()
            return
        if number in (SETTLED, FRAMES - 1):
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        for source in sources.values():
            source.wanted.release()

    tracemalloc.start()
    try:
        with Fuser(Copying()) as fuser:
            summary = fuse_streams(
                "0", "1", fuser=fuser, on_frame=step, stop=stop, options=VideoOptions(overlay=True)
            )
    finally:
        tracemalloc.stop()
    assert summary.fused >= FRAMES
    assert held[1] - held[0] < MOST_GROWTH


def test_of_live_pairs_that_nobody_takes_only_the_newest_are_held() -> None:
    stream = PairStream(
        policy=PairPolicy.DROP, tolerance=0, offset=0, max_wait=1.0, live=True, rate=None
    )
    ir, vis = (stream.sink(source) for source in Source)
    for number in range(100):
        for deliver in (ir, vis):
            deliver(VideoFrame(np.zeros((2, 2), np.uint8), number))
    for source in Source:
        stream.end(source)
    assert [pair.position for pair in stream] == list(range(100 - READ_AHEAD, 100))
    assert stream.counts.pairs == 100
    assert stream.counts.dropped == {OVERRUN: 100 - READ_AHEAD}


def test_the_spread_is_that_of_the_latest_numbers() -> None:
    latest = Latest()
    assert latest.spread.p50 is None
    for number in range(3 * KEPT):
        latest.add(float(number))
    assert latest.last == 3 * KEPT - 1
    assert latest.spread.largest == 3 * KEPT - 1
    assert latest.spread.p50 == pytest.approx(2.5 * KEPT, abs=2)
    assert latest.spread.p99 == pytest.approx(2.99 * KEPT, abs=2)


def test_a_model_with_many_complaints_is_cut_short(
    tmp_path: Path, make_folder: Callable[..., Path]
) -> None:
    ir, vis = make_folder(tmp_path / "ir", 28), make_folder(tmp_path / "vis", 28)
    with Fuser(Refusing()) as fuser:
        summary = fuse_streams(ir, vis, fuser=fuser)
    assert summary.failed == 28
    assert len(summary.problems) == 20
    assert "frame 1 is not wanted" in summary.problems[0]


def fragments(file: Mp4File, number: int, frames: int = 12, duration: int = 400) -> None:
    """Adds fragments of frames that no decoder would take."""
    track = Track(box(b"stsd", bytes(16)), [b"frame"] * frames, frozenset({0}))
    for _ in range(number):
        file.add(track, [duration] * frames)


def test_an_mp4_holds_nothing_of_its_frames_until_it_is_closed(tmp_path: Path) -> None:
    file = Mp4File(tmp_path / "long.mp4", (64, 48), 10_000)
    fragments(file, 100)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        fragments(file, 1000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    file.close()
    assert after - before < MOST_GROWTH


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the memory")
def test_the_h264_muxer_holds_nothing_of_its_frames(tmp_path: Path) -> None:
    pytest.importorskip("av")
    command = [sys.executable, "-c", WRITE_TO_AN_MP4, str(tmp_path / "long.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    # FFmpeg's own index would take 1.8 MB for 25 000 frames.
    assert int(done.stdout) < 600_000


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_threads_share_one_heap_where_it_is_asked_for() -> None:
    command = [sys.executable, "-c", COUNT_HEAPS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["1"]

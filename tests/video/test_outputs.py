"""Outputs that cannot be: refused before any work, or left so that what was fused plays."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput, OutputError
from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, fuse_streams
from crossfuse.video.opencv_sink import OpenCvSink
from crossfuse.video.sink import Sink


@pytest.fixture
def sources(tmp_path: Path, make_video: Callable[..., Path]) -> tuple[Path, Path]:
    """An infrared and a visible recording."""
    ir, vis = (make_video(tmp_path / f"{name}.mp4", 6) for name in ("ir", "vis"))
    return ir, vis


def test_a_source_is_never_replaced(
    tmp_path: Path, fuser: Fuser, sources: tuple[Path, Path], make_folder: Callable[..., Path]
) -> None:
    before = sources[1].read_bytes()
    (tmp_path / "link.mp4").symlink_to(sources[1])
    options = VideoOptions(overwrite=True)
    for output in (sources[1], tmp_path / "link.mp4"):
        with pytest.raises(InvalidInput, match="which is the source too; valid: another name"):
            fuse_streams(*sources, output, fuser=fuser, options=options)
    assert sources[1].read_bytes() == before
    folder = make_folder(tmp_path / "pictures", 3)
    with pytest.raises(InvalidInput, match="which is the source too"):
        fuse_streams(folder, folder, folder, fuser=fuser, options=options)
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (["out.mp4", "./out.mp4"], "out.mp4, which is another output too"),
        (["full"], "full, which is not empty; valid: an empty folder, or --overwrite"),
        (["file"], "file, which is no folder; valid: a file ending in .mp4, a folder"),
        (["rtmp://user:secret@server/live"], r"got rtmp://\*\*\*@server/live; valid: a file"),
        (["http://127.0.0.1:70000"], "valid: http://HOST:PORT of this machine, free to use"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path,
    fuser: Fuser,
    sources: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    outputs: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInput, match=message):
        fuse_streams(*sources, outputs, fuser=fuser)
    assert not (tmp_path / "out.mp4").exists()


def test_infrared_that_cannot_be_mapped_or_is_in_false_colours_is_bad_input(
    tmp_path: Path, fuser: Fuser, make_folder: Callable[..., Path]
) -> None:
    vis = make_folder(tmp_path / "vis")
    wide = make_folder(tmp_path / "wide", dtype="uint16")
    with pytest.raises(InvalidInput, match="a 16-bit picture with ir_mapping none"):
        fuse_streams(wide, vis, fuser=fuser, options=VideoOptions(ir_mapping="none"))
    ramp: NDArray[np.uint8] = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    colours = cv2.cvtColor(cv2.applyColorMap(ramp, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    sink = OpenCvSink(tmp_path / "jet.mp4", (64, 48), 25.0)
    for number in range(12):
        sink.write(np.asarray(colours, np.uint8), 40_000 * number)
    sink.close()
    with pytest.raises(InvalidInput, match="a false-colour infrared video"):
        fuse_streams(tmp_path / "jet.mp4", vis, fuser=fuser)


@pytest.fixture
def room() -> Iterator[Callable[[int], None]]:
    """Sets how large a file may become; this ends with the test."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def write_noise(sink: Sink) -> None:
    random = np.random.default_rng(0)
    for number in range(90):
        sink.write(random.integers(0, 255, (48, 64, 3), np.uint8), 40_000 * number)


def test_no_torn_fragment_is_left_on_a_full_disk(
    tmp_path: Path, room: Callable[[int], None]
) -> None:
    av = pytest.importorskip("av")
    from crossfuse.video.av_sink import AvSink

    path = tmp_path / "out.mp4"
    sink = AvSink(path, (64, 48), 25.0)
    room(60_000)
    with pytest.raises(OutputError, match="File too large"):
        write_noise(sink)
    sink.close()
    with av.open(str(path)) as container:
        decoded = sum(1 for _ in container.decode(video=0))  # raises where the end is torn
    assert decoded >= 12


def test_no_room_for_the_encoder_s_own_file_is_said(
    tmp_path: Path, room: Callable[[int], None]
) -> None:
    path = tmp_path / "out.mp4"
    sink = OpenCvSink(path, (64, 48), 25.0)
    room(2_000)
    with pytest.raises(OutputError, match=r"out\.mp4: could not be written.*space to write there"):
        write_noise(sink)
    sink.close()

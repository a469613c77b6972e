"""Outputs that cannot be: refused before any work, or left so that what was fused plays."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, fuse_streams
from crossfuse.video.opencv_sink import OpenCvSink


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


# In a process of its own: the limit also holds for what the test run writes its lines to.
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from crossfuse.errors import OutputError
from crossfuse.video.{module} import {sink}

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = {sink}(Path(sys.argv[1]), (64, 48), 25.0)
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, most))
random = np.random.default_rng(0)
try:
    for number in range(90):
        sink.write(random.integers(0, 255, (48, 64, 3), np.uint8), 40_000 * number)
except OutputError as error:
    print(error)
sink.close()
"""


def written_on_a_full_disk(path: Path, module: str, sink: str, room: int) -> str:
    """What a sink says whose files may become no larger than `room` bytes."""
    program = FULL_DISK.format(module=module, sink=sink, room=room)
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_no_torn_fragment_is_left_on_a_full_disk(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "out.mp4"
    assert "File too large" in written_on_a_full_disk(path, "av_sink", "AvSink", 60_000)
    with av.open(str(path)) as container:
        decoded = sum(1 for _ in container.decode(video=0))  # raises where the end is torn
    assert decoded >= 12


def test_no_room_for_the_encoder_s_own_file_is_said(tmp_path: Path) -> None:
    said = written_on_a_full_disk(tmp_path / "out.mp4", "opencv_sink", "OpenCvSink", 2_000)
    assert re.search(r"out\.mp4: could not be written.*space to write there", said)

"""Files are read within limits and written whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from crossfuse.errors import ImageError, OutputError
from crossfuse.images import encode, read_bytes, read_infrared, read_visible, write_file


def test_reads_both_roles(tmp_path: Path, grey: Any, colour: Any) -> None:
    write_file(tmp_path / "ir.png", encode(grey))
    write_file(tmp_path / "vis.png", encode(colour))
    assert np.array_equal(read_infrared(tmp_path / "ir.png"), grey)
    assert np.array_equal(read_visible(str(tmp_path / "vis.png")), colour)


def test_errors_name_the_path(tmp_path: Path, colour: Any) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(encode(colour)[:-20])
    with pytest.raises(ImageError) as caught:
        read_visible(path)
    assert caught.value.field == str(path)
    write_file(path, encode(colour))
    with pytest.raises(ImageError, match=r"broken\.png: got a false-colour picture"):
        read_infrared(path)


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match=r"absent\.png: got No such file"):
        read_bytes(tmp_path / "absent.png")
    with pytest.raises(ImageError, match="got a folder; valid: an image file"):
        read_bytes(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="pipe: got something that is no regular file"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(ImageError, match="embedded null byte"):
        read_bytes("a\0b")
    (tmp_path / "secret.png").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        ImageError, match=r"secret\.png: got Permission denied; valid: an image file"
    ):
        read_bytes(tmp_path / "secret.png")


def test_the_size_of_files_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(bytes(101))
    assert len(read_bytes(path, max_bytes=101)) == 101
    with pytest.raises(ImageError, match="a file of 101 bytes; valid: at most 100 bytes"):
        read_bytes(path, max_bytes=100)


def test_a_sparse_giant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "giant.tiff"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ImageError, match="a file of 1073741824 bytes; valid: at most 134217728"):
        read_visible(path)


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_write_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    write_file(tmp_path / "link.png", b"data")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes() == b"data"


def test_a_name_as_long_as_the_disk_allows(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")
    write_file(path, b"data")
    assert path.read_bytes() == b"data"


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"no/a\.png: could not be written: got no such folder; valid"
    ):
        write_file(tmp_path / "no" / "a.png", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="a parent that is no folder"):
        write_file(tmp_path / "file" / "a.png", b"")
    with pytest.raises(OutputError, match="no regular file"):
        write_file(tmp_path, b"")
    with pytest.raises(OutputError, match="no regular file"):
        write_file("/dev/null", b"")
    with pytest.raises(OutputError, match="name too long"):
        write_file(tmp_path / ("n" * 300), b"")


@pytest.fixture
def existing(tmp_path: Path) -> Iterator[Path]:
    """A file that must keep its content, alone in its folder."""
    path = tmp_path / "fused.png"
    path.write_bytes(b"old")
    yield path
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["fused.png"]


def failing(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize("step", ["fsync", "fdopen", "replace"])
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "a full disk"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "a read-only disk"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_failing_step_leaves_the_old_file(
    step: str, number: int, said: str, existing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path if step == "replace" else os
    monkeypatch.setattr(place, step, failing(OSError(number, os.strerror(number))))
    with pytest.raises(OutputError, match=f"fused.png: could not be written: got {said}"):
        write_file(existing, b"new")
    monkeypatch.undo()


@pytest.mark.parametrize("step", ["fsync", "fdopen", "replace"])
def test_ctrl_c_leaves_the_old_file(
    step: str, existing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path if step == "replace" else os, step, failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_file(existing, b"new")
    monkeypatch.undo()


def test_a_real_limit_of_the_disk(existing: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match="a file over the size limit"):
            write_file(existing, bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

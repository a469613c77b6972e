"""Pictures of a folder by their stems."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfuse.errors import ImageError, InvalidInput
from crossfuse.images import PictureFolder


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_pictures_are_found_by_stem_whatever_their_format(tmp_path: Path) -> None:
    folder = touch(tmp_path / "d", "a.png", "b.JPG", "c.x.tiff", ".hidden.png", "notes.txt")
    (folder / "sub.png").mkdir()
    found = PictureFolder("--ir", folder)
    assert found.stems == {"a", "b", "c.x"}
    assert found.find("b") == folder / "b.JPG"
    assert found.ignored == 1


@pytest.mark.parametrize(
    ("stem", "reason"),
    [
        ("twice", "2 files of one stem .*: twice.jpg, twice.png"),
        ("scan", "scan.bmp, which is no picture; valid: one PNG, JPEG, WebP or TIFF"),
        ("gone", r"no picture gone\.\* in"),
    ],
)
def test_a_stem_that_is_not_one_picture(tmp_path: Path, stem: str, reason: str) -> None:
    folder = PictureFolder("--vis", touch(tmp_path / "d", "twice.png", "twice.jpg", "scan.bmp"))
    with pytest.raises(ImageError, match=f"^--vis: got .*{reason}"):
        folder.find(stem)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no picture in .*; valid: a folder of PNG"):
        PictureFolder("--ir", touch(tmp_path / "d", "a.txt"))
    with pytest.raises(InvalidInput, match="No such file or directory"):
        PictureFolder("--ir", tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="Not a directory"):
        PictureFolder("--ir", tmp_path / "d" / "a.txt")

"""A folder appears whole, or what was there before stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfuse.errors import OutputError
from crossfuse_export.whole_folder import whole_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file."""
    made = tmp_path / "models" / "1"
    with whole_folder(made) as fresh:
        (fresh / "old").write_text("as it was")
    return made


def test_the_new_takes_the_place_of_the_old(folder: Path) -> None:
    with whole_folder(folder) as fresh:
        (fresh / "new").write_text("other")
        assert [path.name for path in folder.iterdir()] == ["old"]
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert list(folder.parent.iterdir()) == [folder], "nothing is left beside it"


def test_what_was_there_stays_where_writing_fails(folder: Path) -> None:
    with pytest.raises(OutputError, match=r"not written: .*no/such"), whole_folder(folder) as fresh:
        (fresh / "no" / "such").write_text("nowhere")
    assert (folder / "old").read_text() == "as it was"
    assert list(folder.parent.iterdir()) == [folder]


def test_what_was_there_comes_back_where_the_last_move_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "fresh":
            raise OSError("no space left")
        return move(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OutputError, match="not written: no space left"), whole_folder(folder):
        pass
    assert (folder / "old").read_text() == "as it was"

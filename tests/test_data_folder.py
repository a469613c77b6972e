"""Where real pairs are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfuse.data_folder import data_folder
from crossfuse.errors import InvalidInput


def test_what_the_variable_names_or_what_lies_beside_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared" / "data").mkdir(parents=True)
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    monkeypatch.setenv("CROSSFUSE_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("CROSSFUSE_DATA", str(tmp_path / "none"))
    with pytest.raises(InvalidInput, match=r"CROSSFUSE_DATA: got .*none; valid: a folder"):
        data_folder()
    monkeypatch.delenv("CROSSFUSE_DATA")
    assert data_folder() == Path("../shared/data")
    monkeypatch.chdir(tmp_path)
    assert data_folder() is None

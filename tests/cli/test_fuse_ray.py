"""`crossfuse fuse --ray` as far as it goes without Ray; tests/ray has the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.cli import main
from crossfuse.cli.stored_folders import StoredPath, as_folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """One pair in two folders."""
    for side in ("ir", "vis"):
        (tmp_path / side).mkdir()
        cv2.imwrite(str(tmp_path / side / "a.png"), np.zeros((40, 50, 3)[: 2 + (side == "vis")]))
    return tmp_path


def words(folder: Path, **changes: str) -> list[str]:
    options = {"ir": f"{folder}/ir", "vis": f"{folder}/vis", "output": f"{folder}/out", **changes}
    return ["fuse", "--ray", *(word for name in options for word in (f"--{name}", options[name]))]


def test_without_ray_the_way_to_install_it_is_told(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(words(pairs)) == 2
    assert "pip install 'crossfuse[ray]'" in capsys.readouterr().err
    assert list((pairs / "out").iterdir()) == []


def test_without_pyarrow_the_way_to_install_it_is_told(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    assert main(words(pairs, ir="s3://bucket/ir")) == 2
    assert "needs pyarrow, which is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ir": "{}/ir/a.png"}, "valid: a folder; --ray is for two folders"),
        ({"model": "nope"}, "no bundle 'nope'"),
        ({"server": "localhost:1"}, "--ray: got --ray beside --server"),
        ({"output": "{}/ir/a.png/out"}, "--output: got"),
        ({"ir-mapping": "sideways"}, "--ir-mapping"),
    ],
)
def test_bad_usage_is_told_before_ray_is_started(
    pairs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    message: str,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    changes = {name: value.format(pairs) for name, value in changes.items()}
    assert main(words(pairs, **changes)) == 2
    assert message in capsys.readouterr().err


def test_what_is_there_needs_no_ray(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (pairs / "out").mkdir()
    (pairs / "out" / "a.png").write_bytes(b"kept")
    assert main(words(pairs)) == 0
    assert "fused 0, skipped 1, failed 0 of 1" in capsys.readouterr().out


@pytest.mark.parametrize("uri", ["s3://bucket/ir", "gs://bucket", "file:///mnt/ir"])
def test_uris_keep_their_form(uri: str) -> None:
    folder = as_folder(Path(uri))
    assert isinstance(folder, StoredPath)
    assert str(folder) == uri
    child = folder / "pair.png"
    assert (str(child), child.stem, child.suffix) == (f"{uri}/pair.png", "pair", ".png")


def test_other_paths_are_those_of_this_machine() -> None:
    assert as_folder(Path("ir")) == Path.cwd() / "ir"
    assert as_folder(Path("/mnt/a:b")) == Path("/mnt/a:b")

"""`crossfuse fuse --ray`: the same pictures as on one machine, skipped when they are there."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.cli import main

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("cluster"),
]

STEMS = [f"pair{number}" for number in range(20)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pairs, one infrared picture without a partner and one that is no picture."""
    folder = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(7)
    for side, shape in (("ir", (40, 50)), ("vis", (40, 50, 3))):
        (folder / side).mkdir()
        for stem in STEMS:
            pixels = random.integers(0, 256, shape, np.uint8)
            cv2.imwrite(str(folder / side / f"{stem}.png"), pixels)
    (folder / "ir" / "alone.png").write_bytes((folder / "ir" / "pair0.png").read_bytes())
    for side in ("ir", "vis"):
        (folder / side / "broken.png").write_bytes(b"no picture")
    return folder


def fuse(folder: Path, output: str, *options: str, prefix: str = "") -> int:
    words = ["--ir", f"{prefix}{folder}/ir", "--vis", f"{prefix}{folder}/vis"]
    return main(
        ["fuse", *words, "-o", f"{prefix}{folder}/{output}", "--device", "cpu", "--json", *options]
    )


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("prefix", ["", "file://"], ids=["paths", "uris"])
def test_the_pictures_are_those_of_one_machine(
    folders: Path, capsys: pytest.CaptureFixture[str], prefix: str
) -> None:
    assert fuse(folders, "local") == 1
    here = json.loads(capsys.readouterr().out)
    output = f"ray{len(prefix)}"
    assert fuse(folders, output, "--ray", prefix=prefix) == 1
    there = json.loads(capsys.readouterr().out)
    assert pictures(folders / output) == pictures(folders / "local")
    assert sorted(pictures(folders / output)) == sorted(f"{stem}.png" for stem in STEMS)
    assert {row["stem"] for row in there["failed"]} == {"alone", "broken"}
    counts = ("fused", "skipped", "total", "ignored_files", "stopped")
    assert (here["fused"] or here["skipped"]) == there["fused"] == len(STEMS)
    assert [there[name] for name in counts[1:]] == [0, len(STEMS) + 2, 0, ""]


def test_what_is_there_is_skipped_and_the_rest_is_done(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuse(folders, "resumed", "--ray") == 1
    whole = pictures(folders / "resumed")
    kept = folders / "resumed" / "pair3.png"
    before = kept.stat().st_mtime_ns
    for stem in STEMS[10:]:
        (folders / "resumed" / f"{stem}.png").unlink()
    capsys.readouterr()
    assert fuse(folders, "resumed", "--ray") == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary["fused"], summary["skipped"]) == (10, 10)
    assert pictures(folders / "resumed") == whole
    assert kept.stat().st_mtime_ns == before


def test_a_folder_without_faults_is_success(tmp_path: Path, folders: Path) -> None:
    for side in ("ir", "vis"):
        (tmp_path / side).mkdir()
        source = folders / side / "pair0.png"
        (tmp_path / side / "x.png").write_bytes(source.read_bytes())
    assert fuse(tmp_path, "out", "--ray") == 0
    assert sorted(pictures(tmp_path / "out")) == ["x.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--server", "localhost:1"), "--ray: got --ray beside --server"),
        (("--model", "nope"), "nope"),
        (("--ir", "nowhere"), "--ir: got"),
    ],
)
def test_bad_usage_is_told_before_any_work(
    folders: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert fuse(folders, "refused", "--ray", *options) == 2
    assert message in capsys.readouterr().err

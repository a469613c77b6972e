"""The Python examples, run as their first lines say, on files."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest

import crossfuse
from crossfuse import synthetic
from crossfuse_training.networks.registry import ARCHITECTURES, VARIANTS

COUNT = 3
Run = Callable[..., str]


@pytest.fixture
def run(examples: Path, tmp_path: Path) -> Run:
    """Runs an example in an empty folder; gives what it printed."""

    def call(name: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, examples / name, *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of frames: infrared and visible."""
    ir_folder, vis_folder = tmp_path / "ir", tmp_path / "vis"
    for number in range(COUNT):
        for folder, picture in zip(
            (ir_folder, vis_folder), synthetic.pair(number, 96, 128), strict=True
        ):
            folder.mkdir(exist_ok=True)
            stored = picture if picture.ndim == 2 else picture[..., ::-1]
            cv2.imwrite(str(folder / f"{number}.png"), stored)
    return ir_folder, vis_folder


def read(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path))
    assert pixels is not None, f"no picture in {path}"
    return pixels[..., ::-1]


def test_one_pair_in_this_process(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    ir, vis = (folder / "0.png" for folder in folders)
    assert run("fuse.py", ir, vis, tmp_path / "fused.png") == f"{tmp_path}/fused.png: 128x96\n"
    expected = crossfuse.load("crossfuse-rt").fuse(*synthetic.pair(0, 96, 128))
    np.testing.assert_array_equal(read(tmp_path / "fused.png"), expected)


def test_one_pair_and_a_stream_through_a_server(
    run: Run, folders: tuple[Path, Path], server: str, tmp_path: Path
) -> None:
    ir, vis = folders
    run("client.py", server, ir / "0.png", vis / "0.png", tmp_path / "fused.png")
    lines = run("stream.py", server, ir, vis, tmp_path / "fused").splitlines()
    assert [line.partition(":")[0] for line in lines] == [str(n) for n in range(COUNT)]
    first = read(tmp_path / "fused" / "000000.png")
    np.testing.assert_array_equal(first, read(tmp_path / "fused.png"))


def test_cameras_share_a_model(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    ir, vis = folders
    lines = run("four_cameras.py", f"front:{ir},{vis}", f"gate:{ir},{vis}").splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        f"front: {COUNT} frames",
        f"gate: {COUNT} frames",
    ]
    assert (tmp_path / "front.mp4").stat().st_size > 0
    assert (tmp_path / "gate.mp4").stat().st_size > 0


def test_a_student_is_trained_further_on_own_pairs(root: Path, tmp_path: Path) -> None:
    for kind, index in (("ir", 0), ("vis", 1)):
        folder = tmp_path / "data" / "pairs" / kind
        folder.mkdir(parents=True)
        for number in range(10):
            picture = synthetic.pair(number, 160, 176)[index]
            cv2.imwrite(str(folder / f"{number}.png"), picture)
    done = subprocess.run(
        [
            sys.executable, "-m", "crossfuse", "train", "end-to-end",
            "--config", "examples/fine-tune.toml", "--data", tmp_path / "data",
            "--output", tmp_path / "mine", "steps=2", "batch=2", "validation.pairs=1",
        ],
        cwd=root, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine" / "checkpoints" / "best" / "weights.safetensors").is_file()


def test_an_own_network_goes_through_the_whole_chain(
    examples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process, which has torch and its exporter loaded already."""
    monkeypatch.setattr(sys, "argv", ["own_network.py", str(tmp_path / "mine")])
    with patch.dict(ARCHITECTURES), patch.dict(VARIANTS):
        runpy.run_path(str(examples / "own_network.py"))
    assert "fused: (240, 320, 3)" in capsys.readouterr().out
    assert crossfuse.load(tmp_path / "mine" / "share" / "1").fuse(
        *synthetic.pair(1, 64, 96)
    ).shape == (64, 96, 3)
    shutil.rmtree(tmp_path / "mine")

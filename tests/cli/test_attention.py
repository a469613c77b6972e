from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from crossfuse.cli import main
from crossfuse.cli.attention import THRESHOLDS
from crossfuse.images import read_infrared
from crossfuse_training import checkpoint
from crossfuse_training.checkpoint import TrainingRecord
from crossfuse_training.networks.head_statistics import HeadThresholds
from crossfuse_training.networks.registry import build

TINY = {
    "shallow_channels": 4,
    "growth_channels": 6,
    "half_channels": 8,
    "deep_channels": 8,
    "decoder_channels": 8,
    "heads": 4,
    "mlp_ratio": 2.0,
}
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def save(folder: Path, variant: str, **numbers: Any) -> Path:
    record = TrainingRecord("test", {}, (), checkpoint.UNKNOWN_COMMIT)
    checkpoint.save(folder, build(variant, **numbers), variant=variant, training=record)
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with an infrared picture of 8 and one of 16 bits, and a visible one in colour."""
    generator = np.random.default_rng(0)
    ir = generator.integers(0, 256, (48, 80), np.uint8)
    cv2.imwrite(str(tmp_path / "ir8.png"), ir)
    cv2.imwrite(str(tmp_path / "ir16.png"), ir.astype(np.uint16) * 20 + 3000)
    cv2.imwrite(str(tmp_path / "vis.png"), generator.integers(0, 256, (48, 80, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "small.png"), ir[:40])
    return tmp_path


@pytest.fixture
def attend(pictures: Path) -> Run:
    """Runs the command on pictures of the folder, writing to `out` in it."""

    def run(*more: str, folder: Path, ir: str = "ir8.png", vis: str = "vis.png") -> int:
        words = ["attention", "--checkpoint", str(folder), "--ir", str(pictures / ir)]
        return main([*words, "--vis", str(pictures / vis), "-o", str(pictures / "out"), *more])

    return run


@pytest.mark.parametrize("ir", ["ir8.png", "ir16.png"])
def test_it_writes_the_page_and_prints_the_numbers(
    attend: Run, pictures: Path, ir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(pictures / "base-1", "base", **TINY)
    assert attend("--json", folder=folder, ir=ir) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    content = json.loads(printed.out)
    out = pictures / "out"
    assert content == json.loads((out / "heads.json").read_text())
    assert (content["checkpoint"], content["variant"]) == ("base-1", "base")
    assert (content["ir"], content["vis"]) == (ir, "vis.png")
    assert {path.name for path in out.iterdir()} == {
        "attention.npz", "fused.png", "gaze", "heads.json", "index.html", "ir.png", "overlays",
        "vis.png",
    }  # fmt: skip
    # Mean and four heads of four modules.
    assert len(list(out.glob("overlays/*/*.png"))) == 4 * 5
    assert read_infrared(out / "ir.png").dtype == np.uint8


def test_it_prints_a_line_for_each_module_and_runs_twice(
    attend: Run, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(pictures / "base-1", "base", **TINY)
    assert attend(folder=folder) == attend(folder=folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 5
    assert lines[2].startswith("Cross-attention, infrared looks at visible  ")
    assert lines[4] == f"page: {pictures / 'out' / 'index.html'}"


def test_thresholds_move_heads_between_classes(
    attend: Run, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save(pictures / "base-1", "base", **TINY)
    assert attend("--json", "--broad-entropy", "2", "--sharp-entropy", "1.5", folder=folder) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["thresholds"]["broad_entropy"] == 2
    classes = {head["entropy_class"] for module in content["modules"] for head in module["heads"]}
    assert classes == {"sharp"}


def test_the_defaults_are_those_of_the_library() -> None:
    defaults = {name: value for name, (value, _) in THRESHOLDS.items()}
    assert defaults == asdict(HeadThresholds())


@pytest.mark.parametrize(
    ("words", "files", "message"),
    [
        (["--sharp-entropy", "1"], {}, "sharp_entropy: got 1; valid: at most broad_entropy"),
        (["--ir-mapping", "no"], {}, "--ir-mapping: got 'no'"),
        (["--ir-palette", "iron"], {}, "--ir-palette: got 'iron'"),
        ([], {"ir": "small.png"}, "ir: got 80x40 while vis is 80x48"),
        ([], {"ir": "absent.png"}, "absent.png"),
        (["--max-pixels", "100"], {}, "pixels"),
    ],
)
def test_bad_input_is_one_line(
    attend: Run,
    pictures: Path,
    words: list[str],
    files: dict[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = save(pictures / "base-1", "base", **TINY)
    assert attend(*words, folder=folder, **files) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (pictures / "out").exists()


def test_a_network_without_attention_is_refused(
    attend: Run, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (
        save(pictures / "student", "rt"),
        save(pictures / "gaff", "base", **TINY, fusion_block="gaff", temperature="none"),
    ):
        assert attend(folder=folder) == 2
        assert "which has no cross-attention module" in capsys.readouterr().err


def test_a_folder_that_is_no_checkpoint_is_refused(
    attend: Run, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attend(folder=pictures / "none") == 2
    assert "checkpoint: got " in capsys.readouterr().err


@pytest.mark.data
def test_a_real_pair_at_full_size(
    attend: Run, pictures: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = "00123D.png"
    words = [f"{kind}={data_dir / 'msrs' / kind / scene}" for kind in ("ir", "vis")]
    files = dict(word.split("=", 1) for word in words)
    folder = save(pictures / "base-1", "base", **TINY)
    assert attend("--json", folder=folder, **files) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["height"], content["width"]) == (480, 640)
    assert {(module["rows"], module["columns"]) for module in content["modules"]} == {(30, 40)}

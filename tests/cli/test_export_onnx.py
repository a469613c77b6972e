"""`crossfuse export onnx`: the exporter behind it is stood in for where it would take long."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from crossfuse.bundles import Manifest
from crossfuse.cli import main
from crossfuse.cli.export import ACTIONS
from crossfuse_export import onnx_export
from crossfuse_export.errors import QualityMissed
from crossfuse_export.onnx_export import Exported

ARGUMENTS = ["export", "onnx", "--checkpoint", "checkpoint", "-o", "models/tiny/1"]


@pytest.fixture
def calls(mean_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the exporter was called with; it says that it wrote one file and refused another."""
    asked: list[dict[str, Any]] = []

    def stand_in(checkpoint: Path, bundle: Path, **options: Any) -> Exported:
        asked.append({"checkpoint": checkpoint, "bundle": bundle, **options})
        return Exported(Manifest.read(mean_bundle), {"int8": "int8: got 0.9 times as fast"})

    monkeypatch.setattr(onnx_export, "export_onnx", stand_in)
    monkeypatch.delenv("CROSSFUSE_DATA", raising=False)
    return asked


def test_options_reach_the_exporter(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("Made for night.")
    words = ["--precision", "fp32,int8", "--fp32-weights", "fp16", "--notes", str(notes)]
    words += ["--calibration", "first", "second", "--overwrite"]
    assert main([*ARGUMENTS, *words]) == 0
    (asked,) = calls
    asked.pop("data")
    assert asked == {
        "checkpoint": Path("checkpoint"),
        "bundle": Path("models/tiny/1"),
        "precisions": ["fp32", "int8"],
        "fp32_weights": "fp16",
        "calibration": [Path("first"), Path("second")],
        "notes": "Made for night.",
        "overwrite": True,
    }


def test_files_on_stdout_and_refusals_on_stderr(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ARGUMENTS) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("fp32  model.fp32.onnx  sha256 ")
    assert "against PyTorch: identical, SSIM 1.0000" in printed.out
    assert printed.err == "crossfuse export: no int8 file: int8: got 0.9 times as fast\n"
    assert calls[0]["precisions"] == ["fp32", "fp16"]


def test_json(calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["output"] == "models/tiny/1"
    assert content["files"]["fp32"]["quality"]["max_abs"] == 0
    assert content["refused"] == {"int8": "int8: got 0.9 times as fast"}


def test_an_export_that_misses_its_bar_is_work_that_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missed(*_: object, **__: object) -> Exported:
        raise QualityMissed("fp32: scene 1 at 33x47: got max_abs 9, valid: at most 1")

    monkeypatch.setattr(onnx_export, "export_onnx", missed)
    assert main(ARGUMENTS) == 1
    assert "crossfuse export: fp32: scene 1 at 33x47: got max_abs 9" in capsys.readouterr().err


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", "onnx", "-o", str(tmp_path / "tiny" / "1")]
    assert main([*words, "--checkpoint", str(tmp_path / "nothing")]) == 2
    assert main([*words, "--checkpoint", "x", "--notes", str(tmp_path / "none.md")]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "checkpoint: got" in first
    assert "valid: a folder with weights.safetensors and checkpoint.json" in first
    assert "--notes: got" in second


def test_help_names_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for name, (_, summary) in ACTIONS.items():
        assert re.search(rf"^ +{name} +{re.escape(summary)}$", printed, re.MULTILINE)
    assert "example:" in printed

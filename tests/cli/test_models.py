from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crossfuse.cli import main


def test_list_shows_every_bundle(
    tmp_path: Path, write_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(tmp_path, version=1)
    write_bundle(tmp_path, version=2)
    assert main(["models", "list", "--models", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [row["version"] for row in rows if row["name"] == "mean"] == [1, 2]
    assert main(["models", "list", "--models", str(tmp_path)]) == 0
    assert "mean:2" in capsys.readouterr().out


def test_list_tells_what_is_broken(
    tmp_path: Path, write_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (write_bundle(tmp_path) / "manifest.json").write_text("{")
    assert main(["models", "list", "--models", str(tmp_path)]) == 1
    assert "broken: " in capsys.readouterr().err


def test_show_prints_what_the_manifest_says(
    mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", str(mean_bundle)]) == 0
    text = capsys.readouterr().out
    assert "mean:1" in text
    assert "sha256" in text
    assert main(["models", "show", "--json", str(mean_bundle)]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "mean"


def test_verify_finds_a_changed_file(mean_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = str(mean_bundle.parent.parent)
    assert main(["models", "verify", "mean", "--models", models]) == 0
    path = mean_bundle / "model.fp32.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    capsys.readouterr()
    assert main(["models", "verify", "mean:1", "--models", models]) == 1
    assert "mean:1: FAILED" in capsys.readouterr().out


def test_verify_names_a_bundle_that_cannot_be_read(
    mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mean_bundle / "manifest.json").write_text("{")
    assert main(["models", "verify", "--models", str(mean_bundle.parent.parent)]) == 1
    assert "mean:1: FAILED: " in capsys.readouterr().out


def test_an_unknown_model_is_bad_input(
    mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", "none", "--models", str(mean_bundle.parent.parent)]) == 2
    assert "mean:1" in capsys.readouterr().err

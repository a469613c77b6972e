"""The sweep over everything: its subjects exist, and its report says what was and was not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from crossfuse_export import parity_sweep
from crossfuse_export.parity import Case, Difference
from crossfuse_export.parity_sweep import SWITCHES, Subject, main, subjects
from crossfuse_export.taps import TapDifference
from crossfuse_export.verify import ParityReport
from crossfuse_training.checkpoint import load, read_record
from crossfuse_training.networks.registry import VARIANTS, build


@pytest.fixture
def report() -> Callable[..., ParityReport]:
    """Makes a report of one case."""

    def make(max_abs: int) -> ParityReport:
        missed = () if max_abs <= 1 else (f"max_abs {max_abs}, valid: at most 1",)
        difference = Difference(50.0, 1.0, max_abs, 0.001)
        return ParityReport(
            bundle="x:1",
            checkpoint_sha256="0" * 64,
            files={"fp32": "0" * 64},
            versions={"torch": "2", "onnxruntime": "1"},
            data="sample",
            cases=(
                Case("fp32", "cpu", "noise", "adversarial", "32x32", 1, difference, None, missed,
                     None),
            ),
            not_finite={"fp32": []},
            banding=(),
            skipped=(),
            taps=(TapDifference("decoder", "decoder", "conv", 0.5),),
        )  # fmt: skip

    return make


def test_every_variant_and_switch_is_a_subject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = subjects()
    assert set(VARIANTS) <= set(found)
    assert len(found) == len(VARIANTS) + len(SWITCHES)


@pytest.mark.parametrize("overrides", SWITCHES, ids=str)
def test_every_switch_builds_another_network(overrides: dict[str, Any]) -> None:
    with torch.device("meta"):
        network = build("crossfuse", **overrides)
    assert network.config != VARIANTS["crossfuse"].config


def test_a_shipped_bundle_is_run_with_its_checkpoint(
    mean_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "mean:1" not in subjects(), "without a checkpoint there is nothing to compare"
    (tmp_path / "models" / "mean" / "checkpoint").mkdir()
    found = subjects()["mean:1"]
    assert found.bundle is not None
    assert found.bundle.resolve() == mean_bundle.resolve()


def test_fresh_weights_are_the_same_every_time(tmp_path: Path) -> None:
    subject = Subject("tiny", variant="rt", overrides={"quarter_channels": 4})
    folders = [parity_sweep._fresh_checkpoint(subject, tmp_path / name) for name in "ab"]
    first, second = (read_record(folder).weights_sha256 for folder in folders)
    assert first == second
    assert not load(folders[0]).training


def test_the_report_tells_passed_from_failed_and_from_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Callable[..., ParityReport]
) -> None:
    def prove(subject: Subject, data: Path | None, folder: Path) -> ParityReport:
        if subject.name == "base-wide":
            raise RuntimeError("no such\noperator")
        return report(5 if subject.name == "base" else 1)

    monkeypatch.setattr(parity_sweep, "prove", prove)
    path = tmp_path / "sweep.md"
    assert main(["-o", str(path), "rt"]) == 0
    assert path.read_text().startswith("# Parity at full width: 1 of 1 passed")
    assert main(["-o", str(path), "rt", "base", "base-wide"]) == 1
    text = path.read_text()
    assert text.startswith("# Parity at full width: 1 of 3 passed")
    assert "- Failed: base, base-wide" in text
    assert "| rt | fp32 | cpu | 1 | 0 | 0 | 1 | 0.00100 | - |" in text
    assert "| base | fp32 | cpu | 1 | 0 | 1 | 5 | 0.00100 | decoder |" in text
    assert "| base-wide | RuntimeError: no such operator |" in text
    (not_run,) = (line for line in text.splitlines() if line.startswith("- Not run"))
    assert "crossfuse:tile=8" in not_run
    assert "rt-plus" in not_run


def test_an_unknown_name_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-o", str(tmp_path / "x.md"), "bse"])
    assert ended.value.code == 2
    assert "did you mean 'base'" in capsys.readouterr().err

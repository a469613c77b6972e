"""The report of `make trt-build`, with a fake builder; the target itself runs a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crossfuse.engines.tensorrt_key import Platform
from crossfuse.errors import OutputError
from crossfuse_export import tensorrt_on_cpu, tensorrt_sweep
from crossfuse_export.tensorrt_build import BuildFailed
from crossfuse_export.tensorrt_subjects import Subject, shipped
from crossfuse_export.tensorrt_sweep import least_workspace, main

PLATFORM = Platform("tensorrt-rtx", "1.7.1", "any")


@pytest.fixture
def on_cpu(tensorrt: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The builder that the target installs, replaced by the fake one."""
    monkeypatch.setattr(tensorrt_on_cpu, "load", lambda: (tensorrt, PLATFORM))
    monkeypatch.setattr(tensorrt_sweep, "missing_from_module", lambda _: [])
    monkeypatch.setattr(tensorrt_sweep, "refusals", lambda _: ("ours", "theirs"))
    return tensorrt


def test_shipped_files_are_built_with_both_sets(on_cpu: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    assert main(["--installed", "--shipped-only", "-o", str(report)]) == 0
    text = report.read_text()
    files = list(shipped())
    assert {subject.precision for subject in files} >= {"fp32", "fp16", "int8"}
    assert text.startswith(
        f"# TensorRT without a GPU: {2 * len(files)} of {2 * len(files)} engines"
    )
    assert text.count("| default | 7 |") == text.count("| one | 7 |") == len(files)
    assert "tensorrt-rtx 1.7.1" in text
    assert "are not measured" in text
    assert text.count("| 16 |\n") == 2 * len(files), "the least workspace that was tried"
    cleared = [told["cleared"] for told in on_cpu.told]
    assert ["TF32"] in cleared
    assert [] in cleared


def test_what_cannot_be_built_is_a_row_and_a_failure(
    on_cpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def subjects() -> Iterator[Subject]:
        yield Subject("rt", "fp32", next(iter(shipped())).content, find_need=True)
        yield Subject("torn", "fp16", b"\x08\x01torn", find_need=False)

    monkeypatch.setattr(tensorrt_sweep, "shipped", subjects)
    on_cpu.needs = 600 << 20
    report = tmp_path / "report.md"
    assert main(["--installed", "--shipped-only", "-o", str(report)]) == 1
    text = report.read_text()
    assert "2 of 4 engines built" in text
    assert text.count("| 1024 |\n") == 2
    assert text.count("| torn | fp16 | default | torn fp16: got") == 1
    assert capsys.readouterr().err.count("FAILED: torn fp16") == 2


@pytest.mark.parametrize("which", ["missing", "not refused"])
def test_a_missing_name_or_refusal_is_a_failure(
    on_cpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    if which == "missing":
        monkeypatch.setattr(tensorrt_sweep, "missing_from_module", lambda _: ["Builder.reset"])
    else:
        monkeypatch.setattr(tensorrt_sweep, "refusals", lambda _: ("", "theirs"))
    report = tmp_path / "report.md"
    assert main(["--installed", "--shipped-only", "-o", str(report)]) == 1
    assert ("Builder.reset" in report.read_text()) is (which == "missing")
    assert on_cpu.told


@pytest.mark.parametrize("need", [1, 16, 17, 100, 4096])
def test_the_least_workspace(need: int) -> None:
    tried = []

    def build(workspace: int) -> None:
        tried.append(workspace)
        if workspace < need << 20:
            raise BuildFailed("too little")

    assert least_workspace(build) >> 20 == max(16, 1 << (need - 1).bit_length())
    assert len(tried) <= 4


def test_a_wheel_that_cannot_be_installed(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"wheels cannot be had: .*No such module"):
        tensorrt_on_cpu._run(
            ["python3", "-c", "raise SystemExit('No such module')"], "wheels cannot be had"
        )
    with pytest.raises(OutputError):
        tensorrt_on_cpu._run(["false"], "nothing")

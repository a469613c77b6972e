"""The command from options to the four files."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from crossfuse.cli import main
from crossfuse.errors import InvalidInput
from crossfuse_bench.report.document import read_report

KEYS = ("p50", "p90", "p99", "throughput", "provider", "commit", "sha256")


class Page(HTMLParser):
    """Counts what matters in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, write_bundle: Any) -> Path:
    """A report of a very short run."""
    folder = tmp_path_factory.mktemp("bench")
    bundle = write_bundle(folder / "models")
    words = ["bench", "engine", "--model", str(bundle), "--device", "cpu", "--size", "64x64"]
    words += ["--batch", "1,2", "--rivals", "", "--processes", "1", "--seconds", "0.2"]
    assert main([*words, "-o", str(folder / "report")]) == 0
    return folder / "report"


def test_four_files_are_written(report: Path) -> None:
    names = sorted(path.name for path in report.iterdir())
    assert names == [f"report.{suffix}" for suffix in ("csv", "html", "json", "md")]


def test_the_keys_are_always_there(report: Path) -> None:
    document = read_report(report)
    assert [name for name in KEYS if name not in document] == []
    assert document["p99_9"] is None
    assert "needs at least 3688" in document["reasons"]["p99_9"]
    with (report / "report.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(document["rows"])
    assert [name for name in KEYS if name not in rows[0]] == []
    assert float(rows[0]["p50"]) == document["p50"]
    assert rows[0]["sha256"] == document["sha256"]
    assert rows[-1]["p50"] == ""
    assert rows[-1]["reason"].startswith("not measured")


def test_the_page_needs_nothing_else(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.links == []
    assert page.tags.count("svg") == 1
    assert page.tags.count("tr") == 1 + len(read_report(report)["rows"])


def test_markdown_holds_a_table(report: Path) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    document = read_report(report)
    rows = [line for line in text.splitlines() if line.startswith("| mean")]
    assert len(rows) == len(document["rows"])
    assert "batch 2" in rows[1]
    assert document["sha256"] in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["engine", "--size", "480"], "--size: got '480'; valid: HEIGHTxWIDTH"),
        (["engine", "--batch", "0"], "--batch: got '0'; valid: numbers from 1"),
        (["engine", "--precision", "fp8"], "--precision: got 'fp8'"),
        (["engine", "--seconds", "0"], "--seconds: got 0; valid: a number above 0"),
        (["engine", "--seconds", "inf"], "--seconds: got inf; valid: a number above 0"),
        (["serve", "--search", "nan"], "--search: got nan; valid: seconds, or 0 for no search"),
        (["engine", "--device", "cuda"], "--device: got 'cuda', but this onnxruntime has no"),
        (["engine", "--device", "tensorrt"], "device: 'tensorrt' cannot be used here: "),
        (["serve", "--rate", "fast"], "--rate: got 'fast'; valid: calls per second"),
        (["serve", "--mode", "batch"], "--mode: got 'batch'; valid: "),
        (["serve", "--encoding", "bmp"], "--encoding: got 'bmp'; valid: "),
        (["serve", "--size", "64x64,96x96"], "--size: got 64x64,96x96; valid: one size"),
        (["serve", "--search", "-1"], "--search: got -1; valid: seconds, or 0 for no search"),
        (["serve", "--token-file", "absent"], "--token-file: got absent; valid: a readable"),
        (["join", "absent"], "report: got absent"),
    ],
)
def test_bad_input_has_exit_code_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["bench", *words, "-o", str(tmp_path / "report")])
    assert message in capsys.readouterr().err
    assert code == 2
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("action", ["engine", "serve", "video"])
def test_where_nothing_can_be_written_nothing_is_measured(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        assert main(["bench", action, "-o", str(folder)]) == 2
        printed = capsys.readouterr().err
        # The only line: no progress of a measurement before it.
        assert printed.startswith(f"crossfuse bench: --output: got {folder}; valid: a folder")


def test_a_damaged_report_is_refused(report: Path, tmp_path: Path) -> None:
    document = read_report(report)
    del document["commit"]
    (tmp_path / "report.json").write_text(json.dumps(document))
    with pytest.raises(InvalidInput, match=r"must contain \['commit'\]"):
        read_report(tmp_path)

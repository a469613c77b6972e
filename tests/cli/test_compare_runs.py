"""The command from run folders to files, exit codes and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossfuse.cli import main


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Two finished runs; the second was measured on fewer pictures and is better on each."""
    folders = []
    for name, level, pictures in (("first", 0.5, 9), ("second", 0.6, 8)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({"status": "done", "seed": 1, "data": []}))
        per_image = {f"set/{n}": {"SSIM": level + n / 100} for n in range(pictures)}
        (folder / "held_out.json").write_text(json.dumps({"per_image": per_image}))
        (folder / "metrics.jsonl").write_text(
            '{"kind": "train", "step": 1, "pairs_seen": 4, "total": 3.0}\n'
        )
        (folder / "recipe.toml").write_text("[loss]\n")
        folders.append(str(folder))
    return folders


def test_a_report_is_written(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare-runs", *runs, "-o", str(tmp_path / "new/report")]) == 0
    printed = capsys.readouterr()
    names = sorted(path.name for path in (tmp_path / "new/report").iterdir())
    assert names == ["comparison.json", "comparison.md", "curves.png", "differences.png"]
    lines = printed.out.splitlines()
    assert lines[0].split() == ["mean", "rank", "SSIM"]
    assert lines[2].split() == ["second", "1.00", "0.635"]
    assert lines[3].startswith("8 common held-out pictures -> ")
    assert "note: first was measured on 9 pictures" in printed.err


def test_json_alone_is_on_stdout(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare-runs", *runs, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["runs"]["second"]["differences"]["SSIM"]["mean"] == pytest.approx(0.1)
    assert len(printed["pictures"]) == 8


def test_bad_input_has_exit_code_2(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare-runs", runs[0]]) == 2
    assert "RUN: got 1 run; valid: two or more run folders" in capsys.readouterr().err
    assert main(["compare-runs", runs[0], str(tmp_path / "none")]) == 2
    assert "none/run.json: got No such file or directory; valid: a run folder" in (
        capsys.readouterr().err
    )
    assert main(["compare-runs", *runs, "-o", f"{runs[0]}/run.json"]) == 2
    assert "--output: got" in capsys.readouterr().err

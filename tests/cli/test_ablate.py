"""The command over the shipped studies, and over small ones with the real trainer."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from crossfuse.cli import main

RECIPE = """
name = "tiny"
stage = "end-to-end"
seed = 1
steps = 4
batch = 2
[network]
variant = "rt"
[[data.sets]]
name = "scenes"
licence = "none"
layout = "synthetic"
count = 20
height = 64
width = 64
[augment]
crop = 48
[loss.l1]
weight = 1.0
[optimiser]
learning_rate = 0.001
[schedule]
[validation]
every = 2
metrics = ["SSIM", "SCD"]
[run]
log_every = 1
checkpoint_every = 2
preview_every = 4
"""

STUDY = """
name = "tiny"
recipe = "tiny.toml"
baseline = "baseline"
rank_by = ["SSIM"]
[[configurations]]
name = "baseline"
[[configurations]]
name = "fast"
settings.optimiser.learning_rate = 0.01
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two configurations of the smallest possible training on synthetic scenes."""
    (tmp_path / "tiny.toml").write_text(RECIPE)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


def planned(path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["ablate", "plan", "--study", str(path), "--json", *words]) == 0
    runs: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["runs"]
    assert len({run["id"] for run in runs}) == len(runs)
    return runs


def test_the_gaff_study_lists_29_runs(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "training/configs/studies/gaff.toml"
    runs = planned(path, capsys, "--output", str(tmp_path))
    assert len(runs) == 29
    assert [run["phase"] for run in runs] == [1] * 8 + [2] * 21
    first = [run["id"] for run in runs[:8]]
    stages = ["1", "2", "3", "4", "23", "34", "234", "1234"]
    assert first == [f"exp_{n:03}_s{s}_r4_is0_mb0" for n, s in enumerate(stages, 1)]
    found = set()
    for number, run in enumerate(runs[8:], 9):
        match = re.fullmatch(r"exp_(\d{3})_stop([123])_r([48])_is([01])_mb([01])", run["id"])
        assert match is not None
        assert int(match[1]) == number
        found.add(match.groups()[1:])
        assert run["factors"]["stages"] == f"top{match[2]}"
        assert run["factors"]["reduction"] == int(match[3])
    assert len(found) == 21
    assert not any(numbers[1:] == ("4", "0", "0") for numbers in found)


@pytest.mark.parametrize("name", ["base", "enhancements", "gaff", "small"])
def test_every_shipped_study_has_recipes_that_hold(
    name: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / f"training/configs/studies/{name}.toml"
    runs = planned(path, capsys, "--output", str(tmp_path))
    assert len(runs) == {"base": 12, "enhancements": 53, "gaff": 29, "small": 16}[name]
    more = planned(path, capsys, "--output", str(tmp_path), "seeds=[1, 2]")
    seeded = [run for run in more if run["seed"]]
    assert seeded
    assert all(run["id"].endswith(f"_seed{run['seed']}") for run in seeded)


def test_the_shipped_studies_are_all_tested(root: Path) -> None:
    names = {path.stem for path in (root / "training/configs/studies").glob("*.toml")}
    assert names == {"base", "enhancements", "gaff", "small"}


def test_plan_run_and_report_with_the_real_trainer(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--study", str(study), "--output", str(tmp_path / "out")]
    assert main(["ablate", "run", *words, "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert [run["status"] for run in report["runs"]] == ["done", "done"]
    assert {entry["configuration"] for entry in report["ranking"]} == {"baseline", "fast"}
    assert report == json.loads((tmp_path / "out/report.json").read_text())
    assert "1/2 baseline: done in" in printed.err
    recipe = (tmp_path / "out/runs/fast/recipe.toml").read_text()
    assert "learning_rate = 0.01" in recipe
    assert 'name = "fast"' in recipe
    curves = (tmp_path / "out/runs/fast/metrics.jsonl").read_text().splitlines()
    assert json.loads(curves[-1])["pairs_seen"] == 8

    assert main(["ablate", "run", *words]) == 0
    printed = capsys.readouterr()
    assert "2/2 fast: done before" in printed.err
    assert "note: Every configuration was run once" in printed.out
    assert {run["status"] for run in planned(study, capsys, *words[2:])} == {"done"}
    runs = [str(tmp_path / "out/runs" / name) for name in ("baseline", "fast")]
    assert main(["compare-runs", *runs]) == 0
    assert main(["ablate", "report", *words]) == 0


def test_failures_have_exit_code_1(
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from crossfuse_training.ablation import training_process

    command = (sys.executable, "-I", "-S", "-c", "import sys; sys.exit('no space left')")
    monkeypatch.setattr(training_process, "TRAIN_COMMAND", command)
    words = ["--study", str(study), "--output", str(tmp_path / "out")]
    assert main(["ablate", "run", *words]) == 1
    printed = capsys.readouterr().err
    assert "1/2 baseline: failed in 0 s: exit code 1: no space left" in printed
    assert "no run finished, so there is no report" in printed
    assert main(["ablate", "report", *words]) == 2


def test_bad_input_has_exit_code_2(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--study", str(study), "--output", str(tmp_path / "out")]
    assert main(["ablate", "plan", "--study", str(tmp_path / "none.toml")]) == 2
    assert main(["ablate", "plan", *words, "optimiser.learning_rat=1"]) == 2
    message = "run baseline: key optimiser.learning_rat: got 'learning_rat'; valid: "
    assert message in capsys.readouterr().err
    study.write_text(STUDY + "settings.batch = 2.5\n")
    assert main(["ablate", "run", *words]) == 2
    assert "run fast: batch: got 2.5; valid: a whole number" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

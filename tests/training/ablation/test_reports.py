"""What a report says of runs whose effects are known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.ablation import Study, plan, read_record, run_study, write_report
from crossfuse_training.ablation.analysis import Analysis, analyse
from crossfuse_training.ablation.as_csv import as_csv
from crossfuse_training.ablation.as_json import as_json
from crossfuse_training.ablation.markdown import study_markdown
from crossfuse_training.ablation.notes import notes

pytestmark = pytest.mark.usefixtures("trainer")
Write = Callable[[str], Study]

HEAD = 'name = "s"\nrecipe = "base.toml"\nbaseline = "base"\nrank_by = ["SSIM", "Nabf"]\n'
NOISE = "settings.demo.noise = 0.01\n"
SEEDS = "seeds = [1, 2, 3]\n"


def named(head: str, **settings: str) -> str:
    tables = '[[configurations]]\nname = "base"\n'
    for name, text in settings.items():
        tables += f'[[configurations]]\nname = "{name}"\nsettings = {{{text}}}\n'
    return HEAD + head + tables


def analysed(study: Study, folder: Path) -> Analysis:
    return analyse(*run_study(study, folder / "out", report=lambda outcome: None))


def verdicts(analysis: Analysis) -> dict[str, list[str]]:
    return {
        result.configuration.name: [effect.verdict for effect in result.effects]
        for result in analysis.results
    }


def test_large_effects_are_shown_and_small_ones_are_not(write_study: Write, tmp_path: Path) -> None:
    changes = {"up": "demo.quality = 0.9", "down": "demo.quality = 0.2", "near": "demo.x = 1"}
    analysis = analysed(write_study(named(NOISE + SEEDS, **changes)), tmp_path)
    assert analysis.scores.metrics == ["SSIM", "Nabf", "SCD"]
    found = verdicts(analysis)
    assert found["up"] == ["better"] * 3
    assert found["down"] == ["worse"] * 3
    assert found["near"] == found["base"] == ["not shown"] * 3
    assert analysis.results[0].configuration.name == "up"
    assert analysis.results[0].place.mean_rank == 1
    assert analysis.noise is not None
    assert analysis.noise.degrees == 8
    assert analysis.noise.std[0] == pytest.approx(0.01, rel=0.6)
    text = study_markdown(analysis)
    assert "no effect shown" in text
    assert "| near | SSIM |" in text


def test_one_seed_shows_nothing(write_study: Write, tmp_path: Path) -> None:
    analysis = analysed(write_study(named(NOISE, up="demo.quality = 0.9")), tmp_path)
    assert verdicts(analysis) == {"up": ["not shown"] * 3, "base": ["not shown"] * 3}
    assert any("Give two or more seeds" in note for note in notes(analysis))
    assert as_json(analysis)["noise"] is None


def test_equal_functions_measure_noise_without_seeds(grid: Study, tmp_path: Path) -> None:
    analysis = analysed(replace(grid, seeds=(1,), settings={"demo.noise": 0.002}), tmp_path)
    # Two winners, each with two values of `noise`: four pairs that differ in `same` alone.
    assert analysis.noise is not None
    assert analysis.noise.degrees == 4
    assert "same, whose values compute the same" in study_markdown(analysis)


def test_factors_are_compared_one_at_a_time(grid: Study, tmp_path: Path) -> None:
    analysis = analysed(replace(grid, seeds=(1,)), tmp_path)
    effects = {(e["factor"], e["value"]): e for e in as_json(analysis)["factor_effects"]}
    quality = effects["quality", 0.9]
    assert quality["pairs"] == 1
    assert quality["differences"]["SSIM"] == pytest.approx(0.4)
    same = effects["same", True]
    assert same["pairs"] == 4
    assert same["differences"]["SSIM"] == pytest.approx(0, abs=0.01)
    assert ("quality", 0.5) not in effects


def test_ties_share_their_rank(write_study: Write, tmp_path: Path) -> None:
    changes = {"b": "demo.x = 1", "c": "demo.quality = 0.9", "d": "demo.x = 2"}
    analysis = analysed(write_study(named("", **changes)), tmp_path)
    places = {r.configuration.name: r.place for r in analysis.results}
    assert list(places) == ["c", "base", "b", "d"]
    assert places["b"].mean_rank == 3
    assert places["b"].tied_with == ["base", "d"]
    assert "3.00 (tie)" in study_markdown(analysis)


def test_a_tie_for_the_last_winner_is_said(grid: Study, tmp_path: Path) -> None:
    factor = replace(grid.factors["quality"], key="demo.unused")
    study = replace(grid, seeds=(1,), factors={**grid.factors, "quality": factor})
    analysis = analysed(study, tmp_path)
    assert [w["quality"] for w in analysis.record.winners[2]] == [0.5, 0.9]
    said = "\n".join(notes(analysis))
    assert "g_003_q0.7_n0.0_same0 has the same mean rank as g_002_q0.9_n0.0_same0" in said
    assert "the choice between them is chance" in said


def test_failed_runs_are_listed_and_the_rest_reported(write_study: Write, tmp_path: Path) -> None:
    text = named(SEEDS, bad="demo.fail = true", good="demo.quality = 0.7")
    analysis = analysed(write_study(text), tmp_path)
    assert [result.configuration.name for result in analysis.results] == ["good", "base"]
    report = study_markdown(analysis)
    assert "3 runs failed: bad_seed1, bad_seed2, bad_seed3" in report
    assert "| bad_seed1 | 1 | failed |" in report
    assert "the loss is no number" in report


def test_without_its_baseline_a_study_states_no_effects(write_study: Write, tmp_path: Path) -> None:
    text = named(SEEDS, up="demo.quality = 0.9").replace(
        'name = "base"\n[[', 'name = "base"\nsettings.demo.fail = true\n[['
    )
    analysis = analysed(write_study(text), tmp_path)
    assert verdicts(analysis) == {"up": ["not shown"] * 3}
    assert any("The baseline base has no finished run" in note for note in notes(analysis))
    write_report(analysis, tmp_path)


def test_an_unfinished_study_is_reported(grid: Study, tmp_path: Path) -> None:
    def interrupt(outcome: Any) -> None:
        if outcome.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(grid, tmp_path / "out", report=interrupt)
    record = read_record(grid.name, tmp_path / "out")
    analysis = analyse(plan(grid, record.winners, {}), record)
    said = notes(analysis)
    assert "17 runs of 20 not run yet." in said
    assert any("g_002_q0.9_n0.0_same0: 1 seed of 2 without result" in note for note in said)


def test_a_study_that_was_not_begun_has_no_report(grid: Study, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="without a finished run"):
        analyse(plan(grid, {}, {}), read_record(grid.name, tmp_path))


def test_a_metric_that_was_not_measured_cannot_rank(write_study: Write, tmp_path: Path) -> None:
    study = write_study(named("").replace('"Nabf"', '"VIF"'))
    with pytest.raises(InvalidInput, match="rank_by: got 'VIF'; valid: Nabf, SCD, SSIM"):
        analysed(study, tmp_path)


def test_files_of_a_report(grid: Study, tmp_path: Path) -> None:
    analysis = analysed(replace(grid, settings={"demo.noise": 0.002}), tmp_path)
    write_report(analysis, tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["winners"]["2"][0]["quality"] == 0.9
    assert len(content["runs"]) == 20
    assert content["ranking"][0]["metrics"]["SSIM"]["mean"] == pytest.approx(0.95, abs=0.02)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_text())))
    assert [row["id"] for row in rows] == [run["id"] for run in content["runs"]]
    assert float(rows[2]["SSIM"]) == pytest.approx(0.95, abs=0.02)
    assert rows[2]["quality"] == "0.9"
    for name in ("differences.png", "heat-map.png", "curves.png"):
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None
        assert picture.shape[1] == 1000
        assert f"({name})" in (tmp_path / "report.md").read_text()
    # The same runs give the same report.
    assert as_csv(analysis) == (tmp_path / "runs.csv").read_text()
    record = read_record(grid.name, tmp_path / "out")
    again = analyse(plan(analysis.plan.study, record.winners, {}), record)
    assert study_markdown(again) == (tmp_path / "report.md").read_text()

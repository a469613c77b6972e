"""Running a study: what is skipped, resumed, tried again; what one failure stops and what not."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.ablation import Outcome, Study, plan, read_record, run_study

pytestmark = pytest.mark.usefixtures("trainer")
Write = Callable[[str], Study]

HEAD = 'name = "s"\nrecipe = "base.toml"\nbaseline = "base"\nrank_by = ["SSIM"]\n'


def named(*settings: str) -> str:
    """A study of `base` and one configuration for each text of settings."""
    tables = ['[[configurations]]\nname = "base"\n']
    tables += [
        f'[[configurations]]\nname = "c{number}"\nsettings = {{{text}}}\n'
        for number, text in enumerate(settings)
    ]
    return HEAD + "".join(tables)


def statuses(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.run.id: outcome.status for outcome in outcomes}


@pytest.fixture
def grid(grid: Study) -> Study:
    """With one seed: half the processes."""
    return replace(grid, seeds=(1,))


def test_the_best_of_a_phase_are_varied(
    grid: Study, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    planned, record = run_study(grid, tmp_path / "out", report=outcomes.append)
    assert set(statuses(outcomes).values()) == {"done"}
    assert len(outcomes) == len(planned.runs) == 10
    assert [winner["quality"] for winner in record.winners[2]] == [0.9, 0.7]
    assert "g_010_q0.7_n0.001_same1" in {run.id for run in planned.runs}
    assert (outcomes[-1].done, outcomes[-1].total) == (10, 10)
    assert read_record("grid", tmp_path / "out").winners == record.winners


def test_what_is_done_is_skipped(grid: Study, tmp_path: Path, outcomes: list[Outcome]) -> None:
    run_study(grid, tmp_path / "out", report=outcomes.append)
    outcomes.clear()
    run_study(grid, tmp_path / "out", report=outcomes.append)
    assert set(statuses(outcomes).values()) == {"skipped"}


def test_an_interrupted_study_goes_on_at_the_missing_run(
    grid: Study, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    def interrupt(outcome: Outcome) -> None:
        if outcome.done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(grid, tmp_path / "out", report=interrupt)
    run_study(grid, tmp_path / "out", report=outcomes.append)
    assert list(statuses(outcomes).values()) == ["skipped"] * 6 + ["done"] * 4


def test_a_killed_run_is_resumed(
    write_study: Write, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    study = write_study(named("demo.crash_once = true"))
    run_study(study, tmp_path / "out", report=outcomes.append)
    assert statuses(outcomes) == {"base": "done", "c0": "failed"}
    assert outcomes[1].error is not None
    assert outcomes[1].error.startswith("ended by signal 9: training with")
    _, record = run_study(study, tmp_path / "out", report=outcomes.append)
    assert record.runs["c0"].status == "done"
    assert record.runs["c0"].attempts == 2
    log = record.log("c0").read_text().splitlines()
    assert len(log) == 2
    assert "'--resume'" not in log[0]
    assert "'--resume'" in log[1]


def test_a_failure_stops_nothing_else(
    write_study: Write, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    study = write_study(named("demo.fail = true", "demo.quality = 0.7"))
    _, record = run_study(study, tmp_path / "out", report=outcomes.append)
    assert statuses(outcomes) == {"base": "done", "c0": "failed", "c1": "done"}
    assert record.runs["c0"].error == "exit code 1: crossfuse train: the loss is no number"
    outcomes.clear()
    run_study(study, tmp_path / "out", report=outcomes.append)
    assert statuses(outcomes) == {"base": "skipped", "c0": "failed", "c1": "skipped"}


def test_what_begins_from_a_failed_checkpoint_fails_too(
    write_study: Write, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    prepare = (
        'prepare = [{name = "good", recipe = "base.toml"},'
        ' {name = "bad", recipe = "base.toml", settings = {demo.fail = true}}]\n'
    )
    text = named('network.init = "prepared:good"', 'network.init = "prepared:bad"')
    _, record = run_study(write_study(prepare + text), tmp_path / "out", report=outcomes.append)
    expected = {"good": "done", "bad": "failed", "base": "done", "c0": "done", "c1": "failed"}
    assert statuses(outcomes) == expected
    assert record.runs["c1"].error == "needs bad, which failed"
    checkpoint = tmp_path / "out/runs/good/checkpoints/best"
    assert f'network.init="{checkpoint}"' in (record.folder("c0") / "recipe.toml").read_text()


def test_failed_runs_are_no_winners(grid: Study, tmp_path: Path, trainer: Path) -> None:
    failing = trainer.read_text().replace(
        'if settings.get("demo.fail"):', 'if settings["demo.quality"] == 0.9:'
    )
    trainer.write_text(failing)
    _, record = run_study(grid, tmp_path / "out", report=lambda outcome: None)
    assert [winner["quality"] for winner in record.winners[2]] == [0.7, 0.6]


def test_winners_are_kept_when_a_run_is_repeated_later(
    grid: Study, tmp_path: Path, trainer: Path
) -> None:
    good = trainer.read_text()
    trainer.write_text(
        good.replace('if settings.get("demo.fail"):', 'if settings["demo.quality"] == 0.9:')
    )
    run_study(grid, tmp_path / "out", report=lambda outcome: None)
    trainer.write_text(good)
    planned, record = run_study(grid, tmp_path / "out", report=lambda outcome: None)
    assert {record.status(run) for run in planned.runs} == {"done"}
    assert [winner["quality"] for winner in record.winners[2]] == [0.7, 0.6]


def test_no_phase_follows_one_without_results(
    grid: Study, tmp_path: Path, trainer: Path, outcomes: list[Outcome]
) -> None:
    trainer.write_text("import sys; sys.exit(3)")
    planned, _ = run_study(grid, tmp_path / "out", report=outcomes.append)
    assert [outcome.error for outcome in outcomes] == ["exit code 3"] * 4
    assert planned.runs[-1].is_open


def test_other_settings_are_not_mixed_with_old_runs(
    write_study: Write, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    run_study(write_study(named("x = 1")), tmp_path / "out", report=outcomes.append)
    with pytest.raises(InvalidInput, match=r"run c0: got other settings .*x=1, x=2.* removed"):
        run_study(write_study(named("x = 2")), tmp_path / "out", report=outcomes.append)
    study = write_study(named("x = 1"))
    (tmp_path / "base.toml").write_text('stage = "end-to-end"\nsteps = 2\n')
    with pytest.raises(InvalidInput, match=r"run base: got other settings .*the content of"):
        run_study(study, tmp_path / "out", report=outcomes.append)


def test_configurations_may_be_added(
    write_study: Write, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    run_study(write_study(named("x = 1")), tmp_path / "out", report=outcomes.append)
    outcomes.clear()
    run_study(write_study(named("x = 1", "x = 2")), tmp_path / "out", report=outcomes.append)
    assert statuses(outcomes) == {"base": "skipped", "c0": "skipped", "c1": "done"}


def test_results_that_were_removed_are_made_again(
    write_study: Write, tmp_path: Path, outcomes: list[Outcome]
) -> None:
    study = write_study(named())
    _, record = run_study(study, tmp_path / "out", report=outcomes.append)
    (record.folder("base") / "held_out.json").unlink()
    run_study(study, tmp_path / "out", report=outcomes.append)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]


def test_a_record_of_another_study_is_refused(write_study: Write, tmp_path: Path) -> None:
    run_study(write_study(named()), tmp_path / "out", report=lambda outcome: None)
    with pytest.raises(InvalidInput, match="of study 's'; valid: a folder for 'other'"):
        read_record("other", tmp_path / "out")
    (tmp_path / "out/study.json").write_text('{"schema": 9}')
    with pytest.raises(InvalidInput, match="schema 9, not 1"):
        read_record("s", tmp_path / "out")


def test_a_run_that_ended_while_nobody_watched_is_done(write_study: Write, tmp_path: Path) -> None:
    study = write_study(named())
    _, record = run_study(study, tmp_path / "out", report=lambda outcome: None)
    record.runs["base"].status = "running"
    record.save()
    run = plan(study, {}, {}).runs[0]
    assert read_record("s", tmp_path / "out").status(run) == "done"


def test_two_at_once_are_refused(write_study: Write, tmp_path: Path) -> None:
    study = write_study(named())
    (tmp_path / "out").mkdir()
    with (tmp_path / "out/.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InvalidInput, match="still at work"):
            run_study(study, tmp_path / "out", report=lambda outcome: None)


def test_a_training_process_keeps_the_lock_when_the_study_is_killed(
    write_study: Write, tmp_path: Path
) -> None:
    study = write_study(named())
    started = tmp_path / "started"
    trainer = tmp_path / "slow.py"
    trainer.write_text(
        f"import os, pathlib, time\npathlib.Path({str(started)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    code = (
        "import sys; from pathlib import Path\n"
        "from crossfuse_training.ablation import read_study, run_study, training_process\n"
        f"training_process.TRAIN_COMMAND = (sys.executable, '-I', '-S', {str(trainer)!r})\n"
        f"study = read_study(Path({str(tmp_path / 'study.toml')!r}))\n"
        f"run_study(study, Path({str(tmp_path / 'out')!r}), report=print)\n"
    )
    runner = subprocess.Popen([sys.executable, "-c", code])
    while not (started.exists() and started.read_text()):
        assert runner.poll() is None
        time.sleep(0.05)
    runner.kill()
    runner.wait()
    orphan = int(started.read_text())
    try:
        with pytest.raises(InvalidInput, match="still at work"):
            run_study(study, tmp_path / "out", report=lambda outcome: None)
    finally:
        os.kill(orphan, signal.SIGKILL)
    record = json.loads((tmp_path / "out/study.json").read_text())
    assert record["runs"]["base"]["status"] == "running"

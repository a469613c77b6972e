"""`crossfuse train STAGE` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossfuse.cli import main

SMOKE = Path(__file__).resolve().parents[2] / "training" / "configs" / "smoke"
QUICK = [
    "steps=3", "batch=2", "validation.pairs=1", "run.log_every=1", "data.held_out_every=4",
    "data.without_root=[{name='made',licence='ours',layout='synthetic',count=4,"
    "height=64,width=64}]",
    "network.options={shallow_channels=4,growth_channels=4,half_channels=4,deep_channels=4,heads=2,"
    "tile=8,tile_overlap=2}",
]  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder of its own, and no data root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSFUSE_DATA", raising=False)


def words(*more: str) -> list[str]:
    return ["train", "autoencoder", "--config", str(SMOKE / "autoencoder.toml"), *more]


def test_a_run_says_how_it_goes_and_ends_with_its_held_out_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(*QUICK, "--skip-bad", "augment.crop=48")) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("held-out loss ")
    assert " -> " in shown.out.splitlines()[0]
    assert "step 3/3  loss " in shown.err
    for word in ("pairs/s", "waiting ", " to go"):
        assert word in shown.err
    run = tmp_path / "runs" / "smoke-autoencoder"
    assert "crop = 48" in (run / "recipe.toml").read_text(), "words after options count too"

    assert main(words(*QUICK, "augment.crop=48")) == 2
    assert "holds a run; valid: a new folder, or --resume" in capsys.readouterr().err
    assert main(words(*QUICK, "--resume", "--json", "augment.crop=48")) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["steps"] == 3
    assert result["run"] == "runs/smoke-autoencoder"
    losses = (result["held_out_loss_before"], result["held_out_loss"])
    told = "held-out loss {:.4g} -> {:.4g}".format(*losses)
    assert told == shown.out.splitlines()[0], "a run that is over is not gone on with"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train", "fusion", "--config", str(SMOKE / "autoencoder.toml")],
         "stage: got fusion, and {smoke}/autoencoder.toml is for autoencoder"),
        (words("--config", "none.toml"), "config: got none.toml (No such file or directory)"),
        (words("steps=many"), "steps: got 'many'; valid: a whole number"),
        (words("--data", "nowhere"), "nowhere"),
    ],
)  # fmt: skip
def test_bad_use_ends_with_one_line_and_code_2(
    given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("crossfuse train: ")
    assert message.format(smoke=SMOKE) in shown
    assert len(shown.splitlines()) == 1
    assert not (tmp_path / "runs").exists(), "nothing is left behind"


def test_the_finders_train_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(*QUICK, "--find-learning-rate")) == 0
    assert capsys.readouterr().out.startswith("learning rate: ")
    plot = tmp_path / "runs" / "smoke-autoencoder-learning-rate.png"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert main(words(*QUICK, "--find-batch-size", "--json", "augment.crop=32")) == 0
    found = json.loads(capsys.readouterr().out)
    assert [trial["batch"] for trial in found["trials"]] == [1, 2, 4, 8, 16, 32, 64]
    assert (found["batch"], found["stopped_by"]) == (64, "ceiling")
    assert not (tmp_path / "runs" / "smoke-autoencoder").exists()

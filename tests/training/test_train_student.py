"""A short training, and the recipes that ship."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.checkpoint import load, read_record
from crossfuse_training.networks.registry import build
from crossfuse_training.train_student import DataSet, Recipe, main, read_recipe, train

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"
FIRST = CONFIGS / "student-rt-first.toml"


@pytest.fixture
def recipe() -> Recipe:
    """The shipped recipe, made tiny, over the synthetic set."""
    return replace(
        read_recipe(FIRST),
        options={"quarter_channels": 8, "eighth_channels": 8, "sixteenth_channels": 8},
        data=(DataSet("night", "ours"),),
        steps=40,
        batch=4,
        crop=32,
        learning_rate=0.01,
        threads=1,
    )


def test_a_short_run_lowers_the_loss(recipe: Recipe, pair_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    losses = train(recipe, "tiny", pair_folder, output)
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    with (output / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == pytest.approx(losses)
    record = read_record(output / "checkpoint")
    assert record.training.recipe == "tiny"
    assert record.training.options["seed"] == recipe.seed
    assert record.training.data[0]["licence"] == "ours"
    assert record.training.data[0]["split"].startswith("18 pairs")
    assert record.training.held_out[0].pictures == "2 held-out pairs of night"
    assert set(record.training.held_out[0].metrics) == {"SSIM", "SCD"}
    assert record.config["quarter_channels"] == 8
    assert load(output / "checkpoint").get_parameter("ir_stem.weight").shape[0] == 8


def test_the_same_seed_gives_the_same_weights(
    recipe: Recipe, pair_folder: Path, tmp_path: Path
) -> None:
    short = replace(recipe, steps=3)
    first = train(short, "tiny", pair_folder, tmp_path / "a")
    assert train(short, "tiny", pair_folder, tmp_path / "b") == first
    other = train(replace(short, seed=2), "tiny", pair_folder, tmp_path / "c")
    assert other != first


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_parse_and_open_with_how_to_run_them(path: Path) -> None:
    recipe = read_recipe(path)
    build(recipe.variant, **recipe.options)
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert f"--config training/configs/{path.name}" in head
    for word in ("Time:", "Machine:", "Score:"):
        assert word in head


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("steps =", "stesp =", UnknownName, "did you mean 'steps'"),
        ("base =", "bass =", UnknownName, "did you mean 'base'"),
        ("seed = 1\n", "", InvalidInput, "no seed"),
        ("licence =", "license =", UnknownName, "did you mean 'licence'"),
        ("crop = 144", "crop = 16", InvalidInput, "crop: got 16"),
        ("crop = 144", "crop = '144'", InvalidInput, "crop: got '144'; valid: int"),
        ("base = 1.0", "base = true", InvalidInput, "base: got True; valid: float"),
        ("[loss]", "[loss", InvalidInput, "no TOML"),
    ],
)
def test_recipes_with_mistakes(
    tmp_path: Path, old: str, new: str, error: type[Exception], message: str
) -> None:
    text = FIRST.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(error, match=message):
        read_recipe(path)


def test_the_command_ends_with_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CROSSFUSE_DATA", str(tmp_path))
    assert main(["--config", str(FIRST), "--output", str(tmp_path / "run")]) == 2
    assert "msrs" in caplog.text
    assert "no such folder" in caplog.text

"""What is kept of the runs that made the shipped models, beside the recipes and checkpoints."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from crossfuse.bundles import find_bundle
from crossfuse_training.checkpoint import read_record
from crossfuse_training.data import open_data
from crossfuse_training.recipe import differences, read_recipe
from crossfuse_training.recipe_reader import as_table
from crossfuse_training.run_comparison import read_run

RUNS = {
    "base": Path("models/crossfuse-base/training"),
    "rt": Path("models/crossfuse-rt/training/rt"),
    "rt-finish": Path("models/crossfuse-rt/training/rt-finish"),
}
SHIPPED = {"base": Path("models/crossfuse-base"), "rt-finish": Path("models/crossfuse-rt")}
# Where each run found the networks and pictures that it needed; they differ from place to place.
PLACES = ("network.init:", "distill.teacher:")


@pytest.mark.parametrize("name", RUNS)
def test_the_recipe_here_is_the_one_that_was_trained(root: Path, name: str) -> None:
    recipe = read_recipe(root / "training" / "configs" / f"{name}.toml")
    changes = differences(read_recipe(root / RUNS[name] / "recipe.toml"), recipe)
    assert [change for change in changes if not change.startswith(PLACES)] == []


@pytest.mark.parametrize("name", RUNS)
def test_the_run_went_to_its_end_on_the_pairs_that_are_listed(root: Path, name: str) -> None:
    run = read_run(root / RUNS[name])
    assert (run.info["status"], run.info["step"]) == ("done", run.info["steps"])
    assert run.info["seconds"] > 0
    assert run.curves["training loss"].pairs_seen[-1] == run.info["steps"] * run.recipe["batch"]
    with (root / RUNS["base"] / "data.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == sum(entry["pairs"] for entry in run.info["data"]) == 484
    for entry in run.info["data"]:
        text = "".join(
            f"{row['sha256']}  {row['stem']}\n"
            for row in listed
            if (row["set"], row["split"]) == (entry["set"], entry["split"])
        )
        assert hashlib.sha256(text.encode()).hexdigest() == entry["sha256"]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_checkpoint_that_ships_is_of_that_run(root: Path, name: str) -> None:
    kept = read_record(root / SHIPPED[name] / "checkpoint").training
    run = read_run(root / RUNS[name])
    recipe = read_recipe(root / RUNS[name] / "recipe.toml")
    assert (kept.recipe, kept.git_commit) == (name, run.info["git_commit"])
    assert kept.options == json.loads(json.dumps(as_table(recipe)))
    assert {source["name"] for source in kept.data} == set(run.held_out_hashes)


@pytest.mark.data
def test_the_listed_pairs_are_those_of_the_data(root: Path, data_dir: Path) -> None:
    data = open_data(read_recipe(root / RUNS["base"] / "recipe.toml").data, data_dir, seed=1)
    found = [(pair.set, pair.split, pair.stem, pair.sha256) for pair in data.listing()]
    with (root / RUNS["base"] / "data.csv").open() as file:
        header, *listed = csv.reader(file)
    assert header == ["set", "split", "stem", "sha256"]
    assert found == list(map(tuple, listed))


@pytest.mark.parametrize("name", SHIPPED)
def test_the_bundle_says_what_the_notes_and_the_checkpoint_say(root: Path, name: str) -> None:
    model = SHIPPED[name].name
    notes = (root / SHIPPED[name] / "notes.md").read_text(encoding="utf-8").strip()
    bundle = find_bundle(model, root / "models")
    assert f"\n{notes}\n\n## Model\n" in (bundle.folder / "card.md").read_text(encoding="utf-8")
    record = read_record(root / SHIPPED[name] / "checkpoint")
    assert bundle.manifest.checkpoint_sha256 == record.weights_sha256
    assert bundle.manifest.quality.profile == record.training.options["validation"]["profile"]

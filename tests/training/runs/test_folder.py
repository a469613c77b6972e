"""Entering a run's folder: nothing of anyone else's is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossfuse.errors import InvalidInput, OutputError
from crossfuse_training.recipe import Recipe, read_recipe
from crossfuse_training.runs.folder import RunFolder

SMOKE = Path(__file__).resolve().parents[3] / "training" / "configs" / "smoke"


@pytest.fixture
def recipe() -> Recipe:
    return read_recipe(SMOKE / "fusion.toml")


def test_the_recipe_in_the_folder_is_the_whole_recipe(tmp_path: Path, recipe: Recipe) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(recipe)
    assert read_recipe(folder.recipe) == recipe
    assert "flip_vertical = 0.0" in folder.recipe.read_text(), "defaults are spelt out"
    other = replace(recipe, seed=2)
    folder.check(other, resume=False)
    folder.begin(other)
    assert read_recipe(folder.recipe) == other, "nothing had run yet"
    folder.write_record({"status": "running"})
    folder.check(other, resume=True)
    with pytest.raises(InvalidInput, match="seed: 2 -> 1"):
        folder.check(recipe, resume=True)
    with pytest.raises(InvalidInput, match="holds a run"):
        folder.check(recipe, resume=False)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(InvalidInput, match="holds other files"):
            RunFolder(tmp_path).check(recipe, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Not a directory"):
        RunFolder(tmp_path / "file" / "run").begin(recipe)


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path, recipe: Recipe) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(recipe)
    (folder.state / ".0123.tmp").write_bytes(b"half")
    for step in (100, 200):
        (folder.previews / f"step-{step:06d}.png").write_bytes(b"png")
    folder.begin(recipe)
    folder.forget_later_files(150)
    assert list(folder.state.iterdir()) == []
    assert [path.name for path in folder.previews.iterdir()] == ["step-000100.png"]

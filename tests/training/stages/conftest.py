"""Tiny recipes over made-up scenes, one for each stage, with any number of them replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crossfuse_training.recipe import Recipe, read_recipe

SMOKE = Path(__file__).resolve().parents[3] / "training" / "configs" / "smoke"
QUICK = ("steps=6", "batch=2", "run.log_every=2", "run.checkpoint_every=2", "run.preview_every=3",
         "validation.every=3", "validation.pairs=2", "data.held_out_every=4",
         "data.without_root=[{name='synthetic',licence='ours',layout='synthetic',count=8,"
         "height=80,width=96}]")  # fmt: skip


@pytest.fixture(autouse=True)
def without_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up scenes, whatever is on the machine."""
    monkeypatch.delenv("CROSSFUSE_DATA", raising=False)


@pytest.fixture
def smoke() -> Path:
    """The folder of the smoke recipes."""
    return SMOKE


@pytest.fixture
def quick() -> tuple[str, ...]:
    """The words that cut a smoke recipe down."""
    return QUICK


@pytest.fixture
def tiny() -> Callable[..., Recipe]:
    """The smoke recipe of a stage, cut down to six steps, with further words applied."""

    def read(stage: str, *words: str) -> Recipe:
        return read_recipe(SMOKE / f"{stage}.toml", [*QUICK, *words])

    return read

"""Shipped recipes, and what is said of recipes with mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.registry import build
from crossfuse_training.parameter_prefixes import require_prefix
from crossfuse_training.recipe import differences, read_recipe

CONFIGS = Path(__file__).resolve().parents[3] / "training" / "configs"
SHIPPED = sorted([*CONFIGS.glob("*.toml"), *CONFIGS.glob("smoke/*.toml")])
SMOKE = CONFIGS / "smoke"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_shipped_recipes_are_valid_and_open_with_how_to_run_them(path: Path) -> None:
    recipe = read_recipe(path)
    with torch.device("meta"):
        network = build(recipe.network.variant, **recipe.network.options)
    if recipe.stage != "autoencoder":
        for entry in recipe.network.frozen:
            require_prefix("network.frozen.prefix", entry.prefix, network)
    for tap in recipe.distill.taps if recipe.distill else ():
        network.get_submodule(tap.student)
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    shown = f"crossfuse train {recipe.stage} --config training/configs/{path.relative_to(CONFIGS)}"
    assert shown in head
    for word in ("Time:", "Machine:", "Score:"):
        assert word in head
    is_smoke = path.parent == SMOKE
    assert recipe.name == (f"smoke-{path.stem}" if is_smoke else path.stem)
    assert bool(recipe.data.without_root) == is_smoke
    assert "tno" not in [source.name for source in recipe.data.sets], "TNO is the unseen domain"


def test_every_stage_has_a_smoke_recipe() -> None:
    assert {read_recipe(path).stage for path in SHIPPED if path.parent == SMOKE} == {
        "autoencoder",
        "fusion",
        "end-to-end",
        "distill",
    }


@pytest.mark.parametrize(
    ("stage", "word", "message"),
    [
        ("fusion", "stesp=3", r"key stesp: got 'stesp'; .*did you mean 'steps'"),
        ("fusion", "loss.intensity.weigth=1.0", r"key loss\.intensity\.weigth.*'weight'"),
        ("fusion", "optimiser.learning_rate='fast'",
         r"optimiser\.learning_rate: got 'fast'; valid: a number"),
        ("fusion", "steps=2.5", r"steps: got 2\.5; valid: a whole number"),
        ("fusion", "steps=true", r"steps: got True; valid: a whole number"),
        ("fusion", "steps=0", r"steps: got 0; valid: 1 or more"),
        ("fusion", "loss=3", r"loss: got 3; valid: a table of intensity"),
        ("fusion", "stage=fuson", r"stage: got 'fuson'.*'fusion'"),
        ("fusion", "network.variant=bas", r"network\.variant: got 'bas'.*'base'"),
        ("fusion", "network.variant=rt", r"network\.variant: got 'rt' with stage fusion"),
        ("fusion", "network.vis_encoder=''", "both or neither"),
        ("fusion", "network.init=runs/base", r"network\.init: .*one of the two"),
        ("fusion", "network.modality=ir", r"network\.modality: got 'ir' with stage fusion"),
        ("autoencoder", "network.modality=''", r"network\.modality: got '' with stage auto"),
        ("autoencoder", "loss.l1.weight=1.0", r"loss: got l1, reconstruction"),
        ("end-to-end", "loss.l1={weight=1.0,target='teacher'}", "a target 'teacher' with stage"),
        ("end-to-end", "distill.teacher=runs/base", r"distill: got a table with stage end-to-end"),
        ("end-to-end", "loss.directed.weight=0", "loss: "),
        ("end-to-end", "batch=3 optimiser.accumulate=2", "accumulate: got 2; valid: a divisor"),
        ("end-to-end", "precision.compile=true", r"precision\.compile: got true"),
        ("end-to-end", "network.options.headz=4", "option of base: got 'headz'"),
        ("end-to-end", "network.options.heads=5", "heads: got 5; valid: a divisor"),
        ("end-to-end", "validation.metric=VIF", r"validation\.metric: got 'VIF'"),
        ("end-to-end", "validation.metrics=['SCDD']", r"validation\.metrics.*'SCD'"),
        ("end-to-end", "precision.amp=fp8", r"precision\.amp: got 'fp8'"),
        ("distill", "loss.feature.weight=1.0 distill.taps=[]", r"loss\.feature: got a table"),
        ("distill", "distill.taps=[{student='x'}]", r"distill\.taps\[0\]\.teacher: got nothing"),
        ("distill", "run.log_every=0", r"run\.log_every: got 0; valid: 1 or more"),
        ("distill", "data.sets=[]", r"data\.sets: got no data set"),
        ("distill", "seed.x=1", "override: .* a table at seed to go into"),
        ("distill", "seed", "override: got 'seed'; valid: key=value"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_what_is_valid(stage: str, word: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_recipe(SMOKE / f"{stage}.toml", word.split())


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    text = (SMOKE / "autoencoder.toml").read_text().replace("seed = 1\n", "")
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(InvalidInput, match="seed: got nothing; valid: a whole number"):
        read_recipe(tmp_path / "recipe.toml")
    (tmp_path / "recipe.toml").write_text(text.replace("[data]", "[data"))
    with pytest.raises(InvalidInput, match="no TOML"):
        read_recipe(tmp_path / "recipe.toml")
    with pytest.raises(InvalidInput, match="No such file"):
        read_recipe(tmp_path / "other.toml")


def test_overrides_take_toml_values_and_plain_words() -> None:
    words = ["seed=7", "network.options.heads=2", "network.frozen=[]", "validation.metric=SCD",
             "optimiser.learning_rate=1", "name=other"]  # fmt: skip
    recipe = read_recipe(SMOKE / "end-to-end.toml", words)
    assert (recipe.seed, recipe.network.options["heads"], recipe.name) == (7, 2, "other")
    assert recipe.network.frozen == ()
    assert recipe.optimiser.learning_rate == 1.0
    assert isinstance(recipe.optimiser.learning_rate, float)
    found = differences(read_recipe(SMOKE / "end-to-end.toml"), recipe)
    assert "seed: 1 -> 7" in found
    assert "network.frozen: 'absent' -> []" in found
    assert len(found) == 8


def test_a_recipe_that_is_needed_first_is_found_beside_the_one_that_names_it() -> None:
    recipe = read_recipe(SMOKE / "fusion.toml")
    assert Path(recipe.network.ir_encoder) == SMOKE / "autoencoder.toml"

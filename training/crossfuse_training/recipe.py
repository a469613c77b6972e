"""A recipe: everything a run depends on besides the pictures, read from a TOML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from crossfuse.errors import InvalidInput
from crossfuse_training.data.augment_config import AugmentConfig
from crossfuse_training.data.config import CurriculumConfig, DataConfig
from crossfuse_training.losses.config import LossConfig, require_a_term_at_all_times
from crossfuse_training.networks.registry import VARIANTS, build, variants
from crossfuse_training.optimisation import OptimiserConfig, ScheduleConfig
from crossfuse_training.recipe_reader import apply_overrides, as_table, read_table, read_toml
from crossfuse_training.recipe_tables import (
    DistillConfig,
    NetworkConfig,
    PrecisionConfig,
    RunConfig,
    ValidationConfig,
)
from crossfuse_training.rules import require, require_name

STAGES = ("autoencoder", "fusion", "end-to-end", "distill")
NEEDS = (("network", "ir_encoder"), ("network", "vis_encoder"), ("distill", "teacher"))
"""Keys whose checkpoint may also be given as a recipe, which is trained first: a path relative to
the recipe that names it."""
RECIPE_SUFFIX = ".toml"


@dataclass(frozen=True)
class Recipe:
    """A run, with every number of it."""

    name: str
    stage: str
    """autoencoder, fusion, end-to-end or distill."""
    seed: int
    steps: int
    """Steps of the optimiser."""
    batch: int
    """Cuts for each step, over all processes together."""
    network: NetworkConfig
    data: DataConfig
    loss: LossConfig
    optimiser: OptimiserConfig
    schedule: ScheduleConfig
    threads: int = 1
    """Processor threads of torch."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    run: RunConfig = field(default_factory=RunConfig)
    distill: DistillConfig | None = None

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise InvalidInput("name", repr(self.name), "a name without slash")
        require_name("stage", self.stage, STAGES)
        for key in ("steps", "batch", "threads"):
            require(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        self._check_network()
        self._check_loss()
        if self.batch % self.optimiser.accumulate:
            raise InvalidInput(
                "optimiser.accumulate", str(self.optimiser.accumulate), f"a divisor of {self.batch}"
            )

    def _check_network(self) -> None:
        network = self.network
        require_name("network.variant", network.variant, variants())
        architecture = VARIANTS[network.variant].architecture
        if self.stage in ("autoencoder", "fusion") and architecture != "crossfuse":
            names = [name for name in variants() if VARIANTS[name].architecture == "crossfuse"]
            raise InvalidInput(
                "network.variant",
                f"{network.variant!r} with stage {self.stage}",
                f"a network with encoders of its own: {', '.join(names)}",
            )
        # Without storage: only whether these numbers make a network.
        with torch.device("meta"):
            build(network.variant, **network.options)
        if (self.stage == "autoencoder") != bool(network.modality):
            raise InvalidInput(
                "network.modality",
                f"{network.modality!r} with stage {self.stage}",
                "ir or vis with stage autoencoder, nothing with the others",
            )
        if network.ir_encoder and self.stage != "fusion":
            raise InvalidInput(
                "network.ir_encoder", f"one with stage {self.stage}", "stage fusion alone"
            )

    def _check_loss(self) -> None:
        if (self.stage == "distill") != (self.distill is not None):
            raise InvalidInput(
                "distill",
                f"{'a' if self.distill else 'no'} table with stage {self.stage}",
                "a [distill] table with stage distill alone",
            )
        if self.loss.needs_teacher and self.stage != "distill":
            raise InvalidInput(
                "loss", f"a target 'teacher' with stage {self.stage}", "stage distill"
            )
        taps = self.distill.taps if self.distill else ()
        if (self.loss.feature is not None) != bool(taps):
            raise InvalidInput(
                "loss.feature",
                f"{'a' if self.loss.feature else 'no'} table beside {len(taps)} distill.taps",
                "both [loss.feature] and [[distill.taps]], or neither",
            )
        terms = self.loss.terms()
        if self.stage != "autoencoder":
            require_a_term_at_all_times(
                {name: term for name, term in terms.items() if name != "reconstruction"}
            )
        if self.precision.compile and (taps or "reconstruction" in terms):
            raise InvalidInput(
                "precision.compile",
                "true with distill.taps or loss.reconstruction, which look inside the network",
                "false",
            )
        if self.stage == "autoencoder" and set(terms) != {"reconstruction"}:
            raise InvalidInput("loss", ", ".join(terms), "reconstruction alone, with autoencoder")
        if "reconstruction" in terms:
            if self.stage not in ("autoencoder", "end-to-end"):
                raise InvalidInput(
                    "loss.reconstruction", f"stage {self.stage}", "stage autoencoder or end-to-end"
                )
            if VARIANTS[self.network.variant].architecture != "crossfuse":
                raise InvalidInput(
                    "loss.reconstruction",
                    f"network.variant {self.network.variant!r}",
                    "a network with encoders of its own",
                )
        if self.stage == "autoencoder" and self.validation.metric != "loss":
            raise InvalidInput("validation.metric", repr(self.validation.metric), "'loss'")


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a TOML file, with `dotted.key=value` words applied.

    Unknown keys, wrong types and contradictions are refused by name before any data is read.
    """
    table = apply_overrides(read_toml(path), overrides)
    for section, key in NEEDS:
        inner = table.get(section)
        if not isinstance(inner, dict):
            continue
        name = inner.get(key)
        if isinstance(name, str) and name.endswith(RECIPE_SUFFIX):
            inner[key] = (path.parent / name).resolve().as_posix()
    return read_table(Recipe, table)


def differences(before: Recipe, now: Recipe) -> list[str]:
    """What differs, one `key: before -> now` for each number."""
    old, new = dict(_flat(as_table(before), "")), dict(_flat(as_table(now), ""))
    return [
        f"{key}: {old.get(key, 'absent')!r} -> {new.get(key, 'absent')!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, entry in value.items():
            yield from _flat(entry, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and value:
        for index, entry in enumerate(value):
            yield from _flat(entry, f"{key}[{index}]")
    else:
        yield key, value

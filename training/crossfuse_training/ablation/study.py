"""What a study file holds, with its rules.

A study either lists its configurations by name, or declares factors and the phases that vary them:
the first phase a grid around the factors' defaults, each later one a grid around the best of the
phase before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter
from typing import Any

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.ablation.settings import flattened
from crossfuse_training.recipe_reader import read_table, read_toml
from crossfuse_training.run_comparison.metric_names import check_metric

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
NUMBER = "number"
"""In an id: the place of the configuration in the plan, from 1."""


@dataclass(frozen=True)
class Prepared:
    """A run whose checkpoint others begin from; `prepared:NAME` in a setting is that folder."""

    name: str
    recipe: str
    """In the file relative to it."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("prepare.name", self.name)


@dataclass(frozen=True)
class Named:
    """One configuration of a study without factors."""

    name: str
    combine: tuple[str, ...] = ()
    """Earlier configurations whose settings it takes over, in this order."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("configurations.name", self.name)


@dataclass(frozen=True)
class Factor:
    """One number of the recipe that a study varies."""

    key: str
    """Dotted, such as `network.options.fusion_stages`."""
    default: Any
    same_function: bool = False
    """All values compute the same: what differs between them is noise, and is counted as such."""


@dataclass(frozen=True)
class Phase:
    """A grid of factor values."""

    name: str
    grid: Mapping[str, tuple[Any, ...]]
    best: int | None = None
    """How many of the best of the phase before are varied; the first phase has none."""


@dataclass(frozen=True)
class Study:
    """A study file."""

    name: str
    recipe: str
    """What all runs begin from; in the file relative to it."""
    baseline: str
    """The configuration that all others are compared with."""
    rank_by: tuple[str, ...]
    """Held-out metrics; with several the mean of the ranks decides."""
    seeds: tuple[int, ...] = (1,)
    """Each configuration is run once with each; two or more measure the noise of the seed."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the recipe for all runs."""
    prepare: tuple[Prepared, ...] = ()
    configurations: tuple[Named, ...] = ()
    id: str = ""
    """Of a configuration of factors, such as `exp_{number:03}_s{stages}`."""
    factors: Mapping[str, Factor] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if not self.rank_by:
            raise InvalidInput("rank_by", "no metric", "at least one held-out metric")
        for metric in self.rank_by:
            check_metric("rank_by", metric)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InvalidInput("seeds", str(list(self.seeds)), "one or more different numbers")
        if bool(self.configurations) == bool(self.phases):
            raise InvalidInput(
                "configurations and phases",
                "both" if self.phases else "neither",
                "either a list of configurations, or factors and phases",
            )
        names = [each.name for each in self.prepare] + [each.name for each in self.configurations]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput("name", f"{name!r} twice", "a name of its own for each")
        self._check_combinations()
        if self.phases:
            self._check_phases()

    def _check_combinations(self) -> None:
        earlier: list[str] = []
        for each in self.configurations:
            for other in each.combine:
                if other not in earlier:
                    raise UnknownName(f"combine of {each.name!r}", other, earlier)
            earlier.append(each.name)

    def _check_phases(self) -> None:
        for number, phase in enumerate(self.phases, 1):
            for name, values in phase.grid.items():
                if name not in self.factors:
                    raise UnknownName(f"phases.grid of {phase.name!r}", name, self.factors)
                if not values:
                    raise InvalidInput(f"phases.grid.{name}", "no value", "at least one")
            if (phase.best is None) != (number == 1) or (phase.best or 1) < 1:
                raise InvalidInput(
                    f"phases.best of {phase.name!r}",
                    "nothing" if phase.best is None else str(phase.best),
                    "nothing in the first phase, 1 or more in each later one",
                )
        fields = {name for _, name, _, _ in Formatter().parse(self.id) if name is not None}
        for name in fields - {NUMBER}:
            if name not in self.factors:
                raise UnknownName("id", f"{{{name}}}", (NUMBER, *self.factors))


def read_study(path: Path) -> Study:
    """The study of a TOML file."""
    study = read_table(Study, read_toml(path))
    # Settings may be written as nested tables or as dotted keys; from here on they are dotted.
    return replace(
        study,
        recipe=_recipe(path, study.recipe),
        settings=flattened(study.settings),
        prepare=tuple(
            replace(each, recipe=_recipe(path, each.recipe), settings=flattened(each.settings))
            for each in study.prepare
        ),
        configurations=tuple(
            replace(each, settings=flattened(each.settings)) for each in study.configurations
        ),
    )


def _recipe(study: Path, name: str) -> str:
    path = study.parent / name
    if not path.is_file():
        raise InvalidInput("recipe", f"{path}, which is no file", "a recipe file")
    return str(path)


def check_name(field_name: str, name: str) -> None:
    """Names become folders."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            field_name, repr(name), "letters, digits, `_`, `.` and `-`, no `.` or `-` at the start"
        )

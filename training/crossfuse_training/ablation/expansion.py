"""The runs that a study consists of, by phase.

Before the results of a phase are there, its winners are called top1, top2 and so on in the factors
of the next phase and in its ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.ablation.settings import prepared_names
from crossfuse_training.ablation.study import NUMBER, Named, Prepared, Study, check_name

Factors = Mapping[str, Any]
Winners = Mapping[int, Sequence[Factors]]
"""By phase that varies them: the factors of the best of the phase before."""

PREPARATION = 0
"""The phase of prepared runs."""


@dataclass(frozen=True)
class Configuration:
    """What is compared: a network and how it is trained, whatever the seed."""

    name: str
    phase: int
    """From 1."""
    factors: Factors
    settings: Mapping[str, Any]
    """All changes to the study's recipe."""
    is_open: bool = False
    """Stands for a winner that is not known yet: not to be run."""


@dataclass(frozen=True)
class PlannedRun:
    """One process."""

    id: str
    phase: int
    recipe: Path
    settings: Mapping[str, Any]
    configuration: Configuration | None = None
    """None of a prepared run."""
    seed: int | None = None
    """None of a prepared run, which keeps that of its recipe."""
    needs: Sequence[str] = ()
    """Ids of the prepared runs whose checkpoints it begins from."""

    @property
    def factors(self) -> Factors:
        """What tells it from the other runs."""
        return self.configuration.factors if self.configuration else self.settings

    @property
    def is_open(self) -> bool:
        """Whether it stands for a winner that is not known yet."""
        return self.configuration is not None and self.configuration.is_open


@dataclass(frozen=True)
class Plan:
    """A study's configurations and runs, in the order in which they are run."""

    study: Study
    configurations: Sequence[Configuration]
    runs: Sequence[PlannedRun]

    @property
    def baseline(self) -> Configuration:
        """What all others are compared with."""
        return next(each for each in self.configurations if each.name == self.study.baseline)

    def of_phase(self, phase: int) -> list[Configuration]:
        """Its configurations."""
        return [each for each in self.configurations if each.phase == phase]


def plan(study: Study, winners: Winners, overrides: Mapping[str, Any]) -> Plan:
    """The plan, with the winners as far as they are known; `overrides` win over all settings."""
    expanded = _of_factors(study, winners) if study.phases else _named(study)
    configurations = [replace(each, settings={**each.settings, **overrides}) for each in expanded]
    _check(study, configurations)
    runs = [_prepared(study, each, overrides) for each in study.prepare]
    for configuration in configurations:
        for seed in study.seeds:
            settings = {**configuration.settings, "seed": seed}
            suffix = f"_seed{seed}" if len(study.seeds) > 1 else ""
            identity = configuration.name + suffix
            runs.append(
                PlannedRun(
                    identity,
                    configuration.phase,
                    Path(study.recipe),
                    {**settings, "name": identity},
                    configuration,
                    seed,
                    prepared_names(settings),
                )
            )
    return Plan(study, configurations, runs)


def _prepared(study: Study, prepared: Prepared, overrides: Mapping[str, Any]) -> PlannedRun:
    settings = {**prepared.settings, **overrides, "name": prepared.name}
    return PlannedRun(prepared.name, PREPARATION, Path(prepared.recipe), settings)


def _named(study: Study) -> Iterator[Configuration]:
    by_name: dict[str, dict[str, Any]] = {}
    for each in study.configurations:
        own = _own_settings(each, by_name)
        by_name[each.name] = own
        yield Configuration(each.name, 1, own, {**study.settings, **own})


def _own_settings(each: Named, by_name: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for other in each.combine:
        settings |= by_name[other]
    return settings | dict(each.settings)


def _of_factors(study: Study, winners: Winners) -> Iterator[Configuration]:
    defaults = {name: factor.default for name, factor in study.factors.items()}
    seen: list[Factors] = []
    number = 0
    for phase_number, phase in enumerate(study.phases, 1):
        known = winners.get(phase_number)
        bases: Sequence[Factors] = [defaults]
        is_open = False
        if phase.best is not None:
            is_open = known is None
            bases = known if known is not None else _open_winners(study, phase_number, defaults)
            # A winner was run in its own phase already, whatever it turns out to be.
            seen += bases
        for base in bases:
            for values in product(*phase.grid.values()):
                factors = {**base, **dict(zip(phase.grid, values, strict=True))}
                if factors in seen:
                    continue
                seen.append(factors)
                number += 1
                yield _configuration(study, number, phase_number, factors, is_open)


def _open_winners(study: Study, phase_number: int, defaults: Factors) -> list[Factors]:
    varied = study.phases[phase_number - 2].grid
    count = study.phases[phase_number - 1].best or 0
    return [{**defaults, **dict.fromkeys(varied, f"top{place}")} for place in range(1, count + 1)]


def _configuration(
    study: Study, number: int, phase: int, factors: Factors, is_open: bool
) -> Configuration:
    shown = {
        name: int(value) if isinstance(value, bool) else value for name, value in factors.items()
    }
    try:
        name = study.id.format(**{**shown, NUMBER: number})
    except (ValueError, IndexError, AttributeError) as error:
        raise InvalidInput("id", f"{study.id!r} ({error})", "such as exp_{number:03}") from None
    own = {} if is_open else {study.factors[f].key: value for f, value in factors.items()}
    return Configuration(name, phase, factors, {**study.settings, **own}, is_open)


def _check(study: Study, configurations: Sequence[Configuration]) -> None:
    by_name: dict[str, Configuration] = {}
    for each in configurations:
        check_name("id", each.name)
        if each.name in by_name:
            raise InvalidInput("id", f"{each.name!r} twice", "a pattern that names all factors")
        for other in by_name.values():
            if not each.is_open and not other.is_open and each.settings == other.settings:
                raise InvalidInput(
                    "configurations",
                    f"{other.name} and {each.name} with the same settings",
                    "each configuration once: a second run of it is a second seed",
                )
        by_name[each.name] = each
    first = [each.name for each in configurations if each.phase == 1]
    if study.baseline not in first:
        raise UnknownName("baseline", study.baseline, first)
    prepared = [each.name for each in study.prepare]
    for each in configurations:
        for name in prepared_names(each.settings):
            if name not in prepared:
                raise UnknownName(f"prepared run of {each.name}", name, prepared)
        if each.name in prepared:
            raise InvalidInput("id", f"{each.name!r} twice", "names unlike those of prepared runs")

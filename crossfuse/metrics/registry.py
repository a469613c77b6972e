"""What a metric is, and how metrics are found by profile and name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from crossfuse.errors import UnknownName
from crossfuse.metrics.picture import Picture, SourcePair

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Description:
    """What a reader of a report needs to know about a metric."""

    name: str
    direction: Direction
    """Which values are better."""
    value_range: tuple[float | None, float | None]
    """None where a side is unbounded."""
    needs_sources: bool
    """False where the fused picture alone decides."""
    definition: str
    """One sentence, with the cases in which the metric is undefined (NaN)."""
    reference: str


@dataclass(frozen=True)
class Metric:
    """A metric of one fused picture; `compute` returns NaN where the metric is undefined."""

    description: Description
    compute: Callable[[SourcePair, Picture], float]

    @property
    def name(self) -> str:
        """The column in reports."""
        return self.description.name


def select(
    profiles: dict[str, tuple[Metric, ...]], profile: str, names: Iterable[str] | None
) -> list[Metric]:
    """The metrics of a profile, all or those named, in the order of the profile."""
    if profile not in profiles:
        raise UnknownName("profile", profile, profiles)
    known = {metric.name: metric for metric in profiles[profile]}
    if names is None:
        return list(known.values())
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise UnknownName("metric", name, known)
    return [metric for metric in known.values() if metric.name in wanted]

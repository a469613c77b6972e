"""What a replica counts, in Ray's metrics, which carry application, deployment and replica."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ray.serve import metrics

from crossfuse_server.observations import PHASES, Observations

OF_MODEL = ("model", "version")


class ReplicaMetrics:
    """Three counters: pairs by outcome, seconds by phase, and runs of engines."""

    PAUSE_SECONDS = 2.0

    def __init__(self, observations: Observations) -> None:
        self._observations = observations
        self._reported: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self._pairs = _counter(
            "crossfuse_pairs", "Pairs by outcome.", (*OF_MODEL, "protocol", "outcome")
        )
        self._seconds = _counter(
            "crossfuse_phase_seconds", "Time of fused pairs by phase.", (*OF_MODEL, "phase")
        )
        self._runs = _counter("crossfuse_engine_runs", "Runs of an engine.", OF_MODEL)

    def report(self) -> None:
        """Hand over what has been counted since the last time."""
        for labels, count in self._observations.requests().items():
            self._raise(self._pairs, (*OF_MODEL, "protocol", "outcome"), labels, count)
        for model, totals in self._observations.totals().items():
            self._raise(self._runs, OF_MODEL, model, totals.executions)
            for phase in PHASES:
                spent = getattr(totals, f"{phase}_ns") / 1e9
                self._raise(self._seconds, (*OF_MODEL, "phase"), (*model, phase), spent)

    def _raise(
        self, counter: metrics.Counter, keys: Iterable[str], labels: tuple[str, ...], total: float
    ) -> None:
        key = (str(counter.info["name"]), *labels)
        grown = total - self._reported[key]
        if grown > 0:
            counter.inc(grown, tags=dict(zip(keys, labels, strict=True)))
            self._reported[key] = total


def _counter(name: str, description: str, keys: tuple[str, ...]) -> metrics.Counter:
    return metrics.Counter(name, description=description, tag_keys=keys)

"""What a replica counts, on its way into Ray's metrics."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from crossfuse_server.observations import Observation, Observations

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]


def test_only_what_is_new_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossfuse_server.ray_serve import metrics

    counted: Counter[tuple[Any, ...]] = Counter()

    class Fake:
        def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
            self.info = {"name": name}

        def inc(self, value: float, tags: dict[str, str]) -> None:
            assert value > 0
            counted[(self.info["name"], *tags.values())] += value  # type: ignore[assignment]

    monkeypatch.setattr("ray.serve.metrics.Counter", Fake)
    observations = Observations()
    reporter = metrics.ReplicaMetrics(observations)
    pair: dict[str, Any] = {"model": "mean", "version": "1", "protocol": "grpc"}
    observations.add_execution("mean", "1", 1, 0.5)
    for _ in range(3):
        observations.add(Observation(**pair, outcome="OK", infer=0.5, total=1.0))
    reporter.report()
    reporter.report()
    observations.add(Observation(**pair, outcome="INVALID_ARGUMENT"))
    reporter.report()
    assert counted["crossfuse_pairs", "mean", "1", "grpc", "OK"] == 3
    assert counted["crossfuse_pairs", "mean", "1", "grpc", "INVALID_ARGUMENT"] == 1
    assert counted["crossfuse_phase_seconds", "mean", "1", "infer"] == pytest.approx(1.5)
    assert counted["crossfuse_engine_runs", "mean", "1"] == 1

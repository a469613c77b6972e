"""The search for the highest rate that keeps a budget, with servers that are formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crossfuse_bench.rate_search import ENOUGH, FEW, search
from crossfuse_bench.rows import latency_fields
from crossfuse_bench.serve_conclusions import (
    budget_of,
    budget_sentence,
    knee,
    residual_sentence,
    verdict,
)

NOTHING: dict[str, Any] = {"failures": {}, "dropped": {}}
LONG = 1e6


def server(highest: float, late: float = 50.0) -> Callable[[float, int], dict[str, Any]]:
    """Answers in 10 ms up to a rate; above it a fifth of the calls are late."""

    def probe(rate: float, calls: int) -> dict[str, Any]:
        times = [10.0] * calls
        if rate > highest:
            times[::5] = [late] * len(times[::5])
        return {**latency_fields(times), **NOTHING, "rate": rate}

    return probe


@pytest.mark.parametrize("highest", [12.0, 37.0, 79.0, 120.0])
def test_the_highest_rate_is_found_within_5_percent(highest: float) -> None:
    rows = search(server(highest), 80.0, [33.3], [], LONG)
    found = budget_of(rows, 33.3)
    assert 0.95 * highest <= found["highest_rate"] <= highest < found["lowest_broken"]
    assert len(rows) < 30


def test_what_was_tried_for_one_budget_tells_of_the_next() -> None:
    rows = search(server(40.0, late=20.0), 80.0, [33.3], [], 0.0)
    assert rows == []
    measured = [server(40.0)(rate, ENOUGH) for rate in (39.0, 40.5)]
    assert search(server(40.0), 80.0, [33.3], measured, LONG) == []


def test_a_server_that_is_always_late_is_given_up() -> None:
    rows = search(server(0.0), 80.0, [33.3, 16.7], [], LONG)
    assert {row["n"] for row in rows} == {FEW}
    assert budget_of(rows, 33.3)["highest_rate"] is None


def test_verdicts_need_evidence() -> None:
    fast, few = latency_fields([10.0] * 400), latency_fields([10.0] * 100)
    assert verdict({**fast, **NOTHING}, 16.7) == "kept"
    assert verdict({**few, **NOTHING}, 16.7) == "undecided"
    assert verdict({**few, **NOTHING}, 9) == "broken"
    assert verdict({**fast, **NOTHING, "dropped": {"overrun": 5}}, 16.7) == "broken"
    assert verdict({**few, **NOTHING, "dropped": {"overrun": 5}}, 16.7) == "undecided"
    assert verdict({**few, **NOTHING, "failures": {"ServerBusy": 50}}, 16.7) == "broken"
    # One late call of sixty says nothing of one in a hundred.
    assert verdict({**latency_fields([10.0] * 59 + [90.0]), **NOTHING}, 16.7) == "undecided"


def test_a_rate_that_was_kept_above_a_broken_one_does_not_count() -> None:
    broken, kept = server(0.0)(20.0, ENOUGH), server(99.0)(40.0, ENOUGH)
    found = budget_of([broken, kept], 33.3)
    assert found["highest_rate"] is None
    assert found["kept"] == [40.0]
    sentence = budget_sentence(33.3, found, "calls")
    assert sentence.endswith("no rate is known to keep it; 20/s is the lowest that breaks it")


def test_the_knee_is_the_least_concurrency_that_is_enough() -> None:
    rates = {1: 50.0, 2: 96.0, 4: 100.0, 8: 99.0}
    closed = [{"concurrency": n, "throughput": rate} for n, rate in rates.items()]
    assert knee(closed)[0] == 2
    assert knee(closed[:1])[1] == "Knee: not to be told from one concurrency"


def test_a_server_that_answered_nothing_has_no_knee() -> None:
    closed = [{"concurrency": n, "throughput": 0.0} for n in (1, 2)]
    assert knee(closed) == (1, "Knee: no call was answered")


def test_what_callers_see_beside_the_server_is_told() -> None:
    rows = [
        {"mean": mean, "phase_residual": 0.0, "phases": {"outside the server": 5.0}}
        for mean in (20.0, 50.0)
    ]
    said = residual_sentence([*rows, {"phase_residual": None}])
    assert "at most 0.0% of the server's total" in said
    assert "10% to 25% of the latency that callers saw is outside of it" in said

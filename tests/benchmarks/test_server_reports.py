"""The measurements of the server under load, short: they run, and their reports say what came."""

from __future__ import annotations

import math

from crossfuse_bench import overload_report, reload, soak_report, throughput
from crossfuse_bench.load import Counted
from crossfuse_bench.soak_server import Holds


def test_models_are_swapped() -> None:
    outcome = reload.measure(requests=60, reloads=3)
    assert (outcome.failures, outcome.wrong, outcome.reloads) == ([], [], 3)
    assert "**kept**" in reload.report(outcome)
    outcome.wrong.append("version 2 gave [7]")
    assert "**NOT kept**" in reload.report(outcome)


def counted(ok: int, refused: int = 0, latency: float = 0.1) -> Counted:
    made = Counted(seconds=1.0)
    for _ in range(ok):
        made.add("OK", latency)
    for _ in range(refused):
        made.add("RESOURCE_EXHAUSTED", 0.001)
    return made


def test_what_counts_as_overload_well_met() -> None:
    def outcome(engine: Counted, decoders: Counted) -> overload_report.Outcome:
        pressed = [overload_report.Pressure(counted(100), one, 0.1) for one in (engine, decoders)]
        return overload_report.Outcome(pressed[0], pressed[1], counted(50), counted(200))

    fine, slow, expired = counted(95, 205), counted(95, 205, latency=1.5), counted(95, 200)
    expired.add("DEADLINE_EXCEEDED", 1.0)
    good = outcome(fine, counted(110, 190))
    assert good.is_good
    assert "| goodput over peak | >= 0.9 | 0.950 | 1.100 |" in overload_report.report(good, 1)
    for bad in (slow, expired, counted(80, 220)):
        assert not outcome(bad, fine).is_good
        assert not outcome(fine, bad).is_good
    assert math.isnan(Counted().percentile(0.5))


def test_what_counts_as_growth() -> None:
    outcome = soak_report.Outcome()
    for second in range(100):
        held = Holds(100 + second / 3600, 5, second, 4, 9)
        outcome.samples.append(soak_report.Sample(second, held))
    assert math.isclose(outcome.slope, 1.0, rel_tol=0.01)
    assert outcome.slope_error < 0.01
    assert outcome.growth(lambda held: held.threads) == 0
    assert outcome.growth(lambda sample: sample.pooled) == 45
    assert "| memory slope in the second half, MB/h | 1.00 |" in soak_report.report(
        outcome, 1.7, work_seconds=22, settled_seconds=7
    )
    outcome.samples = [soak_report.Sample(n, Holds(100, 5, 9, 4, 9)) for n in range(100)]
    assert outcome.is_good
    outcome.codes["UNKNOWN"] += 1
    assert not outcome.is_good


def test_the_budget_of_a_call() -> None:
    budget = {"decode": 1.0, "queue": 2.0, "infer": 3.0, "encode": 4.0, "total": 11, "client": 15}
    found = [throughput.Round(10.0, 9.0, 0.1, 0.11)]
    text = throughput.report("crossfuse-rt", found, budget)
    assert "gRPC reaches **90.0 %**" in text
    assert "| gRPC, protobuf, kernel and client | 4.00 |" in text

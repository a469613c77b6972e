"""The queue of the scaling report, its plan, and the page that is made of kept figures."""

from __future__ import annotations

import math
import random
import shutil
from pathlib import Path

import pytest

from crossfuse_bench import scaling_page
from crossfuse_bench.scaling_model import (
    Fit,
    Point,
    chance_to_wait,
    fitted,
    mean_wait,
    wait_below,
)
from crossfuse_bench.scaling_plan import (
    UTILISATION,
    Plan,
    doors,
    gigabits,
    processor_time_of_a_pair,
    raw_bytes,
)

SERVICE = 0.02


def simulated_waits(servers: int, rate: float, service: float, calls: int) -> list[float]:
    """One queue, fixed service time, random arrivals, played through."""
    chance = random.Random(5)  # noqa: S311 - a queue, not a secret
    free = [0.0] * servers
    waits, now = [], 0.0
    for _ in range(calls):
        now += chance.expovariate(rate)
        first = min(range(servers), key=free.__getitem__)
        begin = max(now, free[first])
        free[first] = begin + service
        waits.append(begin - now)
    return waits


def test_erlang_c_is_that_of_the_tables() -> None:
    assert chance_to_wait(1, 0.5) == pytest.approx(0.5)
    assert chance_to_wait(2, 1.0) == pytest.approx(1 / 3)
    assert chance_to_wait(5, 4.0) == pytest.approx(0.5541, abs=1e-4)
    assert chance_to_wait(3, 3.0) == 1.0


@pytest.mark.parametrize("servers", [1, 2, 4])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_the_mean_wait_is_that_of_a_queue_played_through(servers: int, share: float) -> None:
    rate = share * servers / SERVICE
    waits = simulated_waits(servers, rate, SERVICE, 100_000)
    expected = sum(waits) / len(waits)
    assert mean_wait(servers, rate, SERVICE) == pytest.approx(expected, rel=0.1, abs=2e-4)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_99_of_100_wait_less(share: float) -> None:
    rate = share / SERVICE
    waits = sorted(simulated_waits(1, rate, SERVICE, 100_000))
    assert wait_below(rate, SERVICE, 0.99) == pytest.approx(waits[99_000], rel=0.15)


def test_the_ends_of_the_queue() -> None:
    assert mean_wait(2, 0.0, SERVICE) == 0.0
    assert math.isinf(mean_wait(2, 100.0, SERVICE))
    assert math.isinf(wait_below(50.0, SERVICE, 0.99))
    assert wait_below(0.1, SERVICE, 0.99) == 0.0


def test_a_fit_finds_what_the_points_were_made_of() -> None:
    truth = Fit(SERVICE, 0.004)
    points = [Point(c, s * c / SERVICE, truth.latency(c, s * c / SERVICE))
              for c in (1, 2, 4) for s in (0.3, 0.6, 0.8)]  # fmt: skip
    points.append(Point(2, 60.0, 9.0))  # the machine stalled
    fit = fitted(1 / SERVICE, points)
    assert fit.service == pytest.approx(SERVICE)
    assert fit.overhead == pytest.approx(0.004)


def test_the_plan_never_loads_a_replica_beyond_its_share() -> None:
    for service in (0.0003, 0.002, 0.0197, 0.027):
        plan = Plan(service)
        assert plan.cameras_per_replica * plan.fps * service <= UTILISATION
        assert plan.replicas is not None
        assert plan.replicas * plan.cameras_per_replica >= plan.cameras
    assert Plan(0.05).replicas is None
    assert doors(0.004, 25_000) == 143
    assert raw_bytes(480, 640) == (1_228_800, 921_600)
    assert gigabits(1_228_800, 25_000) == pytest.approx(245.76)


def test_the_page_is_what_the_kept_figures_make(root: Path, tmp_path: Path) -> None:
    for part in ("benchmarks/results", "docs/images"):
        (tmp_path / part).mkdir(parents=True)
    names = (*scaling_page.FILES.values(), "throughput-rt-cpu2.md")
    for name in names:
        shutil.copy(root / "benchmarks/results" / name, tmp_path / "benchmarks/results" / name)
    shutil.copy(root / "docs/scaling.md", tmp_path / "docs/scaling.md")
    assert scaling_page.main(["--root", str(tmp_path)]) == 0
    made = [
        "docs/scaling.md",
        *(f"docs/images/{p.name}" for p in (tmp_path / "docs/images").iterdir()),
    ]
    assert len(made) == 3
    for name in made:
        assert (tmp_path / name).read_text() == (root / name).read_text(), (
            f"run make scaling: {name}"
        )


def test_the_time_of_a_pair_comes_from_the_kept_measurement(root: Path) -> None:
    assert 0.001 < processor_time_of_a_pair(root / "benchmarks/results") < 0.1

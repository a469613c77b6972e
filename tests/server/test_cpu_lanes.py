"""Which of its two engines a pair runs on, and that nobody can tell from the picture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from crossfuse_server.cpu_lanes import MOST_LANES, CpuEngines, Crowd

IR = np.zeros((1, 32, 32), np.uint8)
VIS = np.zeros((1, 32, 32, 3), np.uint8)


class Recorded:
    """Two engines that wait until they are let go and say which of them ran."""

    def __init__(self, stand_in: Any) -> None:
        self.ran: list[str] = []
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.whole = stand_in(self._action("whole"))
        self.share = stand_in(self._action("share"))

    def _action(self, name: str) -> Callable[[Any, Any], Any]:
        def act(ir: Any, vis: Any) -> Any:
            self.ran.append(name)
            self.entered.release()
            assert self.let_go.acquire(timeout=20)
            return vis

        return act


def run_at_once(recorded: Recorded, *lanes: Any) -> None:
    """Each begins when the one before it runs."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        for lane in lanes:
            pool.submit(lane.fuse, IR, VIS)
            assert recorded.entered.acquire(timeout=20)
        recorded.let_go.release(len(lanes))


def test_a_pair_alone_gets_everything_and_a_full_house_shares(stand_in: Any) -> None:
    recorded = Recorded(stand_in)
    engines = CpuEngines(recorded.whole, recorded.share, Crowd(3))
    first, second, third = (engines.lane() for _ in range(3))
    run_at_once(recorded, first, second, third)
    run_at_once(recorded, second)
    assert recorded.ran == ["whole", "whole", "share", "whole"]


def test_the_pairs_of_other_models_count(stand_in: Any) -> None:
    recorded = Recorded(stand_in)
    crowd = Crowd(2)
    one = CpuEngines(recorded.whole, recorded.share, crowd).lane()
    other = CpuEngines(recorded.whole, recorded.share, crowd).lane()
    run_at_once(recorded, one, other)
    assert recorded.ran == ["whole", "share"]


def test_a_pair_that_fails_leaves_the_crowd(stand_in: Any) -> None:
    def fail(ir: Any, vis: Any) -> Any:
        raise ValueError("no picture today")

    recorded = Recorded(stand_in)
    crowd = Crowd(2)
    broken = CpuEngines(stand_in(fail), stand_in(fail), crowd).lane()
    for _ in range(3):
        with pytest.raises(ValueError, match="no picture today"):
            broken.fuse(IR, VIS)
    run_at_once(recorded, CpuEngines(recorded.whole, recorded.share, crowd).lane())
    assert recorded.ran == ["whole"]


def test_the_last_lane_that_is_closed_closes_both_engines(stand_in: Any) -> None:
    whole, share = stand_in(lambda ir, vis: vis), stand_in(lambda ir, vis: vis)
    engines = CpuEngines(whole, share, Crowd(2))
    first, second = engines.lane(), engines.lane()
    first.close()
    assert not whole.closed
    second.close()
    assert whole.closed
    assert share.closed


@pytest.mark.parametrize(
    ("processors", "lanes", "threads", "share"),
    [(1, 1, 1, 1), (2, 2, 2, 1), (3, 3, 3, 1), (16, MOST_LANES, 16, 4), (64, MOST_LANES, 2, 1)],
)
def test_the_shares_together_are_no_more_than_the_whole(
    processors: int, lanes: int, threads: int, share: int
) -> None:
    crowd = Crowd(processors)
    assert (crowd.lanes, crowd.share_of(threads)) == (lanes, share)


def test_many_calls_at_once_get_the_picture_of_one_alone(serve: Any, make: Any) -> None:
    running = serve(threads=2)
    assert running.server.host.get("mean", "1").engines == 2
    requests = [make.request(make.ir(seed=n), make.vis(seed=n + 100)) for n in range(8)]
    alone = [running.fuse(request).fused.data for request in requests]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert [a.fused.data for a in pool.map(running.fuse, requests)] == alone

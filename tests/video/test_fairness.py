"""Four streams that share one model: each gets its turn, and none piles up pictures."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.engines import Engine, EngineDescription
from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, VideoSummary, fuse_streams

STREAMS = 4
SECONDS = 5.0


class OneAtATime(Engine):
    """A model that can do one picture at a time, and is too slow for four cameras."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._pause = threading.Event()

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        with self._busy:
            self._pause.wait(0.02)
        return vis

    def describe(self) -> EngineDescription:
        return EngineDescription("one", 1, "fp32", "0" * 64, "cpu", "none", "none", 1, 32)


def test_four_streams_share_a_model_fairly(camera: Callable[..., Any]) -> None:
    ir, vis = camera(fps=30.0), camera(fps=30.0)
    stop = threading.Event()
    summaries: list[VideoSummary] = []
    times: list[list[float]] = [[] for _ in range(STREAMS)]
    options = VideoOptions(decoder="opencv", tolerance_ms=200.0, max_wait=0.5, timeout=5.0)
    with Fuser(OneAtATime()) as shared:

        def run(mine: list[float]) -> None:
            summaries.append(
                fuse_streams(
                    ir.address,
                    vis.address,
                    fuser=shared,
                    options=options,
                    on_frame=lambda pair: mine.append(time.monotonic()),
                    stop=stop,
                )
            )

        threads = [threading.Thread(target=run, args=(mine,), daemon=True) for mine in times]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 60
        while not all(times) and time.monotonic() < end:
            threads[0].join(0.05)
        began = time.monotonic()
        threads[0].join(SECONDS)
        stop.set()
        for thread in threads:
            thread.join(60)
    assert len(summaries) == STREAMS
    fused = sorted(sum(moment >= began for moment in mine) for mine in times)
    assert fused[0] >= 0.8 * fused[-1], fused
    assert all(summary.dropped.get("pair: overrun", 0) > 0 for summary in summaries)
    gc.collect()
    assert threading.active_count() < 40


def test_four_live_streams_are_served_alike_in_memory_that_stays() -> None:
    """`make four-streams` does it for ten minutes, and keeps the report."""
    command = [sys.executable, "-m", "crossfuse_bench.four_streams", "--minutes", "0.35", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    outcome = json.loads(done.stdout)
    assert outcome["problems"] == []
    assert min(outcome["fused"]) >= 0.8 * max(outcome["fused"]) > 0
    assert min(outcome["dropped"]) > 0
    memory = [sample["memory_mb"] for sample in outcome["samples"]]
    quarter = len(memory) // 4
    # A stream that kept one picture in ten would hold 20 MB more by now.
    assert np.median(memory[-quarter:]) - np.median(memory[quarter : 2 * quarter]) < 8
    assert done.returncode == 0

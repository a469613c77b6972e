"""`crossfuse bench video`: sources, client, server and written files, with several streams at once.

Each stream is a process that does what `crossfuse video` does. The delay of a frame runs from the
arrival of its pair in the client until it was written; a recording is read as fast as it is fused,
so that its rate is the most the chain can do.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.client import ModelInfo
from crossfuse.errors import EngineError
from crossfuse.video import FusedPair, VideoOptions, fuse_streams
from crossfuse_bench.engine_runs import KEPT
from crossfuse_bench.process import FreshProcess, MeasuredProcess
from crossfuse_bench.quality import distance, fp32_pictures
from crossfuse_bench.report.document import Document
from crossfuse_bench.rows import Row, latency_fields, stable_in_time
from crossfuse_bench.server_address import ServerAddress
from crossfuse_bench.throughput import start_server

Progress = Callable[[str], None]


@dataclass(frozen=True)
class VideoBench:
    """What `bench video` was asked for."""

    ir: str
    vis: str
    server: ServerAddress
    """Without a target one is started."""
    model: str
    streams: Sequence[int]
    """How many run at once, one row for each number."""
    frames: int
    """Of every stream, at most."""


@dataclass
class StreamRun:
    """One stream, measured in the process that ran it."""

    delays: list[float] = field(default_factory=list)
    written_at: list[float] = field(default_factory=list)
    size: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    failed: int = 0
    kept: list[tuple[UInt8Array, UInt8Array, UInt8Array]] = field(default_factory=list)
    """The first pictures: ir, vis and what came of them, before the file made them smaller."""


def run_bench(asked: VideoBench, command: str, progress: Progress) -> Document:
    """Measure everything and return the report."""
    with ExitStack() as stack:
        server = asked.server
        if not server.target:
            progress(f"starting a server of {asked.model}")
            start = functools.partial(start_server, asked.model)
            server = ServerAddress(stack.enter_context(MeasuredProcess(start)).address)
        run_streams(asked, server, 1, 2)  # warms the server up
        with server.client() as client:
            info = client.server_info()
        named = [model for model in info.models if asked.model in (model.name, model.reference)]
        model = (named or list(info.models))[0]
        rows = []
        for streams in asked.streams:
            progress(f"{streams} streams")
            runs = run_streams(asked, server, streams, asked.frames)
            rows.append(_row(asked, runs) | {"quality": _quality(model, runs[0])})
    identity = {
        "name": model.name,
        "version": model.version,
        "precision": model.precision,
        "sha256": model.sha256,
        "provider": model.provider or "unknown",
        "runtime": info.runtime,
    }
    method = {
        "scenario": "from sources to written .mp4 files; delay from the arrival of a pair",
        "inputs": f"{asked.ir} and {asked.vis}",
        "server": asked.server.target or "a process of its own on this machine, default settings",
        "frames": f"at most {asked.frames} of every stream",
    }
    return Document("video", command, identity, method, rows)


def run_streams(
    asked: VideoBench, server: ServerAddress, streams: int, frames: int
) -> list[StreamRun]:
    """So many streams at once, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        processes = [
            stack.enter_context(
                FreshProcess(_stream, asked, server, frames, Path(folder) / f"{number}.mp4")
            )
            for number in range(streams)
        ]
        return [process.result() for process in processes]


def _stream(asked: VideoBench, server: ServerAddress, frames: int, output: Path) -> StreamRun:
    run = StreamRun()

    def note(pair: FusedPair) -> None:
        now = time.monotonic()
        run.delays.append(1e3 * (now - pair.pair.arrived_at))
        run.written_at.append(now)
        height, width = pair.fused.shape[:2]
        run.size = f"{height}x{width}"
        if len(run.kept) < KEPT:
            run.kept.append((pair.pair.ir, pair.pair.vis, pair.fused))

    with server.client() as client:
        summary = fuse_streams(
            asked.ir,
            asked.vis,
            output,
            client=client,
            model=asked.model,
            options=VideoOptions(max_frames=frames),
            on_frame=note,
        )
    run.dropped, run.problems, run.failed = summary.dropped, summary.problems, summary.failed
    return run


def _quality(model: ModelInfo, run: StreamRun) -> Row:
    pairs = [(ir, vis) for ir, vis, _ in run.kept]
    return distance([fused for *_, fused in run.kept], fp32_pictures(model, pairs))


def _row(asked: VideoBench, runs: Sequence[StreamRun]) -> Row:
    problems = [problem for run in runs for problem in run.problems]
    if any(len(run.written_at) < 2 for run in runs):
        raise EngineError(
            f"a stream wrote less than two frames: {'; '.join(problems) or 'no fault'}"
        )
    delays = [delay for run in runs for delay in run.delays]
    moments = [moment for run in runs for moment in run.written_at]
    dropped: Counter[str] = Counter()
    for run in runs:
        dropped.update(run.dropped)
    intervals = np.concatenate([1e3 * np.diff(run.written_at) for run in runs])
    failed = sum(run.failed for run in runs)
    return {
        "name": asked.model,
        "kind": "video",
        "measured": True,
        "size": runs[0].size,
        "mode": f"{len(runs)} stream{'s' * (len(runs) > 1)}",
        "streams": len(runs),
        **latency_fields(delays),
        "throughput": sum(
            (len(run.written_at) - 1) / (run.written_at[-1] - run.written_at[0]) for run in runs
        ),
        "stable": stable_in_time(delays, moments),
        "interval_ms": float(np.median(intervals)),
        "jitter_ms": float(np.quantile(np.abs(intervals - np.median(intervals)), 0.9)),
        "dropped": dict(dropped),
        "failures": {"not fused": failed} if failed else {},
        "problems": problems,
    }

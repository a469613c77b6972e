"""MLPerf LoadGen against a server, through our client: SingleStream and Server, with its verdicts.

    python -m crossfuse_bench.loadgen -o DIR [--server HOST:PORT ...] [--scenario single-stream]
        [--rate 20] [--seconds 10]

The full setting of the rules is --seconds 600. LoadGen's own logs stay in the folder, and its
verdict, VALID or INVALID, decides the exit code. The latency of Server counts from the scheduled
time, arrivals are Poisson. These are no MLPerf results: the model and the data are not of MLPerf.
"""

from __future__ import annotations

import argparse
import array
import functools
import importlib
import math
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from crossfuse.bundles import DEFAULT_MODEL
from crossfuse.cli.server_options import add_server_arguments, credentials
from crossfuse.client import FusionClient
from crossfuse.errors import CrossFuseError, MissingDependency
from crossfuse_bench.process import MeasuredProcess
from crossfuse_bench.scenes import Scenes, load_scenes
from crossfuse_bench.server_address import ServerAddress
from crossfuse_bench.throughput import start_server

SCENARIOS = {"single-stream": "SingleStream", "server": "Server"}
BOUND_MS = 33.3
MOST_WAITING = 64
WARM_UP_CALLS = 5
SINGLE_STREAM_PERCENTILE, SERVER_PERCENTILE = 0.9, 0.99


class SystemUnderTest:
    """Answers LoadGen's queries with pictures of a server."""

    def __init__(self, loadgen: Any, client: FusionClient, scenes: Scenes, callers: int) -> None:
        self._loadgen, self._client, self._scenes = loadgen, client, scenes
        self._pool = ThreadPoolExecutor(callers)
        self._lock = threading.Lock()
        self.failures: Counter[str] = Counter()

    def issue(self, queries: Sequence[Any]) -> None:
        """Called by LoadGen when a query is due."""
        for query in queries:
            self._pool.submit(self._answer, query.id, query.index)

    def _answer(self, identity: int, index: int) -> None:
        ir, vis = self._scenes.pairs[index]
        content = b""
        try:
            content = self._client.fuse(ir, vis).tobytes()
        except CrossFuseError as error:
            with self._lock:
                self.failures[type(error).__name__] += 1
        # LoadGen waits for every query, also for one that failed: failures are counted beside.
        kept = array.array("B", content)
        address, length = kept.buffer_info()
        response = self._loadgen.QuerySampleResponse(identity, address, length)
        self._loadgen.QuerySamplesComplete([response])

    def end(self) -> None:
        """After the test."""
        self._pool.shutdown()


def run_scenario(
    server: ServerAddress,
    scenario: str,
    scenes: Scenes,
    *,
    seconds: float,
    rate: float,
    folder: Path,
) -> tuple[str, Counter[str]]:
    """LoadGen's summary, and failed calls by reason."""
    loadgen = _loadgen()
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, SCENARIOS[scenario])
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = round(1e3 * seconds)
    settings.min_query_count = 1
    settings.server_target_qps = rate
    settings.server_target_latency_ns = round(1e6 * BOUND_MS)
    settings.server_target_latency_percentile = SERVER_PERCENTILE
    settings.single_stream_target_latency_percentile = SINGLE_STREAM_PERCENTILE
    folder.mkdir(parents=True, exist_ok=True)
    logs = loadgen.LogSettings()
    outputs = loadgen.LogOutputSettings()
    outputs.outdir, outputs.copy_summary_to_stdout = str(folder), False
    logs.log_output = outputs
    callers = 1 if scenario == "single-stream" else MOST_WAITING
    with server.client(retries=0) as client:
        # LoadGen prepares as many queries as it expects to need; to run out of them is an error.
        fastest = min(_seconds(client, scenes) for _ in range(WARM_UP_CALLS))
        settings.single_stream_expected_latency_ns = round(1e9 * fastest / 2)
        tested = SystemUnderTest(loadgen, client, scenes, callers)
        count = len(scenes.pairs)
        system = loadgen.ConstructSUT(tested.issue, _nothing)
        # The pictures are in memory all the time: there is nothing to load.
        library = loadgen.ConstructQSL(count, count, _nothing, _nothing)
        try:
            loadgen.StartTestWithLogSettings(system, library, settings, logs)
        finally:
            loadgen.DestroyQSL(library)
            loadgen.DestroySUT(system)
            tested.end()
    return (folder / "mlperf_log_summary.txt").read_text(encoding="utf-8"), tested.failures


def is_valid(summary: str) -> bool:
    """LoadGen's verdict."""
    return re.search(r"^Result is\s*:\s*VALID", summary, re.MULTILINE) is not None


def _seconds(client: FusionClient, scenes: Scenes) -> float:
    started = time.perf_counter()
    client.fuse(*scenes.pairs[0])
    return time.perf_counter() - started


def _nothing(*_: Any) -> None:
    """What LoadGen asks for and nothing needs."""


def _loadgen() -> Any:
    # By name: it ships no types.
    try:
        return importlib.import_module("mlperf_loadgen")
    except ImportError as error:
        raise MissingDependency("mlcommons-loadgen", "this measurement", "bench") from error


def _measured(args: argparse.Namespace) -> tuple[str, Counter[str]]:
    with ExitStack() as stack:
        server = ServerAddress(args.server or "", **credentials(args))
        if not server.target:
            start = functools.partial(start_server, args.model)
            server = ServerAddress(stack.enter_context(MeasuredProcess(start)).address)
        return run_scenario(
            server, args.scenario, load_scenes(args.height, args.width),
            seconds=args.seconds, rate=args.rate, folder=args.output,
        )  # fmt: skip


def _positive(kind: Callable[[str], float], text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text}; valid: a number above 0")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run a scenario; 1 when LoadGen says INVALID, or a call failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    add_server_arguments(parser)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    parser.add_argument("--scenario", choices=SCENARIOS, default="single-stream")
    for name, kind, default, what in (
        ("--seconds", float, 10.0, ""),
        ("--rate", float, 20.0, "of Server; "),
        ("--height", int, 480, ""),
        ("--width", int, 640, ""),
    ):
        parser.add_argument(
            name, type=functools.partial(_positive, kind), default=default,
            help=f"{what}default: %(default)s",
        )  # fmt: skip
    args = parser.parse_args(argv)
    try:
        summary, failures = _measured(args)
    except CrossFuseError as error:
        parser.exit(error.exit_code, f"loadgen: {error}\n")
    print(summary)
    for name, count in failures.items():
        print(f"{count} calls failed: {name}")
    return int(bool(failures) or not is_valid(summary))


if __name__ == "__main__":
    sys.exit(main())

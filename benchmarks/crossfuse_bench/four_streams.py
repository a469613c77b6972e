"""Several live pairs of cameras on one model: each gets its turn, and memory does not grow.

    python -m crossfuse_bench.four_streams -o FILE.md [--minutes 10]

Two cameras, infrared and visible, send motion JPEG over HTTP from a process of their own, faster
than the model can fuse it for all streams at once, so that each stream drops its oldest pairs. Each
writes an MP4. What the fusing process holds is read every second; the first quarter is the warm-up.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from crossfuse.fuser import Fuser, load
from crossfuse.synthetic import Scene
from crossfuse.video import VideoOptions, VideoSummary, fuse_streams, share_one_heap
from crossfuse.video.http_sink import HttpSink
from crossfuse_bench.conditions import conditions

HEIGHT, WIDTH = 240, 320
FPS = 50.0
SCENES = 50
LEAST_FAIRNESS = 0.8
# Of the second half beside the second quarter, in MB; one picture kept per second is more.
MOST_GROWTH = 8.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the fusing process held at one moment."""

    at: float
    memory_mb: float
    threads: int
    descriptors: int


@dataclass(slots=True)
class Outcome:
    """What became of the streams."""

    seconds: float
    fused: list[int]
    """Of each stream, from the moment all of them ran."""
    dropped: list[int]
    delay_p99_ms: list[float | None]
    problems: list[str]
    samples: list[Sample] = field(default_factory=list)

    @property
    def fairness(self) -> float:
        """The frames of the slowest stream over those of the fastest."""
        return min(self.fused) / max(self.fused) if max(self.fused) else 0.0

    @property
    def growth_mb(self) -> float:
        """Median memory of the last quarter over that of the second one."""
        quarter = len(self.samples) // 4
        memory = [sample.memory_mb for sample in self.samples]
        return float(np.median(memory[-quarter:]) - np.median(memory[quarter : 2 * quarter]))

    @property
    def kept(self) -> bool:
        """Whether all streams were served alike, within memory that stays."""
        return (
            self.fairness >= LEAST_FAIRNESS
            and self.growth_mb <= MOST_GROWTH
            and min(self.dropped) > 0
            and not self.problems
        )


def measure(streams: int, seconds: float, model: str) -> Outcome:
    """Fuse so many pairs of streams for so long."""
    share_one_heap()
    context = multiprocessing.get_context("spawn")
    connection, remote = context.Pipe()
    cameras = context.Process(target=_film, args=(remote,), daemon=True)
    cameras.start()
    ir, vis = (f"http://127.0.0.1:{port}" for port in connection.recv())
    try:
        with (
            load(model, device="cpu") as fuser,
            tempfile.TemporaryDirectory(prefix="crossfuse-") as folder,
        ):
            return _fuse(fuser, ir, vis, Path(folder), streams, seconds)
    finally:
        cameras.kill()
        cameras.join()


def _fuse(fuser: Fuser, ir: str, vis: str, folder: Path, streams: int, seconds: float) -> Outcome:
    stop = threading.Event()
    summaries: list[VideoSummary | None] = [None] * streams
    counts = [0] * streams

    def run(number: int) -> None:
        def count(_: object) -> None:
            counts[number] += 1

        summaries[number] = fuse_streams(
            ir,
            vis,
            folder / f"{number}.mp4",
            fuser=fuser,
            options=VideoOptions(tolerance_ms=200, max_wait=0.5),
            on_frame=count,
            stop=stop,
        )

    threads = [threading.Thread(target=run, args=(number,)) for number in range(streams)]
    for thread in threads:
        thread.start()
    while not all(counts) and all(thread.is_alive() for thread in threads):
        time.sleep(0.05)
    before, began, samples = list(counts), time.monotonic(), []
    while (passed := time.monotonic() - began) < seconds:
        samples.append(_sample(passed))
        time.sleep(min(1.0, seconds - passed))
    fused = [now - then for now, then in zip(counts, before, strict=True)]
    stop.set()
    for thread in threads:
        thread.join()
    ended = [summary for summary in summaries if summary is not None]
    return Outcome(
        seconds,
        fused,
        [summary.dropped.get("pair: overrun", 0) for summary in ended],
        [summary.delay_ms.p99 for summary in ended],
        [problem for summary in ended for problem in summary.problems],
        samples,
    )


def _film(connection: Connection) -> None:
    """Two cameras before one street, until the process is killed."""
    scene = Scene(0, HEIGHT, WIDTH)
    shots = [scene.frame(number / FPS) for number in range(SCENES)]
    sinks = [HttpSink("http://127.0.0.1:0") for _ in range(2)]
    connection.send([sink.port for sink in sinks])
    number = 0
    while True:
        for sink, picture in zip(sinks, shots[number % SCENES], strict=True):
            sink.write(picture, 0)
        number += 1
        time.sleep(1 / FPS)


def _sample(at: float) -> Sample:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    numbers = dict(line.split(":", 1) for line in status.splitlines())
    return Sample(
        at,
        int(numbers["VmRSS"].split()[0]) / 1024,
        int(numbers["Threads"]),
        len(list(Path("/proc/self/fd").iterdir())),
    )


def report(outcome: Outcome, model: str) -> str:
    """The outcome as Markdown."""
    minutes, streams = outcome.seconds / 60, len(outcome.fused)
    later = outcome.samples[len(outcome.samples) // 4 :]
    delays = [delay for delay in outcome.delay_p99_ms if delay is not None]
    rows = [
        f"| {sample.at / 60:.1f} | {sample.memory_mb:.1f} | {sample.threads} "
        f"| {sample.descriptors} |"
        for sample in outcome.samples[:: max(len(outcome.samples) // 20, 1)]
    ]
    return "\n".join(
        [
            f"# {streams} live streams at once",
            "",
            *conditions("numpy", "opencv-python-headless", "onnxruntime"),
            f"- Method: {minutes:g} minutes of {streams} pairs of streams, {WIDTH}x{HEIGHT}, up to "
            f"{FPS:g} frames a second, motion JPEG over HTTP from another process of the same "
            f"machine, fused by one {model} in one process whose threads share one heap "
            "(crossfuse.video.share_one_heap), each written to an MP4. Memory, threads and "
            "descriptors are those of the fusing process.",
            f"- Repeat it: `python -m crossfuse_bench.four_streams -o FILE.md --minutes {minutes:g}"
            "`",
            "",
            f"Slowest stream at {LEAST_FAIRNESS:.0%} of the fastest or more, every stream drops "
            f"its oldest pairs, memory grows by {MOST_GROWTH:g} MB or less, no problems: "
            f"**{'kept' if outcome.kept else 'NOT kept'}**.",
            "",
            "| what | value |",
            "| --- | ---: |",
            f"| frames fused, by stream | {', '.join(map(str, outcome.fused))} |",
            f"| slowest over fastest | {outcome.fairness:.3f} |",
            f"| pairs dropped for newer ones, by stream | {', '.join(map(str, outcome.dropped))} |",
            f"| delay p99, the worst stream, ms | {max(delays, default=0):.0f} |",
            f"| memory of the last quarter over that of the second, MB | {outcome.growth_mb:.1f} |",
            f"| least and most memory after the first quarter, MB | "
            f"{min(s.memory_mb for s in later):.1f} to {max(s.memory_mb for s in later):.1f} |",
            f"| problems | {'; '.join(outcome.problems) or 'none'} |",
            "",
            "| minute | memory MB | threads | descriptors |",
            "| ---: | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write the report, and say by the exit code whether all was kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.md", help="the report")
    parser.add_argument("--json", action="store_true", help="print the outcome on stdout")
    parser.add_argument("--minutes", type=float, default=10.0, help="default: %(default)s")
    parser.add_argument("--streams", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--model", default="crossfuse-rt", help="default: %(default)s")
    args = parser.parse_args(argv)
    outcome = measure(args.streams, 60 * args.minutes, args.model)
    text = report(outcome, args.model)
    if args.output is not None:
        args.output.write_text(text, encoding="utf-8")
    if args.json:
        print(json.dumps({**asdict(outcome), "kept": outcome.kept}))
    print(text, file=sys.stderr)
    return 0 if outcome.kept else 1


if __name__ == "__main__":
    sys.exit(main())

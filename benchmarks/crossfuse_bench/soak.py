"""A long mixed load on one server: memory, threads and descriptors must not grow.

    python -m crossfuse_bench.soak -o FILE.md [--minutes 30]

All at once: unary callers with RAW and PNG pictures of changing sizes, streams, callers that crash
in the middle of a message, broken requests, calls that are cancelled, connections that come and go,
and a reload every few seconds. Every half minute all of them rest, until the server has given free
memory back; what it holds then is what counts. The slope of the second half of its memory, the
first half being the warm-up, is the result.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.conditions import conditions
from crossfuse_bench.half_messages import HalfMessages
from crossfuse_bench.load import connected, raw_request
from crossfuse_bench.soak_server import SoakServer

SIZES = ((64, 64), (96, 128), (240, 320), (480, 640))
MOST_SLOPE_MB = 1.0

# A server that has been idle for five seconds gives its free memory back.
WORK_SECONDS = 22.0
REST_SECONDS = 8.0
METHODS = tuple(
    f"/{service}/{method}"
    for service, method in (
        ("crossfuse.v1.FusionService", "Fuse"),
        ("crossfuse.v1.FusionService", "FuseStream"),
        ("crossfuse.v1.FusionService", "GetServerInfo"),
        ("grpc.health.v1.Health", "Check"),
    )
)
DOCUMENTED = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "CANCELLED", "DEADLINE_EXCEEDED"}


@dataclass(slots=True)
class Sample:
    """What the server held at one moment."""

    at: float
    memory_mb: float
    threads: int
    """Outside the pools, and not of gRPC's event engine."""
    pooled: int
    event_engine: int
    descriptors: int


@dataclass(slots=True)
class Outcome:
    """Everything that was counted."""

    codes: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    reloads: int = 0

    @property
    def second_half(self) -> list[Sample]:
        """After the warm-up."""
        return self.samples[len(self.samples) // 2 :]

    @property
    def slope(self) -> float:
        """Megabytes an hour, by least squares."""
        later = self.second_half
        hours = np.array([sample.at for sample in later]) / 3600
        return float(np.polyfit(hours, [sample.memory_mb for sample in later], 1)[0])

    def growth(self, read: Callable[[Sample], int]) -> int:
        """The median of the last tenth over that of the first tenth, after the warm-up."""
        later = [read(sample) for sample in self.second_half]
        tenth = max(len(later) // 10, 1)
        return int(np.median(later[-tenth:]) - np.median(later[:tenth]))


class Soak:
    """The callers; each works until the time is over."""

    def __init__(self, server: SoakServer, seconds: float) -> None:
        self.outcome = Outcome()
        self._server = server
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._busy = 0
        self._go = threading.Event()
        self._go.set()

    def run(self) -> Outcome:
        """Everything at once, then the outcome."""
        works = [
            self._unary,
            self._unary,
            self._streams,
            self._rubbish,
            self._leavers,
            self._crash,
            self._reload,
        ]
        threads = [threading.Thread(target=self._until_the_end, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        while time.monotonic() < self._end:
            time.sleep(WORK_SECONDS)
            self._rest()
            held = self._server.holds()
            self.outcome.samples.append(
                Sample(
                    time.monotonic() - started,
                    held.memory / 2**20,
                    held.threads,
                    held.pooled,
                    held.event_engine,
                    held.descriptors,
                )
            )
            self._go.set()
        for thread in threads:
            thread.join()
        return self.outcome

    def _rest(self) -> None:
        self._go.clear()
        while self._busy:
            time.sleep(0.01)
        time.sleep(REST_SECONDS)

    def _until_the_end(self, work: Callable[[random.Random], None]) -> None:
        chance = random.Random(work.__name__)  # noqa: S311 - a load, not a secret
        while self._go.wait() and time.monotonic() < self._end:
            with self._lock:
                self._busy += 1
            try:
                work(chance)
                code = "OK"
            except grpc.RpcError as error:
                call: Any = error
                code = call.code().name
            with self._lock:
                self._busy -= 1
                self.outcome.codes[code] += 1
            time.sleep(chance.uniform(0.0, 0.05))

    def _unary(self, chance: random.Random) -> None:
        """A few calls on a connection of its own, RAW or PNG, in and out."""
        with connected(self._server.address) as stub:
            for _ in range(chance.randint(1, 20)):
                request = raw_request(*chance.choice(SIZES), seed=chance.randint(0, 9))
                if chance.random() < 0.3:
                    request.vis.CopyFrom(as_png(request.vis))
                    request.options.output_encoding = pb.ENCODING_PNG
                stub.Fuse(request, timeout=30)

    def _streams(self, chance: random.Random) -> None:
        """A stream that is read to its end, or left in the middle."""
        height, width = chance.choice(SIZES)
        request = raw_request(height, width)
        frames = chance.randint(1, 60)

        def messages() -> Any:
            policy = chance.choice([pb.DROP_POLICY_NONE, pb.DROP_POLICY_OLDEST])
            yield pb.FuseStreamRequest(config=pb.StreamConfig(drop_policy=policy))
            for number in range(frames):
                frame = pb.StreamFrame(frame_id=number, ir=request.ir, vis=request.vis)
                yield pb.FuseStreamRequest(frame=frame)

        with connected(self._server.address) as stub:
            call = stub.FuseStream(messages(), timeout=60)
            leave_after = chance.randint(1, 2 * frames)
            for number, _ in enumerate(call):
                if number == leave_after:
                    call.cancel()
                    break

    def _rubbish(self, chance: random.Random) -> None:
        """A request with some of its bytes changed, and sometimes cut short."""
        message = bytearray(raw_request(64, 64).SerializeToString())
        for _ in range(chance.randint(1, 8)):
            message[chance.randrange(64)] = chance.randrange(256)
        with grpc.insecure_channel(self._server.address) as channel:
            call: Any = channel.unary_unary("/crossfuse.v1.FusionService/Fuse", None, None)
            call(bytes(message[: chance.randint(1, len(message))]), timeout=30)

    def _leavers(self, chance: random.Random) -> None:
        """Callers that go away: cancelled, out of time, or dead with their connection."""
        with connected(self._server.address) as stub:
            request = raw_request(480, 640)
            calls = [stub.Fuse.future(request, timeout=chance.choice([0.02, 30])) for _ in range(4)]
            time.sleep(chance.uniform(0.0, 0.05))
            calls[0].cancel()
        codes = [call.code().name for call in calls]
        with self._lock:
            self.outcome.codes.update(codes)

    def _crash(self, chance: random.Random) -> None:
        """A caller that is gone in the middle of its messages, without closing anything."""
        connection = HalfMessages(int(self._server.address.rpartition(":")[2]))
        for _ in range(chance.randint(1, 8)):
            connection.begin(chance.choice(METHODS))
        time.sleep(chance.uniform(0.0, 0.05))
        connection.crash()

    def _reload(self, chance: random.Random) -> None:
        """A new version in, an old one out; now and then a broken one."""
        self._server.reload(broken=chance.random() < 0.2)
        self.outcome.reloads += 1
        time.sleep(min(2.0, max(self._end - time.monotonic(), 0)))


def as_png(image: pb.Image) -> pb.Image:
    """The same picture as a file."""
    pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    return pb.Image(encoding=pb.ENCODING_PNG, data=cv2.imencode(".png", pixels)[1].tobytes())


def report(outcome: Outcome, minutes: float) -> str:
    """The outcome as Markdown."""
    threads = outcome.growth(lambda sample: sample.threads)
    pooled = outcome.growth(lambda sample: sample.pooled)
    event_engine = outcome.growth(lambda sample: sample.event_engine)
    descriptors = outcome.growth(lambda sample: sample.descriptors)
    later = outcome.second_half
    good = outcome.slope < MOST_SLOPE_MB and max(threads, descriptors) <= 0
    lines = [
        f"| {sample.at / 60:.1f} | {sample.memory_mb:.1f} | {sample.threads} "
        f"| {sample.pooled} | {sample.event_engine} | {sample.descriptors} |"
        for sample in outcome.samples[:: max(len(outcome.samples) // 20, 1)]
    ]
    return "\n".join(
        [
            "# Soak",
            "",
            *conditions("grpcio", "protobuf", "numpy"),
            f"- Method: {minutes:g} minutes of mixed load on one server over loopback, at once: "
            "unary calls RAW and PNG of 64x64 to 480x640, streams of both policies, some left in "
            "the middle, changed bytes, callers that cancel, run out of time, close their "
            "connection or crash in the middle of a message, and reloads, one in five broken. "
            f"Engines blend in numpy. Every {WORK_SECONDS:g} s the callers rest for "
            f"{REST_SECONDS:g} s; the table is of the ends of these rests.",
            f"- Repeat it: `python -m crossfuse_bench.soak -o FILE.md --minutes {minutes:g}`",
            "",
            f"Memory slope under {MOST_SLOPE_MB:g} MB/h and no growth of threads and descriptors "
            f"in the second half: **{'kept' if good else 'NOT kept'}**.",
            "",
            "| what | value |",
            "| --- | ---: |",
            f"| memory slope in the second half, MB/h | {outcome.slope:.2f} |",
            f"| least and most memory there, MB | {min(s.memory_mb for s in later):.1f} to "
            f"{max(s.memory_mb for s in later):.1f} |",
            f"| growth of threads there, outside the pools and gRPC | {threads} |",
            f"| growth of threads there, in the pools, which are bounded | {pooled} |",
            "| growth of threads there, of gRPC's event engine, which lets them go after half a "
            f"minute of rest | {event_engine} |",
            f"| growth of descriptors there | {descriptors} |",
            f"| reloads | {outcome.reloads} |",
            f"| rounds by outcome | {dict(sorted(outcome.codes.items()))} |",
            f"| statuses that are not documented | {sorted(set(outcome.codes) - DOCUMENTED)} |",
            "",
            "| minute | memory MB | threads | threads in pools | threads of gRPC | descriptors |",
            "| ---: | ---: | ---: | ---: | ---: | ---: |",
            *lines,
            "",
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)s")
    args = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp())
    try:
        with SoakServer(folder) as server:
            outcome = Soak(server, 60 * args.minutes).run()
    finally:
        shutil.rmtree(folder)
    text = report(outcome, args.minutes)
    args.output.write_text(text, encoding="utf-8")
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()

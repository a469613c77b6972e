"""Changed request bytes, a million times: only documented answers, no fault, no growth.

    python -m crossfuse_bench.fuzz -o FILE.md [--runs 1000000] [--seed 0] [--seconds 0]

The bytes go through everything a message of a real call goes through, from decoding to the encoded
answer, without the sockets in between. Each run starts from a good request and changes it: bytes
flipped, cut, doubled or mixed with those of another request, or fields set to what is on the edge.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.conditions import conditions
from crossfuse_bench.direct_calls import DirectServer
from crossfuse_bench.load import raw_request

SIZE = 32
DOCUMENTED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND"}
EDGES = (0, 1, 2, 3, 31, 32, 33, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
NUMBERS = (0.0, 1.0, -1.0, 1e308, -1e-308, float("nan"), float("inf"))
REPORT_EVERY = 50_000


def corpus() -> list[pb.FuseRequest]:
    """Good requests of every kind."""
    raw = raw_request(SIZE, SIZE)
    ir = np.frombuffer(raw.ir.data, np.uint8).reshape(SIZE, SIZE)
    vis = np.frombuffer(raw.vis.data, np.uint8).reshape(SIZE, SIZE, 3)
    found = [raw]
    for suffix, encoding in ((".png", pb.ENCODING_PNG), (".jpg", pb.ENCODING_JPEG)):
        request = pb.FuseRequest(
            ir=pb.Image(encoding=encoding, data=cv2.imencode(suffix, ir)[1].tobytes()),
            vis=pb.Image(encoding=encoding, data=cv2.imencode(suffix, vis)[1].tobytes()),
            options=pb.FuseOptions(output_encoding=encoding, quality=80),
        )
        found.append(request)
    deep = pb.FuseRequest()
    deep.CopyFrom(raw)
    deep.ir.dtype = pb.DATA_TYPE_UINT16
    deep.ir.data = (ir.astype("<u2") * 64).tobytes()
    deep.options.ir_mapping.percentile.low, deep.options.ir_mapping.percentile.high = 1, 99
    aligned = pb.FuseRequest()
    aligned.CopyFrom(raw)
    aligned.options.homography.extend([1, 0, 2, 0, 1, 2, 0, 0, 1])
    aligned.model.name, aligned.request_id = "none", "pair 7"
    return [*found, deep, aligned]


def changed_fields(chance: random.Random, request: pb.FuseRequest) -> bytes:
    """One to four fields on the edge of what they may be."""
    changed = pb.FuseRequest()
    changed.CopyFrom(request)
    for _ in range(chance.randint(1, 4)):
        image = chance.choice([changed.ir, changed.vis])
        options = changed.options
        what = chance.randrange(8)
        if what < 3:
            setattr(image, ("width", "height", "channels")[what], chance.choice(EDGES))
        elif what < 6:
            name = ("dtype", "encoding", "color_space")[what - 3]
            setattr(image, name, chance.randint(0, 6))
        elif what == 6:
            options.homography.append(chance.choice(NUMBERS))
        else:
            options.quality = chance.choice(EDGES)
            setattr(options, "output_encoding", chance.randint(0, 6))  # noqa: B010 - any number
    return changed.SerializeToString()


def changed_bytes(chance: random.Random, message: bytes, other: bytes) -> bytes:
    """Bytes flipped, cut, doubled, or mixed with those of another message."""
    data = bytearray(message)
    # The head holds the structure; the rest is mostly pictures.
    reach = len(data) if chance.random() < 0.3 else min(len(data), 96)
    for _ in range(chance.randint(1, 6)):
        data[chance.randrange(reach)] = chance.randrange(256)
    kind = chance.random()
    if kind < 0.2:
        del data[chance.randrange(len(data)) :]
    elif kind < 0.3:
        at = chance.randrange(len(data))
        data[at:at] = data[at : at + chance.randint(1, 40)]
    elif kind < 0.4:
        data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]
    return bytes(data)


def messages(seed: int) -> Iterator[bytes]:
    """Changed requests without end; the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a load, not a secret
    requests = corpus()
    serialized = [request.SerializeToString() for request in requests]
    while True:
        number = chance.randrange(len(requests))
        if chance.random() < 0.4:
            yield changed_fields(chance, requests[number])
        else:
            yield changed_bytes(chance, serialized[number], chance.choice(serialized))


@dataclass(slots=True)
class Outcome:
    """What the server answered."""

    runs: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    undocumented: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0


def fuzz(server: DirectServer, runs: int, seed: int, seconds: float = 0.0) -> Outcome:
    """So many runs, or as many as fit into the time where one is given."""
    outcome = Outcome()
    started = time.monotonic()
    for message in messages(seed):
        code, told = server.fuse(message)
        outcome.runs += 1
        outcome.codes[code] += 1
        if code not in DOCUMENTED and len(outcome.undocumented) < 10:
            outcome.undocumented.append(f"{code}: {told}: {message[:200].hex()}")
        outcome.seconds = time.monotonic() - started
        over = outcome.runs >= runs or 0 < seconds < outcome.seconds
        if over or outcome.runs % REPORT_EVERY == 0:
            outcome.log.append(
                f"{outcome.seconds:7.1f} s  {outcome.runs:8} runs  "
                f"{server.resident_mb():6.1f} MB  {dict(sorted(outcome.codes.items()))}"
            )
            print(outcome.log[-1], file=sys.stderr)
        if over:
            break
    return outcome


def report(outcome: Outcome, seed: int) -> str:
    """The outcome as Markdown."""
    good = not outcome.undocumented
    return "\n".join(
        [
            "# Fuzzing of request bytes",
            "",
            *conditions("protobuf", "numpy", "opencv-python-headless"),
            f"- Method: {outcome.runs} changed FuseRequests (seed {seed}) in "
            f"{outcome.seconds:.0f} s through decoding, checks, picture decoders, queue and "
            "encoders of the server, without sockets; an engine that returns the visible picture.",
            f"- Repeat it: `python -m crossfuse_bench.fuzz -o FILE.md --runs {outcome.runs}`",
            "",
            f"Only {', '.join(sorted(DOCUMENTED))}: **{'kept' if good else 'NOT kept'}**.",
            "",
            *outcome.undocumented,
            "```",
            *outcome.log,
            "```",
            "",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run and write the report; 1 when an answer was not documented."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--runs", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=0.0, help="end earlier; 0: do not")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        server = DirectServer(Path(folder))
        outcome = fuzz(server, args.runs, args.seed, args.seconds)
        server.end()
    args.output.write_text(report(outcome, args.seed), encoding="utf-8")
    return int(bool(outcome.undocumented))


if __name__ == "__main__":
    sys.exit(main())

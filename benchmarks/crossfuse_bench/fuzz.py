"""Changed requests and metadata, a million: only documented answers, no fault, no growth.

    python -m crossfuse_bench.fuzz -o FILE.md [--runs 1000000] [--seconds 0]

The bytes go through everything a message of a real call goes through, from its token to the encoded
answer, without the sockets in between. Each run starts from a good request and changes it: bytes
flipped, cut, doubled or mixed with those of another request, or fields set to what is on the edge;
one in ten calls comes with no token, or with one that is almost right.

What was done is kept beside the report, in FILE.jsonl: a command that ends early, or is ended by
--seconds, is gone on with by giving it again. Each part has a seed of its own.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from crossfuse_bench.conditions import conditions
from crossfuse_bench.direct_calls import TOKEN, DirectServer
from crossfuse_bench.fuzz_calls import Metadata, calls
from crossfuse_bench.machine import commit

DOCUMENTED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED"}

# What an interruption may lose.
KEEP_EVERY = 20_000


@dataclass(slots=True)
class Part:
    """What the server answered to the calls of one seed."""

    seed: int
    commit: str
    runs: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    undocumented: list[str] = field(default_factory=list)
    seconds: float = 0.0
    first_mb: float = 0.0
    last_mb: float = 0.0
    """Memory of the process, after the first hundred runs and at the end."""


def fault(code: str, metadata: Metadata) -> bool:
    """Whether an answer is not documented, or let in, or kept out, the wrong caller."""
    scheme, _, token = dict(metadata).get("authorization", "").partition(" ")
    is_known = scheme.lower() == "bearer" and token.strip() == TOKEN
    return code not in DOCUMENTED or (code == "UNAUTHENTICATED") is is_known


def fuzz(server: DirectServer, runs: int, seed: int, seconds: float = 0.0) -> Part:
    """So many runs, or as many as fit into the time where one is given."""
    part = Part(seed, commit())
    started = time.monotonic()
    for message, metadata in calls(seed, TOKEN):
        code, told = server.fuse(message, metadata)
        part.runs += 1
        part.codes[code] = part.codes.get(code, 0) + 1
        if fault(code, metadata) and len(part.undocumented) < 10:
            part.undocumented.append(f"{code}: {told}: {metadata!r}: {message[:200].hex()}")
        part.seconds = time.monotonic() - started
        if part.runs == min(100, runs):
            part.first_mb = server.resident_mb()
        if part.runs >= runs or 0 < seconds < part.seconds:
            break
    part.last_mb = server.resident_mb()
    return part


def fuzz_on(server: DirectServer, kept: Path, runs: int, seconds: float) -> list[Part]:
    """Go on until there are so many runs in all, or the time is over; each part is kept."""
    parts = read_parts(kept)
    end = time.monotonic() + seconds if seconds else float("inf")
    while (left := runs - sum(part.runs for part in parts)) > 0 and time.monotonic() < end:
        limit = max(end - time.monotonic(), 0.001) if seconds else 0.0
        part = fuzz(server, min(left, KEEP_EVERY), len(parts), limit)
        with kept.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(part)) + "\n")
        parts.append(part)
        print(f"{sum(each.runs for each in parts):8} of {runs}", file=sys.stderr)
    return parts


def read_parts(kept: Path) -> list[Part]:
    """Those of earlier commands."""
    if not kept.exists():
        return []
    lines = kept.read_text(encoding="utf-8").splitlines()
    return [Part(**json.loads(line)) for line in lines]


def report(parts: Sequence[Part]) -> str:
    """All parts as Markdown."""
    codes: Counter[str] = Counter()
    for part in parts:
        codes.update(part.codes)
    undocumented = [line for part in parts for line in part.undocumented]
    commits = ", ".join(dict.fromkeys(part.commit for part in parts))
    seconds = sum(part.seconds for part in parts)
    return "\n".join(
        [
            "# Fuzzing of requests and metadata",
            "",
            *conditions("protobuf", "numpy", "opencv-python-headless"),
            f"- Commit: {commits}",
            f"- Method: {codes.total()} changed FuseRequests (seeds 0 to {len(parts) - 1}) in "
            f"{seconds:.0f} s through token, decoding, checks, picture decoders, queue and "
            "encoders of the server, without sockets; an engine that returns the visible picture.",
            f"- Repeat it: `python -m crossfuse_bench.fuzz -o FILE.md --runs {codes.total()}`",
            "",
            f"Only {', '.join(sorted(DOCUMENTED))}, and UNAUTHENTICATED for those without the "
            f"token alone: **{'NOT kept' if undocumented else 'kept'}**.",
            "",
            *undocumented[:20],
            "| what | value |",
            "| --- | ---: |",
            *(f"| {code} | {count} |" for code, count in sorted(codes.items())),
            f"| most that the memory of the process grew within a part, MB | "
            f"{max(part.last_mb - part.first_mb for part in parts):.1f} |",
            f"| its memory at the end of the parts, least and most, MB | "
            f"{min(part.last_mb for part in parts):.1f} to "
            f"{max(part.last_mb for part in parts):.1f} |",
            "",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Go on and write the report; 1 when an answer was not documented."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--runs", type=int, default=1_000_000, help="in all; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=0.0, help="end earlier; 0: do not")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        server = DirectServer(Path(folder))
        parts = fuzz_on(server, args.output.with_suffix(".jsonl"), args.runs, args.seconds)
        server.end()
    args.output.write_text(report(parts), encoding="utf-8")
    return int(any(part.undocumented for part in parts))


if __name__ == "__main__":
    sys.exit(main())

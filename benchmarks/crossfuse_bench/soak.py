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
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from crossfuse_bench.soak_callers import SETTLED_SECONDS, WORK_SECONDS, Soak
from crossfuse_bench.soak_report import report
from crossfuse_bench.soak_server import SoakServer

# Of several rests each half must have.
LEAST_MINUTES = 3.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the report; 1 when something grew or was answered as it should not be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)s")
    args = parser.parse_args(argv)
    if args.minutes < LEAST_MINUTES:
        parser.error(f"--minutes: got {args.minutes:g}; valid: {LEAST_MINUTES:g} or more")
    folder = Path(tempfile.mkdtemp())
    try:
        with SoakServer(folder) as server:
            outcome = Soak(server, 60 * args.minutes).run()
    finally:
        shutil.rmtree(folder)
    text = report(outcome, args.minutes, WORK_SECONDS, SETTLED_SECONDS)
    args.output.write_text(text, encoding="utf-8")
    print(text, file=sys.stderr)
    return int(not outcome.is_good)


if __name__ == "__main__":
    sys.exit(main())

"""Writes every bundle of a folder, and those on the search path, as one Triton model repository.

python deploy/triton/make_repository.py --models models -o repository --device cpu

What follows the two options goes to `crossfuse export triton`, which writes the repository. Needs
crossfuse with its [export] extra.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from crossfuse.bundles import installed_bundles
from crossfuse.cli import main as crossfuse


def main(words: list[str] | None = None) -> int:
    """The exit code of `crossfuse export triton`, or 1 where a bundle cannot be read."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="a folder of bundles")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    args, rest = parser.parse_known_args(words)
    bundles, broken = installed_bundles(args.models)
    for entry in broken:
        print(f"{entry.folder}: {entry.reason}", file=sys.stderr)
    if broken:
        return 1
    folders = [str(bundle.folder.resolve()) for bundle in bundles]
    return crossfuse(["export", "triton", *folders, "-o", str(args.output), *rest])


if __name__ == "__main__":
    sys.exit(main())

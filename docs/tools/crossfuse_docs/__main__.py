"""`python -m crossfuse_docs reference` writes docs/reference; `commands` runs what pages show."""

from __future__ import annotations

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    """Do one of both."""
    parser = argparse.ArgumentParser(prog="crossfuse_docs", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("reference", help="write the pages that are made from the code")
    commands = actions.add_parser("commands", help="run the commands of the documentation")
    commands.add_argument("pages", nargs="*", help="like guides/cameras.md; all if not given")
    args = parser.parse_args()
    if args.action == "reference":
        from crossfuse_docs.reference import write

        changed = write(ROOT)
        print(f"docs/reference: {', '.join(changed) or 'nothing'} changed")
        return 0
    from crossfuse_docs.commands import run_pages

    return run_pages(ROOT, args.pages)


if __name__ == "__main__":
    raise SystemExit(main())

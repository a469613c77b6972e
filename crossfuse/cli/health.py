"""Ask a server what it is doing: exit code 0 when it serves, 1 when it does not.

With --json the state is loading, serving, draining or failed, or unreachable when nothing answers.
"""

from __future__ import annotations

import argparse
import json
import sys

from crossfuse.cli.server_options import add_server_arguments, open_client
from crossfuse.client import CallTimeout, ServerUnavailable

EXAMPLE = "  crossfuse health --server localhost:8001 --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_server_arguments(parser, required=True)
    parser.add_argument(
        "--timeout", type=float, default=5.0, help="seconds to wait (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the state as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Print the state of a server."""
    models = {}
    with open_client(args, retries=0) as client:
        try:
            info = client.server_info(timeout=args.timeout)
            state = info.state
            models = {model.reference: model.state for model in info.models}
        except (ServerUnavailable, CallTimeout) as error:
            state = "unreachable"
            print(f"crossfuse health: {error}", file=sys.stderr)
    if args.json:
        print(json.dumps({"state": state, "models": models}))
    else:
        print(state)
    return 0 if state == "serving" else 1

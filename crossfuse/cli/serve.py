"""Serve models over gRPC.

Without --models every bundle on the search path is served. The default model is ready first, the
others load after it. Every option is also a key of the --config file and an environment variable,
--max-queue for example is max_queue = 256 and CROSSFUSE_SERVER_MAX_QUEUE=256; a flag wins over a
variable, a variable over the file. SIGHUP serves what is on the search path by then. SIGTERM
finishes what is in flight and ends the server; a second one stops it at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

from crossfuse.errors import MissingDependency

EXAMPLE = "  crossfuse serve --port 8001"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    from crossfuse_server.settings import ServerSettings, setting_type

    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with settings")
    for entry in fields(ServerSettings):
        shown = "none" if entry.default is None else entry.default
        parser.add_argument(
            "--" + entry.name.replace("_", "-"),
            type=setting_type(entry),
            default=argparse.SUPPRESS,
            choices=entry.metadata.get("choices"),
            metavar=None if "choices" in entry.metadata else setting_type(entry).__name__.upper(),
            help=f"{entry.metadata['help']} (default: {shown})",
        )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from crossfuse_server.settings import ServerSettings, load_settings

    given = {
        entry.name: getattr(args, entry.name)
        for entry in fields(ServerSettings)
        if hasattr(args, entry.name)
    }
    settings = load_settings(given, args.config)
    # gRPC writes lines of its own to stderr, beside the one line in which we say what is wrong.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from crossfuse_server.app import FusionServer
    except ImportError as error:
        raise MissingDependency(error.name or "a package", "serving", "cpu,server") from error
    server = FusionServer(settings)
    server.start()
    server.handle_signals()
    print(f"listening on {settings.host}:{server.port}", file=sys.stderr, flush=True)
    server.wait()
    return 0

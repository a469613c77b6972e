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
from dataclasses import fields
from pathlib import Path

from crossfuse.errors import MissingDependency

EXAMPLE = "  crossfuse serve --port 8001"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One flag per setting."""
    from crossfuse_server.setting_fields import setting_type
    from crossfuse_server.settings import ServerSettings

    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with settings")
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print all settings, and where each comes from, as such a file, and end",
    )
    for entry in fields(ServerSettings):
        flag = "--" + entry.name.replace("_", "-")
        kind = setting_type(entry)
        shown = "none" if entry.default is None else entry.default
        text = f"{entry.metadata['help']} (default: {shown})"
        if kind is bool:
            parser.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text
            )
            continue
        parser.add_argument(
            flag,
            type=kind,
            default=argparse.SUPPRESS,
            choices=entry.metadata.get("choices"),
            metavar=None if "choices" in entry.metadata else kind.__name__.upper(),
            help=text,
        )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from crossfuse_server.print_config import config_text
    from crossfuse_server.settings import ServerSettings, load_settings

    given = {
        entry.name: getattr(args, entry.name)
        for entry in fields(ServerSettings)
        if hasattr(args, entry.name)
    }
    settings = load_settings(given, args.config)
    if args.print_config:
        print(config_text(given, args.config), end="")
        return 0
    # gRPC writes lines of its own to stderr, beside the one line in which we say what is wrong.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from crossfuse_server.app import FusionServer
        from crossfuse_server.logs import written
        from crossfuse_server.signals import handle_signals
    except ImportError as error:
        raise MissingDependency(error.name or "a package", "serving", "cpu,server") from error
    with written(settings.log_format, settings.log_level) as lines:
        server = FusionServer(settings)
        server.start()
        handle_signals(server)
        lines.say(f"listening on {settings.host}:{server.port}")
        if server.http_port:
            lines.say(f"http on {settings.host}:{server.http_port}")
        server.wait()
    # Without the interpreter's own end: that aborts the process where a thread still runs a model
    # that was cut off, or loads one.
    os._exit(0)

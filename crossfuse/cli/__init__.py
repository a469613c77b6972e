"""The command line: one table of commands, each imported only when it is called."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from crossfuse._version import __version__
from crossfuse.errors import CrossFuseError, UnknownName

INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """Where a command lives and what it does in one line."""

    module: str
    summary: str


COMMANDS = {
    "ablate": Command("crossfuse.cli.ablate", "plan, run and report an ablation study"),
    "attention": Command("crossfuse.cli.attention", "show where a network's attention looks"),
    "bench": Command("crossfuse.cli.bench", "measure latency and throughput, write a report"),
    "calibrate": Command("crossfuse.cli.calibrate", "measure how two cameras stand to each other"),
    "compare-runs": Command(
        "crossfuse.cli.compare_runs", "compare training runs on what they held out"
    ),
    "demo": Command("crossfuse.cli.demo", "fuse the sample pair and write the four pictures"),
    "evaluate": Command("crossfuse.cli.evaluate", "score fusion methods and write a report"),
    "export": Command("crossfuse.cli.export", "turn a checkpoint into a bundle of ONNX files"),
    "fuse": Command("crossfuse.cli.fuse", "fuse one pair, or two folders paired by stem"),
    "health": Command("crossfuse.cli.health", "ask a server what it is doing"),
    "import-official": Command(
        "crossfuse.cli.import_official", "turn published CrossFuse weights into a checkpoint"
    ),
    "models": Command("crossfuse.cli.models", "list, show and verify the installed models"),
    "serve": Command("crossfuse.cli.serve", "serve models over gRPC"),
    "train": Command("crossfuse.cli.train", "train networks by recipes, and describe them"),
    "video": Command("crossfuse.cli.video", "fuse two video streams"),
}


class CommandModule(Protocol):
    """What the module of a command offers; its docstring is the help text."""

    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the work failed, 2 bad usage or input."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else "--help"
    debug = "--debug" in words
    try:
        code = _run(name, [word for word in words[1:] if word != "--debug"], debug=debug)
        # A reader that went away (`| head`) shows up here, not while the interpreter ends.
        sys.stdout.flush()
        return code if words else 2
    except CrossFuseError as error:
        if debug:
            raise
        print(f"crossfuse {name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"crossfuse {name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        print(
            f"crossfuse {name}: unexpected {type(error).__name__}: {error}; "
            "this is a fault of CrossFuse: run it again with --debug and report the traceback",
            file=sys.stderr,
        )
        return 1


def _run(name: str, words: list[str], *, debug: bool) -> int:
    if name in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if name == "--version":
        print(f"crossfuse {__version__}")
        return 0
    if name not in COMMANDS:
        raise UnknownName("command", name, COMMANDS)
    module, parser = load_command(name)
    args = parser.parse_args(words)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    return module.run(args)


def load_command(name: str) -> tuple[CommandModule, argparse.ArgumentParser]:
    """Import a command's module and build its parser."""
    module = importlib.import_module(COMMANDS[name].module)
    parser = argparse.ArgumentParser(
        prog=f"crossfuse {name}",
        description=module.__doc__,
        epilog=f"example:\n{module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command = cast(CommandModule, module)
    command.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="full log and tracebacks")
    return command, parser


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: crossfuse COMMAND [options]",
            "",
            "Fuse an infrared and a visible picture of the same scene into one.",
            "",
            "commands:",
            *lines,
            "",
            "`crossfuse COMMAND --help` explains a command and shows an example;",
            "`crossfuse --version` prints the version.",
            "",
            "example:",
            "  crossfuse fuse --ir ir.png --vis vis.png -o fused.png",
        ]
    )

"""Turn a checkpoint into a model bundle of ONNX files, and prove that they compute the same."""

from __future__ import annotations

import argparse
import importlib
from typing import Protocol, cast

EXAMPLE = (
    "  crossfuse export onnx --checkpoint models/crossfuse-rt/checkpoint -o models/mine/1 \\\n"
    "      --precision fp32,fp16\n"
    "  crossfuse export verify models/mine/1 --checkpoint models/crossfuse-rt/checkpoint"
)

# Module of each action, and what it does in one line.
ACTIONS = {
    "onnx": ("crossfuse.cli.export_onnx", "a checkpoint to a bundle of ONNX files"),
    "tensorrt": ("crossfuse.cli.export_tensorrt", "a bundle to TensorRT engines for this GPU"),
    "triton": ("crossfuse.cli.export_triton", "bundles to a Triton model repository"),
    "verify": ("crossfuse.cli.export_verify", "every file of a bundle against its checkpoint"),
}


class ActionModule(Protocol):
    """What the module of an action offers; its docstring is the help text."""

    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (path, summary) in ACTIONS.items():
        module = importlib.import_module(path)
        action = cast(ActionModule, module)
        action.add_arguments(
            actions.add_parser(
                name,
                help=summary,
                description=module.__doc__,
                epilog=f"example:\n{action.EXAMPLE}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    path, _ = ACTIONS[args.action]
    return cast(ActionModule, importlib.import_module(path)).run(args)

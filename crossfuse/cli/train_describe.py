"""`crossfuse train describe`: parameters and multiply-accumulates of every part of a network."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossfuse.cli.picture_size import picture_size
from crossfuse.errors import InvalidInput, MissingDependency, UnknownName

if TYPE_CHECKING:
    from torch import nn

    from crossfuse_training.describe import PartRow

DEFAULT_SIZES = ((256, 256), (480, 640), (720, 1280))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `train describe`."""
    parser.add_argument(
        "name", metavar="NAME", help="a variant, or a checkpoint folder written with a slash"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="numbers of the variant to replace"
    )
    parser.add_argument(
        "--size", type=picture_size, nargs="+", action="extend", metavar="HxW",
        help="picture sizes (default: 256x256 480x640 720x1280)",
    )  # fmt: skip
    parser.add_argument(
        "--depth", type=int, default=2, metavar="N",
        help="how many levels of parts to show; 0 is the network alone (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the table as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    try:
        import torch

        from crossfuse_training.describe import describe
        from crossfuse_training.networks.registry import architecture_of
    except ImportError as error:
        raise MissingDependency(error.name or "torch", "crossfuse train", "train") from error
    if args.depth < 0:
        raise InvalidInput("--depth", str(args.depth), "0 or more")
    # Without storage: nothing is computed, so no weights are drawn either.
    with torch.device("meta"):
        network = _network(args.name, args.overrides)
    rows = describe(network, args.size or DEFAULT_SIZES, depth=args.depth)
    architecture = architecture_of(network)
    if args.json:
        parts = [asdict(row) for row in rows]
        content = {"name": args.name, "architecture": architecture, "config": vars(network.config)}
        print(json.dumps({**content, "parts": parts}, indent=2))
    else:
        print(f"{args.name}: architecture {architecture}")
        _print_table(rows)
    return 0


def _network(name: str, overrides: Sequence[str]) -> nn.Module:
    """The variant of that name, or the network of the checkpoint folder."""
    from crossfuse_training.checkpoint import read_record
    from crossfuse_training.networks.registry import VARIANTS, build, from_config

    if name in VARIANTS:
        return build(name, **_parsed(name, asdict(VARIANTS[name].config), overrides))
    if "/" not in name:
        raise UnknownName("NAME", name, VARIANTS)
    if overrides:
        raise InvalidInput(overrides[0], f"{name}, a checkpoint", "a variant to replace numbers of")
    record = read_record(Path(name))
    return from_config(record.architecture, dict(record.config))


def _parsed(name: str, defaults: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as values of the type of the number that they replace."""
    parsed: dict[str, Any] = {}
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals:
            raise InvalidInput("override", repr(word), "key=value, such as heads=8")
        if key not in defaults:
            raise UnknownName(f"option of {name}", key, defaults)
        parsed[key] = _value(key, text, type(defaults[key]))
    return parsed


def _value(key: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text not in ("true", "false"):
            raise InvalidInput(key, repr(text), "true or false")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        valid = "a whole number" if kind is int else "a number"
        raise InvalidInput(key, repr(text), valid) from None


def _print_table(rows: Sequence[PartRow]) -> None:
    """Parts below each other, the total last; GMAC of each size beside each other."""
    sizes = list(rows[0].macs)
    names = ["  " * (row.level - 1) + row.part for row in rows[1:]]
    width = max([len("PART"), *map(len, names)]) + 2
    print(f"{'PART':<{width}}{'PARAMETERS':>12}" + "".join(f"{'GMAC ' + s:>16}" for s in sizes))
    for name, row in zip([*names, "total"], [*rows[1:], rows[0]], strict=True):
        work = "".join(f"{row.macs[size] / 1e9:>16.3f}" for size in sizes)
        print(f"{name:<{width}}{row.parameters:>12,}{work}")

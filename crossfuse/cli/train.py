"""Train networks by recipes, and describe the networks that can be trained."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crossfuse.cli import train_describe
from crossfuse.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from crossfuse_training.recipe import Recipe

EXAMPLE = (
    "  crossfuse train end-to-end --config training/configs/base.toml --data DIR\n"
    "  crossfuse train end-to-end --config training/configs/base.toml --data DIR --resume\n"
    "  crossfuse train distill --config training/configs/rt.toml --output runs/rt-2 seed=2\n"
    "  torchrun --nproc-per-node 2 -m crossfuse train end-to-end --config ...\n"
    "  crossfuse train describe rt\n"
    "  crossfuse train describe base heads=8 --size 480x640 --depth 3 --json"
)

STAGES: Mapping[str, str] = {
    "autoencoder": "train the encoder of one modality to keep what its pictures show",
    "fusion": "train fusion and decoder between two trained, frozen encoders",
    "end-to-end": "train a whole network from pairs of pictures",
    "distill": "train a network to do what another one, or a folder of pictures, does",
}


class _WordsAnywhere(argparse.ArgumentParser):
    """Takes `key=value` words between and after options too, where argparse stops looking."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        words = [word for word in rest if "=" in word and not word.startswith("-")]
        found.overrides = [*found.overrides, *words]
        return found, [word for word in rest if word not in words]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="ACTION", parser_class=_WordsAnywhere
    )
    for stage, summary in STAGES.items():
        _add_stage(actions.add_parser(stage, help=summary, description=summary))
    train_describe.add_arguments(
        actions.add_parser("describe", help="parameters and GMAC of every part of a network")
    )


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    return train_describe.run(args) if args.action == "describe" else _train(args)


def _add_stage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the recipe, in TOML"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value",
        help="numbers of the recipe to replace, such as loss.ssim.weight=5000",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the run's folder (default: runs/NAME)"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR",
        help="folder of the data sets (default: CROSSFUSE_DATA, else ../shared/data)",
    )  # fmt: skip
    parser.add_argument(
        "--resume", action="store_true", help="go on with an interrupted run, as if it had not been"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out pairs that cannot be used"
    )
    find = parser.add_mutually_exclusive_group()
    find.add_argument(
        "--find-batch-size", action="store_true", help="train nothing: find the largest batch"
    )
    find.add_argument(
        "--find-learning-rate", action="store_true",
        help="train nothing: try rising learning rates, plot the loss beside the run's folder",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def _train(args: argparse.Namespace) -> int:
    try:
        from crossfuse_training.recipe import read_recipe
        from crossfuse_training.stages import train
    except ImportError as error:
        raise MissingDependency(error.name or "torch", "crossfuse train", "train") from error
    recipe = read_recipe(args.config, args.overrides)
    _check_stage(args.action, recipe, args.config)
    output = args.output or Path("runs") / recipe.name
    if args.find_batch_size:
        return _find_batch_size(args, recipe)
    if args.find_learning_rate:
        return _find_learning_rate(args, recipe, output)
    with _lines_on_stderr():
        result = train(
            recipe, output, data_root=args.data, resume=args.resume, skip_bad=args.skip_bad
        )
    if not result.is_first:
        return 0
    if args.json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        before, after = result.held_out_before, result.held_out_after
        print(f"held-out loss {before:.4g} -> {after:.4g}")
        print(f"{result.folder}: best checkpoint of step {result.best['step']}")
    return 0


def _find_batch_size(args: argparse.Namespace, recipe: Recipe) -> int:
    from crossfuse_training.stages.finders import largest_batch

    with _lines_on_stderr():
        found = largest_batch(recipe, data_root=args.data, skip_bad=args.skip_bad)
    if args.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        for trial in found.trials:
            print(f"batch {trial.batch}: {trial.memory / 2**20:.0f} MiB")
        print(f"largest batch: {found.batch} (stopped by {found.stopped_by})")
    return 0


def _find_learning_rate(args: argparse.Namespace, recipe: Recipe, output: Path) -> int:
    from crossfuse_training.optimisation import save_plot
    from crossfuse_training.stages.finders import best_rate

    with _lines_on_stderr():
        curve = best_rate(recipe, data_root=args.data, skip_bad=args.skip_bad)
    plot = output.with_name(f"{output.name}-learning-rate.png")
    save_plot(curve, plot)
    if args.json:
        print(json.dumps({**asdict(curve), "plot": str(plot)}, indent=2))
    else:
        print(f"learning rate: {curve.suggestion:.2e} (loss falls fastest there; see {plot})")
    return 0


def _check_stage(asked: str, recipe: Recipe, path: Path) -> None:
    if recipe.stage != asked:
        raise InvalidInput("stage", f"{asked}, and {path} is for {recipe.stage}", recipe.stage)


@contextmanager
def _lines_on_stderr() -> Iterator[None]:
    """Within the block the trainer's own lines, progress among them, go to stderr as they are.

    Of several processes the first speaks; the others say what goes wrong.
    """
    first = os.environ.get("RANK", "0") == "0"
    log = logging.getLogger("crossfuse_training")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(min(logging.INFO, log.getEffectiveLevel()) if first else logging.WARNING)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate

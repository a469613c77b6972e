"""Show where the attention of a CrossFuse network looks on one pair.

The folder gets index.html, a page to open in a browser; the maps of every attention module, their
mean and each head, as colours over the picture that is looked at; attention.npz with the same maps
and their entropies as numbers (for each head one number for each token, not the weights of all
pairs of tokens); and heads.json with the statistics of all heads. A head is sharp or broad by its
entropy, as a share of the largest possible, and by its temperature where it has learned one.

Networks without cross-attention modules, such as rt, are refused.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crossfuse.cli.infrared_options import add_infrared_arguments
from crossfuse.errors import MissingDependency
from crossfuse.fuser import luma, prepare_pair
from crossfuse.images import read_infrared, read_visible

EXAMPLE = "  crossfuse attention --checkpoint runs/base --ir ir.png --vis vis.png -o attention"

THRESHOLDS = {
    "sharp_temperature": (0.7, "learned temperature below which a head is sharp"),
    "broad_temperature": (1.5, "learned temperature above which a head is broad"),
    "sharp_entropy": (0.5, "share of the largest entropy below which a head is sharp"),
    "broad_entropy": (0.95, "share of the largest entropy above which a head is broad"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="DIR", help="checkpoint folder"
    )
    parser.add_argument("--ir", type=Path, required=True, help="infrared picture")
    parser.add_argument("--vis", type=Path, required=True, help="visible picture")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR",
        help="folder to write to; files of an earlier run in it are replaced",
    )  # fmt: skip
    for name, (value, meaning) in THRESHOLDS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=float, default=value, metavar="X",
            help=f"{meaning} (default: %(default)s)",
        )  # fmt: skip
    add_infrared_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print heads.json on stdout")


def run(args: argparse.Namespace) -> int:
    """Look at the attention, and write it down."""
    try:
        from crossfuse_training import checkpoint
        from crossfuse_training.attention_maps import attention_maps, require_attention
        from crossfuse_training.attention_page import AttentionStudy, numbers, write_study
        from crossfuse_training.networks.contract import SMALLEST_SIDE
        from crossfuse_training.networks.head_statistics import HeadThresholds
    except ImportError as error:
        raise MissingDependency(error.name or "torch", "crossfuse attention", "train") from error
    thresholds = HeadThresholds(**{name: getattr(args, name) for name in THRESHOLDS})
    variant = checkpoint.read_record(args.checkpoint).variant
    network = checkpoint.load(args.checkpoint)
    require_attention(network, f"{args.checkpoint} ({variant})")
    pair = prepare_pair(
        read_infrared(args.ir, max_pixels=args.max_pixels, palette=args.ir_palette),
        read_visible(args.vis, max_pixels=args.max_pixels),
        minimum_size=SMALLEST_SIDE,
        max_pixels=args.max_pixels,
        mapping=args.ir_mapping,
        polarity=args.ir_polarity,
    )
    vis = luma(pair.vis)
    fused, modules = attention_maps(network, pair.ir, vis, thresholds)
    study = AttentionStudy(
        checkpoint=args.checkpoint.resolve().name,
        variant=variant,
        ir_name=args.ir.name,
        vis_name=args.vis.name,
        thresholds=thresholds,
        pictures={"ir": pair.ir, "vis": vis, "fused": fused},
        modules=modules,
    )
    write_study(args.output, study)
    if args.json:
        print(json.dumps(numbers(study), indent=2))
        return 0
    for maps in modules:
        entropy = f"entropy {maps.relative_entropy:.4f} of the largest"
        print(f"{maps.title:<58}{entropy}{': plain averaging' if maps.uniform else ''}")
    print(f"page: {args.output / 'index.html'}")
    return 0

"""The options of commands that read infrared pictures."""

from __future__ import annotations

import argparse
from functools import partial

from crossfuse.errors import UnknownName
from crossfuse.images import (
    DEFAULT_MAPPING,
    DEFAULT_MAX_PIXELS,
    PALETTES,
    POLARITIES,
    parse_mapping,
)


def add_infrared_arguments(parser: argparse.ArgumentParser) -> None:
    """How pictures of an infrared camera are to be read, and how large they may be."""
    add_camera_arguments(parser)
    parser.add_argument(
        "--max-pixels", type=int, default=DEFAULT_MAX_PIXELS, metavar="N",
        help="refuse pictures with more pixels than this (default: %(default)s)",
    )  # fmt: skip


def add_camera_arguments(parser: argparse.ArgumentParser) -> None:
    """What is known of the infrared camera."""
    add_mapping_arguments(parser)
    parser.add_argument(
        "--ir-polarity", choices=POLARITIES, default="white-hot",
        help="whether warm things are light or dark in the infrared picture (default: %(default)s)",
    )  # fmt: skip


def add_mapping_arguments(parser: argparse.ArgumentParser) -> None:
    """How one channel of 8 bits is made of its pictures; the mapping arrives as an IrMapping."""
    parser.add_argument(
        "--ir-mapping", type=partial(parse_mapping, field="--ir-mapping"),
        default=DEFAULT_MAPPING, metavar="RULE",
        help="16-bit infrared to 8 bits: linear:LO:HI, percentile:LO:HI or none "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--ir-palette", type=_palette, metavar="NAME",
        help="turn a false-colour infrared picture back into temperatures: "
        f"luma, or the palette it was made with ({', '.join(sorted(set(PALETTES) - {'luma'}))})",
    )  # fmt: skip


def _palette(name: str) -> str:
    # Not as argparse's choices: this suggests the nearest one.
    if name not in PALETTES:
        raise UnknownName("--ir-palette", name, PALETTES)
    return name

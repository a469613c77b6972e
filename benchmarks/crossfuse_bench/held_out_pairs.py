"""Pairs that are kept out of training, and checkpoints that fuse them, for studies of models."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.images import PictureFolder, read_infrared, read_visible
from crossfuse.metrics import to_grey

# Of each set every 10th stem, as the recipes hold them out; TNO was never trained on at all.
STEMS = {"msrs": slice(9, None, 10), "roadscene": slice(9, None, 10), "tno_golden": slice(None)}


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutPair:
    """Infrared, uint8 HxW, and visible picture, uint8 HxWx3 RGB or HxW."""

    ir: UInt8Array
    vis: UInt8Array

    @property
    def luma(self) -> UInt8Array:
        """Brightness of the visible picture, uint8 HxW."""
        return to_grey(self.vis)


def held_out_pairs(data: Path, name: str) -> Iterator[HeldOutPair]:
    """The pairs of a set of STEMS, by stem."""
    infrared = PictureFolder("ir", data / name / "ir")
    visible = PictureFolder("vis", data / name / "vis")
    for stem in sorted(infrared.stems)[STEMS[name]]:
        ir = to_grey(read_infrared(infrared.find(stem)))
        yield HeldOutPair(ir, read_visible(visible.find(stem)))


class Checkpoint:
    """The network of a checkpoint on PyTorch, for pictures uint8 HxW."""

    def __init__(self, folder: Path) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._network = importlib.import_module("crossfuse_training.checkpoint").load(folder)

    def fuse(self, ir: UInt8Array, luma: UInt8Array) -> UInt8Array:
        """As the network is."""
        with self._torch.no_grad():
            return _picture(self._network(self._tensor(ir), self._tensor(luma)))

    def fuse_at(
        self, ir: UInt8Array, luma: UInt8Array, shares: Sequence[float]
    ) -> list[UInt8Array]:
        """With local contrast raised by each of these shares in place of the network's own."""
        step = importlib.import_module("crossfuse_training.networks.local_contrast").local_contrast
        self._network.local_contrast = self._torch.nn.Identity()
        with self._torch.no_grad():
            plain = self._network(self._tensor(ir), self._tensor(luma))
            return [_picture(step(share).eval()(plain)) for share in shares]

    def _tensor(self, picture: UInt8Array) -> Any:
        return self._torch.from_numpy(picture).float()[None, None]


def study_parser(description: str | None) -> argparse.ArgumentParser:
    """What every study of checkpoints is told."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--checkpoint", type=_named_checkpoint, nargs="+", required=True, metavar="NAME=FOLDER"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    return parser


def _named_checkpoint(text: str) -> tuple[str, Checkpoint]:
    name, found, folder = text.partition("=")
    if not name or not found:
        raise argparse.ArgumentTypeError(f"got {text!r}; valid: NAME=FOLDER of a checkpoint")
    return name, Checkpoint(Path(folder))


def _picture(fused: Any) -> UInt8Array:
    return np.asarray(fused[0, 0].round().clamp(0, 255).numpy(), np.uint8)

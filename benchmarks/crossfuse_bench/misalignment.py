"""What a model loses when its infrared lies some pixels off, and what could be done about it.

    python -m crossfuse_bench.misalignment --data DIR \\
        --checkpoint rt=models/crossfuse-rt/checkpoint twin=runs/twin/checkpoints/best \\
        -o FILE.md

The infrared is moved by so many pixels to each of four sides; the result is scored against the
pictures as they were. Beside that: the same with the infrared blurred first, which is what a model
that cannot trust its place can do at most; and with the infrared moved back first by the one shift
that makes the directions of edges agree best, found from the moved pair alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.features import edge_directions, inner_mask
from crossfuse.metrics import evaluate_pair
from crossfuse_bench.conditions import conditions
from crossfuse_bench.held_out_pairs import (
    Checkpoint,
    HeldOutPair,
    held_out_pairs,
    study_parser,
)

SETS = ("msrs", "roadscene")
METRICS = ("SCD", "Qabf")
SIDES = ((1, 0), (0, 1), (-1, 0), (0, -1))
BLURS = (2.0, 4.0, 8.0)
# Shifts that are looked for, in pixels to each side.
REACH = 12

Fuse = Callable[[UInt8Array, UInt8Array], UInt8Array]


@dataclass(slots=True)
class Losses:
    """Scores of METRICS of one way, over all pictures and sides."""

    aligned: list[list[float]]
    moved: list[list[float]]

    def row(self) -> list[float]:
        """Aligned, moved and lost, of each metric in turn."""
        aligned, moved = np.mean(self.aligned, axis=0), np.mean(self.moved, axis=0)
        return [float(x) for x in np.stack([aligned, moved, aligned - moved], axis=1).ravel()]


def ways(networks: Mapping[str, Checkpoint]) -> dict[str, Fuse]:
    """The networks as they are; the first one also behind a blur, and behind an alignment."""
    found: dict[str, Fuse] = {name: network.fuse for name, network in networks.items()}
    name, network = next(iter(networks.items()))
    for blur in BLURS:
        found[f"{name}, infrared blurred by {blur:g} px"] = _behind_a_blur(network, blur)
    found[f"{name}, infrared moved back by what the edges say"] = lambda ir, luma: network.fuse(
        moved_back(ir, luma), luma
    )
    return found


def measure(
    pairs: Iterable[HeldOutPair], ways: Mapping[str, Fuse], pixels: int
) -> dict[str, Losses]:
    """Scores of every way on aligned and on moved infrared."""
    found = {name: Losses([], []) for name in ways}
    for pair in pairs:
        moved = [moved_by(pair.ir, pixels * across, pixels * down) for across, down in SIDES]
        for name, fuse in ways.items():
            found[name].aligned.append(_scores(fuse, pair, pair.ir))
            found[name].moved += [_scores(fuse, pair, ir) for ir in moved]
    return found


def moved_by(ir: UInt8Array, across: int, down: int) -> UInt8Array:
    """The picture shown so many pixels further right and down, its border repeated."""
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float32)
    return np.asarray(
        cv2.warpAffine(ir, matrix, ir.shape[::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def shift_of(ir: UInt8Array, luma: UInt8Array) -> tuple[int, int]:
    """Pixels right and down that the infrared lies off, by the directions of all edges."""
    mask = inner_mask(*ir.shape)
    inside = slice(REACH, -REACH)
    template = np.ascontiguousarray(edge_directions(luma, mask)[inside, inside])
    surface = cv2.matchTemplate(edge_directions(ir, mask), template, cv2.TM_CCORR)
    down, across = np.unravel_index(int(surface.argmax()), surface.shape)
    return int(across) - REACH, int(down) - REACH


def moved_back(ir: UInt8Array, luma: UInt8Array) -> UInt8Array:
    """The infrared picture without the shift that its edges show."""
    across, down = shift_of(ir, luma)
    return moved_by(ir, -across, -down)


def _scores(fuse: Fuse, pair: HeldOutPair, ir: UInt8Array) -> list[float]:
    scores = evaluate_pair(pair.ir, pair.luma, fuse(ir, pair.luma), names=METRICS)
    return [scores[name] for name in METRICS]


def _behind_a_blur(network: Checkpoint, blur: float) -> Fuse:
    return lambda ir, luma: network.fuse(
        np.asarray(cv2.GaussianBlur(ir, (0, 0), blur), np.uint8), luma
    )


def table(found: Mapping[str, Losses]) -> list[str]:
    """One set as Markdown."""
    columns = [f"{name}, {what}" for name in METRICS for what in ("aligned", "moved", "lost")]
    return [
        f"| | {' | '.join(columns)} |",
        f"| --- |{' --: |' * len(columns)}",
        *(
            f"| {name} | {' | '.join(f'{value:.3f}' for value in losses.row())} |"
            for name, losses in found.items()
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the report."""
    parser = study_parser(__doc__)
    parser.add_argument("--pixels", type=int, default=4, help="default: %(default)s")
    given = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    networks = dict(given.checkpoint)
    lines = [
        f"# Infrared that lies {given.pixels} pixels off",
        "",
        *conditions("torch", "numpy", "opencv-python-headless"),
        f"- Means over the held-out pairs and over {len(SIDES)} sides, scored against the pictures "
        "as they were.",
        "- Repeat it: `python -m crossfuse_bench.misalignment --data DIR --checkpoint "
        f"{' '.join(f'{name}=...' for name in networks)} --pixels {given.pixels} -o FILE.md`",
    ]
    for name in SETS:
        found = measure(held_out_pairs(given.data, name), ways(networks), given.pixels)
        lines += ["", f"## {name}", "", *table(found)]
        given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

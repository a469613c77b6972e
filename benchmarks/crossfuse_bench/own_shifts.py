"""How far sets that count as registered are off, by means that calibration does not use.

python -m crossfuse_bench.own_shifts --data DIR -o report.md

Blocks of the infrared picture are moved until grey levels of both pictures tell most about each
other (mutual information): no edges, no directions, no homography. A block is left out where
another shift, further than a few pixels away, does nearly as well. Beside it stands what
`OwnAlignment` says there, which rests on edges as `calibrate` does; and points that a person picked
in enlarged pictures. All shifts are infrared minus visible positions, in pixels of 640x480.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse_bench.registered_sets import PictureSet, load_sets

Floats = NDArray[np.float64]

COLUMNS, ROWS = 8, 6
# Width, height and largest shift of a block in pixels of half size.
BLOCK, REACH = (64, 56), 7
LEVELS = 10
FRAMES = 24
# A second place this far from the best, in pixels of half size, must do so much worse, as a share
# of what the best place stands out.
APART, LEAST_LEAD = 3, 0.15


@dataclass(frozen=True, slots=True)
class Picked:
    """A thing that both pictures show; None where its edge runs along that way."""

    picture: str
    what: str
    visible: tuple[float, float]
    across: float | None
    down: float | None


# Read off pictures enlarged four times beside each other, to about a pixel.
PICKED = (
    Picked("M3SVD 1230_1202, frame 68", "upper edge of the glass front", (100, 143), None, -7),
    Picked("M3SVD 1230_1202, frame 68", "the same, further right", (200, 150), None, -1),
    Picked("M3SVD 1230_1202, frame 68", "foot of the glass front", (50, 309), None, -12),
    Picked("M3SVD 1230_1202, frame 68", "the same, further right", (100, 304), None, -12),
    Picked("M3SVD 1230_1202, frame 68", "upper left corner of the board", (376, 186), 0, 1),
    Picked("M3SVD 1230_1202, frame 68", "lower left corner of the board", (382, 289), 2, -1),
    Picked("M3SVD 1230_1202, frame 68", "post of the bridge on the board", (563, 252), 2, -1),
    Picked("M3SVD 1230_1202, frame 68", "foot of the board", (620, 295), None, -4),
    Picked("M3SVD 1230_1202, frame 68", "window of the house behind", (614, 130), 0, 1),
    Picked("MSRS 00135D", "near cone", (152, 248), -3, 2),
    Picked("MSRS 00135D", "cone behind it", (195, 240), -4, 1),
    Picked("MSRS 00135D", "head of a runner", (146, 163), -4, -2),
    Picked("MSRS 00135D", "head of a child", (518, 180), 3, 3),
    Picked("MSRS 00135D", "man beside the child", (552, 200), 1, 1),
    Picked("MSRS 00135D", "corner of a road marking, near", (380, 394), 4, -3),
)


def shifts_by_information(pictures: PictureSet) -> list[tuple[Floats, Floats]]:
    """Place in the visible picture and shift of each block that has a clear one."""
    step = max(1, len(pictures.ir) // FRAMES)
    ir = [_half(picture) for picture in pictures.ir[1::step]]
    vis = [_half(picture) for picture in pictures.vis[1::step]]
    height, width = vis[0].shape
    across, down = BLOCK
    found = []
    for top in np.linspace(REACH, height - down - REACH, ROWS).astype(int):
        for left in np.linspace(REACH, width - across - REACH, COLUMNS).astype(int):
            block = (slice(top, top + down), slice(left, left + across))
            wide = (
                slice(top - REACH, top + down + REACH),
                slice(left - REACH, left + across + REACH),
            )
            surface = np.mean(
                [_information(one[block], two[wide]) for one, two in zip(vis, ir, strict=True)],
                axis=0,
            )
            peak = _peak(surface)
            if peak is not None:
                place = np.array([left + (across - 1) / 2, top + (down - 1) / 2])
                found.append((2 * place + 0.5, 2 * peak))
    return found


def report(sets: list[PictureSet]) -> str:
    """The tables of all sets, and of the points that were picked."""
    lines = [
        "# How far the sets are off themselves",
        "",
        "Infrared minus visible positions in pixels of 640x480, of the pictures as they come. "
        "`python -m crossfuse_bench.own_shifts` makes this again. Blocks of 128x112 pixels, moved "
        "until the grey levels of both pictures tell most about each other (mutual information, "
        f"about {FRAMES} frames of a set); blocks without a clear best place are left out. "
        "`calibrate` uses none of this.",
        "",
        "| set | clear blocks | typical shift | largest | typical difference to the shifts from "
        "edges that `make rigs` takes out |",
        "| --- | --- | --- | --- | --- |",
    ]
    fields = []
    for pictures in sets:
        own = pictures.own_alignment()
        found = shifts_by_information(pictures)
        places = np.array([place for place, _ in found])
        shifts = np.array([shift for _, shift in found])
        edges = own.infrared_places(places) - places
        sizes = np.linalg.norm(shifts, axis=1)
        apart = np.linalg.norm(shifts - edges, axis=1)
        lines.append(
            f"| {pictures.name} | {len(found)} of {COLUMNS * ROWS} | {np.median(sizes):.1f} | "
            f"{sizes.max():.1f} | {np.median(apart):.1f} |"
        )
        fields += ["", f"## {pictures.name}", "", "| place | by information | by edges |"]
        fields.append("| --- | --- | --- |")
        fields += [
            f"| {place[0]:.0f}, {place[1]:.0f} | {_pair(shift)} | {_pair(edge)} |"
            for place, shift, edge in zip(places, shifts, edges, strict=True)
        ]
    lines += [
        "",
        "## Points that a person picked",
        "",
        "In pictures enlarged four times, to about a pixel; - where an edge runs that way.",
        "",
        "| picture | what | place | shift |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {point.picture} | {point.what} | {point.visible[0]:.0f}, {point.visible[1]:.0f} | "
        f"{_sign(point.across)}, {_sign(point.down)} |"
        for point in PICKED
    ]
    return "\n".join(lines + fields) + "\n"


def _half(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.8), np.float32)


def _information(visible: NDArray[np.float32], infrared: NDArray[np.float32]) -> Floats:
    """Mutual information of a block with all blocks of its size in a wider one."""
    one, other = _levels(visible), _levels(infrared)
    height, width = visible.shape
    reach = other.shape[0] - height + 1, other.shape[1] - width + 1
    found = np.zeros(reach)
    for y, x in np.ndindex(*reach):
        pairs = LEVELS * one + other[y : y + height, x : x + width]
        table = np.bincount(pairs.ravel(), minlength=LEVELS**2).reshape(LEVELS, LEVELS)
        found[y, x] = _entropy(table.sum(axis=0)) + _entropy(table.sum(axis=1)) - _entropy(table)
    return found


def _levels(picture: NDArray[np.float32]) -> NDArray[np.int64]:
    low, high = np.percentile(picture, [2, 98])
    share = (picture - low) / max(high - low, 4)
    return np.asarray(np.clip(share * LEVELS, 0, LEVELS - 1), np.int64)


def _entropy(counts: NDArray[np.int64]) -> float:
    share = counts[counts > 0] / counts.sum()
    return -float((share * np.log(share)).sum())


def _peak(surface: Floats) -> Floats | None:
    """The best shift, between pixels; None where it is at the border or another does as well."""
    y, x = np.unravel_index(int(surface.argmax()), surface.shape)
    rows, columns = np.indices(surface.shape)
    others = surface[np.hypot(rows - y, columns - x) > APART]
    best = float(surface[y, x])
    inside = 0 < y < surface.shape[0] - 1 and 0 < x < surface.shape[1] - 1
    if not inside or best - others.max() < LEAST_LEAD * (best - np.median(surface)):
        return None
    near = surface[y - 1 : y + 2, x - 1 : x + 2]
    rest = [
        (after - before) / (2 * (2 * best - after - before))
        for before, after in ((near[1, 0], near[1, 2]), (near[0, 1], near[2, 1]))
    ]
    return np.asarray(np.array([x - REACH, y - REACH]) + np.array(rest), np.float64)


def _pair(shift: Floats) -> str:
    return f"{shift[0]:+.1f}, {shift[1]:+.1f}"


def _sign(value: float | None) -> str:
    return "-" if value is None else f"{value:+.0f}"


def main(arguments: list[str] | None = None) -> None:
    """Measure all sets and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    options.output.write_text(report(load_sets(options.data)), encoding="utf-8")


if __name__ == "__main__":
    main()

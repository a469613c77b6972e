"""How well `crossfuse calibrate` finds known rigs: pictures warped, shifted in time, noisy.

python -m crossfuse_bench.calibrate_rigs --data DIR --cases 50 -o report.md

Every case warps the infrared frames of a registered set by a known homography (scale 0.7 to 1.3,
turn up to 5 degrees, shift up to 10 %), adds noise, moves them in time by up to 300 ms, and asks
for both. The sets themselves are not registered to the pixel. So the error is given twice: against
the known homography alone, and against it after the set's own misregistration, which is measured
on unwarped frames that the case does not use.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.calibration import CalibrationRefused, Recording, calibrate_automatically
from crossfuse.calibration.geometry import Matrix, corner_error, shrink, similarity
from crossfuse.calibration.recordings import WIDTH
from crossfuse.calibration.refine import FINE, refine

UInt8Array = NDArray[np.uint8]

SIZE = (640, 480)
LARGEST_LAG = 0.3
FRAMES = 140
NOISE = 4.0
WITHIN = 3.0
STILLS_RATE = 25.0


@dataclass(frozen=True, slots=True, eq=False)
class PictureSet:
    """Registered frames of both cameras, uint8 HxW."""

    name: str
    ir: list[UInt8Array]
    vis: list[UInt8Array]
    fps: float

    def own_error(self) -> Matrix:
        """How the set itself is off: measured on every other frame, which no case uses."""
        step = max(2, len(self.ir) // 40 // 2 * 2)
        found = refine(np.eye(3), self.ir[1::step], self.vis[1::step], FINE)
        if found is None:
            raise RuntimeError(f"{self.name} does not fit itself")
        return found.homography


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case; errors are pixels at the corners, None where it was refused."""

    number: int
    name: str
    scale: float
    turn: float
    lag: float
    error: float | None
    own_error: float | None
    offset_error: float | None
    """Milliseconds; None where no offset was found."""
    frame: float
    """Milliseconds from frame to frame."""
    refused: str
    seconds: float


def load_sets(data: Path, most: int | None = None) -> list[PictureSet]:
    """The M3SVD clips and the MSRS stills, at most so many frames of each."""
    sets = []
    for path in sorted((data / "m3svd_video" / "ir").glob("*.mp4")):
        ir, fps = _read_clip(path, most)
        vis, _ = _read_clip(data / "m3svd_video" / "vis" / path.name, most)
        sets.append(PictureSet(f"M3SVD {path.stem}", ir, vis, fps))
    stills = sorted((data / "msrs" / "ir").glob("*.png"))[:most]
    ir = [_read_grey(path) for path in stills]
    vis = [_read_grey(data / "msrs" / "vis" / path.name) for path in stills]
    sets.append(PictureSet("MSRS stills", ir, vis, STILLS_RATE))
    return sets


def run_case(number: int, pictures: PictureSet, own: Matrix) -> Outcome:
    """Warp, calibrate, compare; everything about the case follows from its number."""
    random = np.random.default_rng(number)
    scale, turn = random.uniform(0.7, 1.3), random.uniform(-5, 5)
    truth = similarity(scale, turn, SIZE, SIZE)
    truth[:2, 2] += random.uniform(-0.1, 0.1, 2) * SIZE
    frame = 1 / pictures.fps
    lag = int(random.integers(-round(LARGEST_LAG / frame), round(LARGEST_LAG / frame) + 1))
    # Cases use the even frames, the set's own error comes from the odd ones.
    count = min(FRAMES, len(pictures.ir) // 2 - abs(lag))
    room = len(pictures.ir) // 2 - count
    first = 2 * int(random.integers(max(0, -lag), room - max(0, lag) + 1))
    numbers = range(first, first + 2 * count, 2)
    ir, vis = (
        Recording(name, SIZE, frames, np.arange(len(frames), dtype=np.float64) * frame)
        for name, frames in (
            ("ir", [_warped(pictures.ir[n + 2 * lag], truth, random) for n in numbers]),
            ("vis", [shrink(pictures.vis[n], WIDTH) for n in numbers]),
        )
    )
    started = time.process_time()
    error = own_error = offset_error = None
    refused = ""
    try:
        rig = calibrate_automatically(ir, vis)
    except CalibrationRefused as problem:
        refused = str(problem)
    else:
        error = corner_error(rig.homography, truth, SIZE)
        own_error = corner_error(rig.homography, own @ truth, SIZE)
        if rig.quality.offset_error is not None:
            offset_error = abs(rig.time_offset_ms - lag * frame * 1e3)
    return Outcome(
        number, pictures.name, scale, turn, lag * frame * 1e3, error, own_error, offset_error,
        frame * 1e3, refused, time.process_time() - started,
    )  # fmt: skip


def report(outcomes: Sequence[Outcome]) -> str:
    """The table of all cases, under what it comes to."""
    written = [outcome for outcome in outcomes if outcome.error is not None]
    known = sum(outcome.error is not None and outcome.error <= WITHIN for outcome in outcomes)
    own = sum(outcome.own_error is not None and outcome.own_error <= WITHIN for outcome in outcomes)
    timed = [outcome for outcome in written if outcome.offset_error is not None]
    in_time = sum((outcome.offset_error or 0) <= outcome.frame for outcome in timed)
    lines = [
        "# `crossfuse calibrate` on rigs with known answers",
        "",
        f"{len(outcomes)} cases; error at the corners of 640x480, in pixels; "
        "`make rigs` measures it again.",
        "",
        f"- written: {len(written)}, refused: {len(outcomes) - len(written)}",
        f"- within {WITHIN:g} px of the known homography: {known} of {len(outcomes)}",
        f"- within {WITHIN:g} px of the known homography after the set's own misregistration "
        f"(measured on frames no case uses): {own} of {len(outcomes)}",
        f"- time offset found in {len(timed)} of {len(written)} written rigs, "
        f"within one frame in {in_time} of these",
        "",
        "| case | set | scale | turn | lag ms | error | error after own | offset error ms "
        "| s CPU | refused |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        numbers = [
            "-" if value is None else f"{value:.1f}"
            for value in (outcome.error, outcome.own_error, outcome.offset_error)
        ]
        lines.append(
            f"| {outcome.number} | {outcome.name} | {outcome.scale:.2f} | {outcome.turn:.1f} | "
            f"{outcome.lag:.0f} | {' | '.join(numbers)} | {outcome.seconds:.0f} | "
            f"{outcome.refused.partition(';')[0]} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run the cases and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    sets = load_sets(options.data)
    own = [pictures.own_error() for pictures in sets]
    outcomes = []
    for number in range(options.cases):
        place = number % len(sets)
        outcomes.append(run_case(number, sets[place], own[place]))
        options.output.write_text(report(outcomes), encoding="utf-8")


def _warped(picture: UInt8Array, truth: Matrix, random: np.random.Generator) -> UInt8Array:
    """What the infrared camera of the rig sees: noisy, and nothing where the set shows nothing."""
    warped = cv2.warpPerspective(picture, np.linalg.inv(truth), SIZE)
    noisy = warped + NOISE * random.standard_normal(warped.shape, dtype=np.float32)
    return shrink(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), WIDTH)


def _read_clip(path: Path, most: int | None) -> tuple[list[UInt8Array], float]:
    capture = cv2.VideoCapture(str(path))
    frames: list[UInt8Array] = []
    while True:
        good, frame = capture.read()
        if not good or len(frames) == most:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8))


def _read_grey(path: Path) -> UInt8Array:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise FileNotFoundError(path)
    return np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main()

"""How well `crossfuse calibrate` finds known rigs: pictures warped, shifted in time, noisy.

python -m crossfuse_bench.calibrate_rigs --data DIR --cases 50 -o report.md

Every case warps the infrared frames of a registered set by a known homography (scale 0.7 to 1.3,
turn up to 5 degrees, shift up to 10 %), adds noise, moves them in time by up to 300 ms, and asks
for both. The sets themselves are not registered to the pixel: their own shifts, up to 11 pixels,
are measured on frames that no case uses. So each case is calibrated twice, on the pictures as they
come and with their own shifts taken out, and there are three errors:

known       pictures as they come, against the known homography alone
composed    the same rig, against the known homography after the nearest one to the own shifts
registered  pictures without their own shifts, against the known homography alone
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
from crossfuse_bench.own_alignment import OwnAlignment

UInt8Array = NDArray[np.uint8]
Floats = NDArray[np.float64]

SIZE = (640, 480)
LARGEST_LAG = 0.3
FRAMES = 140
NOISE = 4.0
WITHIN = 3.0
STILLS_RATE = 25.0
OWN_FRAMES = 60


@dataclass(frozen=True, slots=True, eq=False)
class PictureSet:
    """Registered frames of both cameras, uint8 HxW."""

    name: str
    ir: list[UInt8Array]
    vis: list[UInt8Array]
    fps: float

    def own_alignment(self) -> OwnAlignment:
        """How the set itself is off: measured on every other frame, which no case uses."""
        step = max(2, len(self.ir) // OWN_FRAMES // 2 * 2)
        return OwnAlignment(self.ir[1::step], self.vis[1::step])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One calibration; errors are pixels at the corners, None where it was refused."""

    known: float | None = None
    composed: float | None = None
    offset: float | None = None
    """Error in milliseconds; None where no offset was found."""
    refused: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case: a known rig, calibrated on the pictures as they come and on registered ones."""

    number: int
    name: str
    scale: float
    turn: float
    lag: float
    frame: float
    """Milliseconds from frame to frame, as is lag."""
    raw: Attempt
    registered: Attempt


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


def run_case(number: int, pictures: PictureSet, own: OwnAlignment) -> Outcome:
    """Warp, calibrate, compare; everything about the case follows from its number."""
    random = np.random.default_rng(number)
    scale, turn = random.uniform(0.7, 1.3), random.uniform(-5, 5)
    truth = similarity(scale, turn, SIZE, SIZE)
    truth[:2, 2] += random.uniform(-0.1, 0.1, 2) * SIZE
    frame = 1 / pictures.fps
    lag = int(random.integers(-round(LARGEST_LAG / frame), round(LARGEST_LAG / frame) + 1))
    # Cases use the even frames, the set's own alignment comes from the odd ones.
    count = min(FRAMES, len(pictures.ir) // 2 - abs(lag))
    room = len(pictures.ir) // 2 - count
    first = 2 * int(random.integers(max(0, -lag), room - max(0, lag) + 1))
    infrared = pictures.ir[first + 2 * lag :: 2][:count]
    visible = [shrink(picture, WIDTH) for picture in pictures.vis[first::2][:count]]
    times = np.arange(count, dtype=np.float64) * frame
    places = _places(truth)
    composed = own.composed(truth, SIZE)
    attempts = []
    for seen in (places, own.infrared_places(places)):
        noisy = [_warped(picture, seen, places, random) for picture in infrared]
        attempts.append(
            _attempt(
                Recording("ir", SIZE, noisy, times), Recording("vis", SIZE, visible, times),
                truth, composed, lag * frame * 1e3,
            )
        )  # fmt: skip
    return Outcome(number, pictures.name, scale, turn, lag * frame * 1e3, frame * 1e3, *attempts)


def _attempt(ir: Recording, vis: Recording, truth: Matrix, composed: Matrix, lag: float) -> Attempt:
    started = time.process_time()
    try:
        rig = calibrate_automatically(ir, vis)
    except CalibrationRefused as problem:
        return Attempt(refused=str(problem), seconds=time.process_time() - started)
    return Attempt(
        known=corner_error(rig.homography, truth, SIZE),
        composed=corner_error(rig.homography, composed, SIZE),
        offset=None if rig.quality.offset_error is None else abs(rig.time_offset_ms - lag),
        seconds=time.process_time() - started,
    )


def report(outcomes: Sequence[Outcome]) -> str:
    """The table of all cases, under what it comes to."""
    raw = [outcome.raw for outcome in outcomes]
    registered = [outcome.registered for outcome in outcomes]
    errors = {
        "pictures as they come, against the known homography": [one.known for one in raw],
        "pictures as they come, against the known homography after the nearest one to the set's "
        "own shifts": [one.composed for one in raw],
        "pictures without their own shifts, against the known homography": [
            one.known for one in registered
        ],
    }
    lines = [
        "# `crossfuse calibrate` on rigs with known answers",
        "",
        f"{len(outcomes)} cases; error at the corners of 640x480, in pixels; "
        "`make rigs` measures it again. The sets are not registered to the pixel; their own "
        "shifts were measured on frames that no case uses.",
        "",
        f"| | written | refused | within {WITHIN:g} px | written, but not within |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, found in errors.items():
        written = [error for error in found if error is not None]
        good = sum(error <= WITHIN for error in written)
        lines.append(
            f"| {name} | {len(written)} | {len(found) - len(written)} | "
            f"{good} of {len(found)} | {len(written) - good} |"
        )
    lines.append("")
    for name, attempts in (("as they come", raw), ("without their own shifts", registered)):
        written = [one.offset for one in attempts if one.known is not None]
        late = [
            attempt.offset is not None and attempt.offset <= outcome.frame
            for attempt, outcome in zip(attempts, outcomes, strict=True)
        ]
        lines.append(
            f"- time offset, pictures {name}: found in "
            f"{sum(offset is not None for offset in written)} of {len(written)} written rigs, "
            f"within one frame in {sum(late)}"
        )
    lines += [
        "",
        "| case | set | scale | turn | lag ms | known | composed | registered | offset error ms, "
        "as they come and registered | s CPU | refused |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join(lines + [_row(outcome) for outcome in outcomes]) + "\n"


def _row(outcome: Outcome) -> str:
    raw, registered = outcome.raw, outcome.registered
    known, composed, free, offset, other = (
        "-" if value is None else f"{value:.1f}"
        for value in (raw.known, raw.composed, registered.known, raw.offset, registered.offset)
    )
    refused = ", ".join(
        f"{name}: {attempt.refused.partition(';')[0]}"
        for name, attempt in (("as they come", raw), ("registered", registered))
        if attempt.refused
    )
    return (
        f"| {outcome.number} | {outcome.name} | {outcome.scale:.2f} | {outcome.turn:.1f} | "
        f"{outcome.lag:.0f} | {known} | {composed} | {free} | {offset} {other} | "
        f"{(raw.seconds + registered.seconds) / 2:.0f} | {refused} |"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the cases and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=50)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    sets = load_sets(options.data)
    own = [pictures.own_alignment() for pictures in sets]
    outcomes = []
    for number in range(options.cases):
        place = number % len(sets)
        outcomes.append(run_case(number, sets[place], own[place]))
        options.output.write_text(report(outcomes), encoding="utf-8")


def _places(truth: Matrix) -> Floats:
    """HxWx2: where in the set's pictures the infrared camera of the rig sees each of its pixels."""
    grid = np.stack(np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1])), axis=-1).astype(float)
    return np.asarray(cv2.perspectiveTransform(grid, truth), np.float64)


def _warped(
    picture: UInt8Array, seen: Floats, places: Floats, random: np.random.Generator
) -> UInt8Array:
    """What the infrared camera of the rig sees: noisy, and nothing where the set shows nothing."""
    warped = cv2.remap(picture, seen.astype(np.float32), None, cv2.INTER_LINEAR)
    warped[np.any((places < 0) | (places > np.array(SIZE) - 1), axis=-1)] = 0
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

"""How well `crossfuse calibrate` finds known rigs: pictures warped, shifted in time, noisy.

python -m crossfuse_bench.calibrate_rigs --data DIR --cases 50 -o report.md

Every case warps the infrared frames of a registered set by a known homography (scale 0.7 to 1.3,
turn up to 5 degrees, shift up to 10 %), adds noise, moves them in time by up to 300 ms, and asks
for both. The sets themselves are not registered to the pixel: their own shifts, up to 12 pixels,
are measured on frames that no case uses (own_shifts.py shows them by other means). So each case is
calibrated twice, on the pictures as they come and with their own shifts taken out, and there are
three errors:

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

from crossfuse.calibration import CalibrationRefused, calibrate_automatically
from crossfuse.calibration.geometry import corner_error
from crossfuse_bench.own_alignment import OwnAlignment
from crossfuse_bench.registered_sets import SIZE, Case, draw_case, load_sets

WITHIN = 3.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One calibration; errors are pixels at the corners, None where it was refused."""

    known: float | None = None
    composed: float | None = None
    unsure: float | None = None
    """What the rig itself says of its error."""
    offset: float | None = None
    """Error in milliseconds; None where no offset was found."""
    refused: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case, calibrated on the pictures as they come and on registered ones."""

    case: Case
    raw: Attempt
    registered: Attempt


def attempt(case: Case, own: OwnAlignment, *, registered: bool) -> Attempt:
    """Calibrate a case and compare; registered: without the own shifts of its pictures."""
    ir, vis = case.recordings(own if registered else None)
    started = time.process_time()
    try:
        rig = calibrate_automatically(ir, vis)
    except CalibrationRefused as problem:
        return Attempt(refused=str(problem), seconds=time.process_time() - started)
    late = abs(rig.time_offset_ms - case.lag * case.frame)
    return Attempt(
        known=corner_error(rig.homography, case.truth, SIZE),
        composed=corner_error(rig.homography, own.composed(case.truth, SIZE), SIZE),
        unsure=rig.quality.error,
        offset=None if rig.quality.offset_error is None else late,
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
        "`make rigs` measures it again. The sets are not registered to the pixel: see "
        "[their own shifts](calibrate-own-shifts.md). Here these were measured on frames that no "
        "case uses. What a rig says of its own error, the standard deviation of its least sure "
        "corner, is in brackets.",
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
        offsets = [one.offset for one in attempts if one.known is not None]
        in_time = [
            one.offset is not None and one.offset <= outcome.case.frame
            for one, outcome in zip(attempts, outcomes, strict=True)
        ]
        lines.append(
            f"- time offset, pictures {name}: found in "
            f"{sum(offset is not None for offset in offsets)} of {len(offsets)} written rigs, "
            f"within one frame in {sum(in_time)}"
        )
    lines += [
        "",
        "| case | set | scale | turn | lag ms | known | composed | registered | offset error ms, "
        "as they come and registered | s CPU | refused |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join(lines + [_row(outcome) for outcome in outcomes]) + "\n"


def _row(outcome: Outcome) -> str:
    case, raw, registered = outcome.case, outcome.raw, outcome.registered
    known, said, composed, free, also_said, offset, other = (
        "-" if value is None else f"{value:.1f}"
        for value in (
            *(raw.known, raw.unsure, raw.composed),
            *(registered.known, registered.unsure),
            *(raw.offset, registered.offset),
        )
    )
    refused = ", ".join(
        f"{name}: {one.refused.partition(';')[0]}"
        for name, one in (("as they come", raw), ("registered", registered))
        if one.refused
    )
    return (
        f"| {case.number} | {case.pictures.name} | {case.scale:.2f} | {case.turn:.1f} | "
        f"{case.lag * case.frame:.0f} | {known} ({said}) | {composed} | {free} ({also_said}) | "
        f"{offset} {other} | {(raw.seconds + registered.seconds) / 2:.0f} | {refused} |"
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
    outcomes: list[Outcome] = []
    for number in range(options.cases):
        place = number % len(sets)
        case = draw_case(number, sets[place])
        attempts = (attempt(case, own[place], registered=on) for on in (False, True))
        outcomes.append(Outcome(case, *attempts))
        options.output.write_text(report(outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()

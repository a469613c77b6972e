"""What the shipped models reach on held-out pairs, beside each other and the simple rules.

    python -m crossfuse_bench.shipped_models --data DIR -o FILE.md

The models run as they are installed, in colour; the scores are those of `crossfuse evaluate` with
profile cddfuse. Run it in a checkout, where crossfuse-base is found.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import crossfuse
from crossfuse.arrays import UInt8Array
from crossfuse.evaluation.statistics import bootstrap_intervals
from crossfuse.fuser import Fuser
from crossfuse.metrics import BASELINES, to_grey
from crossfuse_bench.conditions import conditions
from crossfuse_bench.contrast_study import CORRECTED, METRICS, ranked, scores_of
from crossfuse_bench.held_out_pairs import STEMS, HeldOutPair, held_out_pairs
from crossfuse_bench.quality import distance

TEACHER, STUDENT = "crossfuse-base", "crossfuse-rt"


@dataclass(slots=True)
class Found:
    """Of one set: scores by row and picture, and the pictures of each model, uint8 like vis."""

    scores: dict[str, list[list[float]]] = field(default_factory=dict)
    pictures: dict[str, list[UInt8Array]] = field(default_factory=dict)

    def of(self, row: str) -> NDArray[np.float64]:
        """Scores of a row: METRICS and CORRECTED for each picture."""
        return np.array(self.scores[row], np.float64)

    def means(self) -> dict[str, list[float]]:
        """By row."""
        return {row: [float(mean) for mean in self.of(row).mean(axis=0)] for row in self.scores}


def measure(pairs: Iterable[HeldOutPair], models: Mapping[str, Fuser]) -> Found:
    """The models on these pairs, TEACHER and STUDENT among them, and the simple rules."""
    found = Found()
    for pair in pairs:
        for name, model in models.items():
            fused = model.fuse(pair.ir, pair.vis)
            found.pictures.setdefault(name, []).append(fused)
            found.scores.setdefault(name, []).append(scores_of(pair, to_grey(fused)))
        for name, fuse in BASELINES.items():
            scores = scores_of(pair, fuse(pair.ir, pair.luma))
            found.scores.setdefault(name, []).append(scores)
    return found


def report(found: Found) -> list[str]:
    """One set as Markdown."""
    columns = [*METRICS, CORRECTED]
    means = found.means()
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' --: |' * len(columns)}"]
    for row, scores in means.items():
        low, high = bootstrap_intervals(found.of(row))
        cells = (
            f"{mean:.3f} ({least:.3f} to {most:.3f})"
            for mean, least, most in zip(scores, low, high, strict=True)
        )
        lines.append(f"| {row} | {' | '.join(cells)} |")
    lines.append("")
    for model in (TEACHER, STUDENT):
        places = ", ".join(f"{row} {place:.3f}" for row, place in ranked(means, model).items())
        lines.append(f"- Mean rank over {', '.join(METRICS)}: {places}.")
    shares = np.array(means[STUDENT]) / means[TEACHER]
    apart = distance(found.pictures[STUDENT], found.pictures[TEACHER])
    lines += [
        f"- {STUDENT} has at least {shares.min():.3f} of what {TEACHER} has: in "
        f"{columns[int(shares.argmin())]}.",
        f"- PSNR of {STUDENT} against {TEACHER}: {apart['psnr']:.1f} dB, mean over the pictures.",
    ]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    given = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        models = {
            name: stack.enter_context(crossfuse.load(name, device="cpu", precision="fp32"))
            for name in (TEACHER, STUDENT)
        }
        lines = [
            "# What the shipped models reach on held-out pairs",
            "",
            *conditions("onnxruntime", "numpy", "opencv-python-headless"),
            *(
                f"- {name}: fp32, sha256 `{model.engine.describe().sha256}`"
                for name, model in models.items()
            ),
            "- Means over the pictures and, in brackets, their 95 % intervals (bootstrap over "
            "pictures).",
            "- Repeat it: `python -m crossfuse_bench.shipped_models --data DIR -o FILE.md`",
        ]
        for name in STEMS:
            found = measure(held_out_pairs(given.data, name), models)
            lines += ["", f"## {name}, {len(found.pictures[STUDENT])} pairs", "", *report(found)]
            given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

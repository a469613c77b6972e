"""How far a model should raise local contrast in the end: its scores at several shares.

    python -m crossfuse_bench.contrast_study --data DIR \\
        --checkpoint base=models/crossfuse-base/checkpoint \\
        --share 0 0.6 0.75 -o FILE.md

The raise has no weights and takes no part in training, so one checkpoint is scored at every share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.evaluation.ranks import mean_over_metrics, ranks
from crossfuse.metrics import BASELINES, evaluate_pair
from crossfuse_bench.conditions import conditions
from crossfuse_bench.held_out_pairs import (
    STEMS,
    Checkpoint,
    HeldOutPair,
    held_out_pairs,
    study_parser,
)

METRICS = ("EN", "SD", "SF", "AG", "SCD", "VIF", "Qabf", "SSIM")
CORRECTED = "SSIM, corrected"


def scores_of(pair: HeldOutPair, fused: UInt8Array) -> list[float]:
    """METRICS of profile cddfuse, then SSIM of profile corrected."""
    usual = evaluate_pair(pair.ir, pair.luma, fused, names=METRICS)
    corrected = evaluate_pair(pair.ir, pair.luma, fused, names=["SSIM"], profile="corrected")
    return [*(usual[name] for name in METRICS), corrected["SSIM"]]


def study(
    pairs: Iterable[HeldOutPair], networks: Mapping[str, Checkpoint], shares: Sequence[float]
) -> dict[str, list[float]]:
    """Mean scores by row: a network at a share, or a simple rule."""
    found: dict[str, list[list[float]]] = {}
    for pair in pairs:
        for name, network in networks.items():
            raised = network.fuse_at(pair.ir, pair.luma, shares)
            for share, fused in zip(shares, raised, strict=True):
                found.setdefault(f"{name}, {share:g}", []).append(scores_of(pair, fused))
        for rule, fuse in BASELINES.items():
            scores = scores_of(pair, fuse(pair.ir, pair.luma))
            found.setdefault(rule, []).append(scores)
    return {row: list(np.mean(scores, axis=0)) for row, scores in found.items()}


def ranked(means: Mapping[str, Sequence[float]], row: str) -> dict[str, float]:
    """Mean ranks over METRICS of one row beside the simple rules."""
    names = [row, *(name for name in BASELINES if name != row)]
    values = np.array([means[name][: len(METRICS)] for name in names])
    of_rows = mean_over_metrics(ranks(values, np.ones(len(METRICS), np.bool_)))
    return dict(zip(names, map(float, of_rows), strict=True))


def table(means: Mapping[str, Sequence[float]]) -> list[str]:
    """One set as Markdown. The last column is the best of the simple rules beside that row."""
    columns = [*METRICS, CORRECTED, "mean rank", "best rule beside it"]
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' --: |' * len(columns)}"]
    for row, scores in means.items():
        places = ["-", "-"]
        if row not in BASELINES:
            beside = ranked(means, row)
            own = beside.pop(row)
            best = min(beside, key=lambda name: beside[name])
            places = [f"{own:.3f}", f"{best} {beside[best]:.3f}"]
        lines.append(f"| {row} | {' | '.join([*(f'{value:.3f}' for value in scores), *places])} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the report."""
    parser = study_parser(__doc__)
    parser.add_argument("--share", type=float, nargs="+", required=True, metavar="SHARE")
    given = parser.parse_args(arguments)
    networks = dict(given.checkpoint)
    cv2.setNumThreads(1)
    lines = ["# How far local contrast is raised in the end", "", *conditions("torch", "numpy")]
    shown = " ".join(f"{name}=..." for name in networks)
    shares = " ".join(f"{share:g}" for share in given.share)
    lines += [
        f"- Repeat it: `python -m crossfuse_bench.contrast_study --data DIR --checkpoint {shown} "
        f"--share {shares} -o FILE.md`",
        "- Mean rank: over the first eight metrics, of that row beside average, maximum and "
        "Laplacian pyramid; 1 is best. The last column is the best of those three beside it.",
    ]
    for name in STEMS:
        means = study(held_out_pairs(given.data, name), networks, given.share)
        lines += ["", f"## {name}", "", *table(means)]
        given.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

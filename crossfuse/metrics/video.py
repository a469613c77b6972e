"""How steady a fused video is: flicker, frame-difference consistency and flow-warped difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.metrics.baselines import average
from crossfuse.metrics.picture import Picture, SourcePair, size_text
from crossfuse.metrics.registry import Description

VIDEO_METRICS = (
    Description(
        "flicker",
        "lower",
        (0, None),
        True,
        "Standard deviation over time of the change of the frame mean, fused over visible; "
        "undefined for fewer than 3 frames and where the visible mean changes evenly.",
        "defined by this project; up to 1.1 is the bar for a model that ships",
    ),
    Description(
        "frame_difference",
        "lower",
        (0, 255),
        True,
        "Mean over pixels and frame pairs of | |dF| - max(|dIR|, |dVIS|) |, d being the change "
        "from one frame to the next in grey levels.",
        "defined by this project",
    ),
    Description(
        "flow_warp",
        "lower",
        (0, 255),
        True,
        "Mean absolute difference in grey levels of each fused frame and the next one warped back "
        "by the optical flow of the averaged sources, without pixels that leave the frame or are "
        "occluded; undefined where none is left.",
        "Lai et al., ECCV 2018 (warping error); flow of Kroeger et al., ECCV 2016 (DIS)",
    ),
)
# The coarsest patch of the flow must fit.
SMALLEST_SIDE = 16
# A spread in grey levels that is only rounding.
EVEN = 1e-9


class _Moments:
    """Mean and spread of a stream of numbers, in constant memory; NaN is left out."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        if np.isnan(value):
            return
        self._count += 1
        change = value - self._mean
        self._mean += change / self._count
        self._squares += change * (value - self._mean)

    @property
    def mean(self) -> float:
        return self._mean if self._count else float("nan")

    @property
    def spread(self) -> float:
        return float(np.sqrt(self._squares / self._count)) if self._count > 1 else float("nan")


class _Flow(NamedTuple):
    """Where each pixel of a frame is in the next one, as HxW maps, and where that is known."""

    column: NDArray[np.float32]
    row: NDArray[np.float32]
    known: NDArray[np.bool_]


class _Steadiness:
    """The running scores of one method."""

    def __init__(self) -> None:
        self.mean_change = _Moments()
        self.frame_difference = _Moments()
        self.flow_warp = _Moments()


class VideoScorer:
    """Scores fused videos frame by frame; keeps one frame, whatever the length of the video."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._vis_change = _Moments()
        self._methods: dict[str, _Steadiness] = {}
        self._previous: tuple[SourcePair, dict[str, Picture]] | None = None

    def update(
        self, ir: NDArray[Any], vis: NDArray[Any], fused: Mapping[str, NDArray[Any]]
    ) -> None:
        """The next frame: uint8 HxW grey or HxWx3 RGB, the fused ones by method.

        Size and methods must be those of the first frame.
        """
        pair = SourcePair(ir, vis)
        pictures = {method: pair.fused(pixels) for method, pixels in fused.items()}
        if self._previous is None:
            self._methods = {method: _Steadiness() for method in pictures}
        else:
            self._compare(*self._previous, pair, pictures)
        self._previous = pair, pictures

    def results(self) -> dict[str, dict[str, float]]:
        """The video metrics so far, by method; NaN where undefined."""
        return {
            method: {
                "flicker": _ratio(scores.mean_change.spread, self._vis_change.spread),
                "frame_difference": scores.frame_difference.mean,
                "flow_warp": scores.flow_warp.mean,
            }
            for method, scores in self._methods.items()
        }

    def _compare(
        self,
        before: SourcePair,
        fused_before: Mapping[str, Picture],
        now: SourcePair,
        fused_now: Mapping[str, Picture],
    ) -> None:
        if now.ir.shape != before.ir.shape:
            raise InvalidInput(
                "ir", f"size {size_text(now.ir)}", f"{size_text(before.ir)}, as before"
            )
        if fused_now.keys() != fused_before.keys():
            raise InvalidInput("fused", f"methods {sorted(fused_now)}", f"{sorted(fused_before)}")
        self._vis_change.add(now.vis.values.mean() - before.vis.values.mean())
        of_sources = np.maximum(_change(before.ir, now.ir), _change(before.vis, now.vis))
        flow = self._flow_between(before, now)
        for method, scores in self._methods.items():
            first, second = fused_before[method], fused_now[method]
            scores.mean_change.add(second.values.mean() - first.values.mean())
            difference = np.abs(_change(first, second) - of_sources)
            scores.frame_difference.add(float(difference.mean()))
            scores.flow_warp.add(_warped_difference(first, second, flow))

    def _flow_between(self, before: SourcePair, now: SourcePair) -> _Flow | None:
        """None where the frames are too small for optical flow."""
        if min(now.ir.shape) < SMALLEST_SIDE:
            return None
        first, second = (average(pair.ir.grey, pair.vis.grey) for pair in (before, now))
        still = np.zeros((*first.shape, 2), np.float32)
        forward = np.asarray(self._flow.calc(first, second, still.copy()), np.float32)
        backward = np.asarray(self._flow.calc(second, first, still), np.float32)
        height, width = first.shape
        column = np.arange(width, dtype=np.float32)[None, :] + forward[..., 0]
        row = np.arange(height, dtype=np.float32)[:, None] + forward[..., 1]
        back = _sample(backward, column, row)
        inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
        # There and back again must end close to where it began, or something is in the way.
        gap = np.square(forward + back).sum(axis=-1)
        length = np.square(forward).sum(axis=-1) + np.square(back).sum(axis=-1)
        return _Flow(column, row, inside & (gap <= 0.01 * length + 0.5))


def evaluate_video(
    frames: Iterable[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
) -> dict[str, float]:
    """The video metrics of one fused video from its frames (ir, vis, fused), read one by one."""
    scorer = VideoScorer()
    for ir, vis, fused in frames:
        scorer.update(ir, vis, {"fused": fused})
    results = scorer.results()
    if not results:
        raise InvalidInput("frames", "none", "at least one frame")
    return results["fused"]


def describe_video() -> list[Description]:
    """What the video metrics are, in the order of reports."""
    return list(VIDEO_METRICS)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > EVEN else float("nan")


def _change(before: Picture, now: Picture) -> NDArray[np.float64]:
    return np.abs(now.values - before.values)


def _sample(
    image: NDArray[np.float32], column: NDArray[np.float32], row: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The image between pixels, at the given places."""
    sampled = cv2.remap(image, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def _warped_difference(first: Picture, second: Picture, flow: _Flow | None) -> float:
    if flow is None or not flow.known.any():
        return float("nan")
    warped = _sample(second.values.astype(np.float32), flow.column, flow.row)
    return float(np.abs(warped - first.values)[flow.known].mean())

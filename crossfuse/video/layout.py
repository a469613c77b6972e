"""How an output frame is composed: the fused picture, or all three side by side, with a text."""

from __future__ import annotations

import cv2
import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.video.fusing import FusedPair

LAYOUTS = ("fused", "side-by-side")


def compose(answer: FusedPair, layout: str, text: str | None) -> UInt8Array:
    """The output frame, uint8 HxWx3 RGB or HxW."""
    picture = answer.fused
    if layout == "side-by-side":
        parts = (answer.pair.ir, answer.pair.vis, answer.fused)
        picture = np.hstack([_colour(part) for part in parts])
    if text:
        picture = _labelled(_colour(picture), text)
    return picture


def _colour(picture: UInt8Array) -> UInt8Array:
    if picture.ndim == 3:
        return picture
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)


def _labelled(picture: UInt8Array, text: str) -> UInt8Array:
    picture = picture.copy()
    scale = max(0.4, picture.shape[0] / 960)
    place = (round(12 * scale), round(30 * scale))
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(
            picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour,
            max(1, round(thickness * scale)), cv2.LINE_AA,
        )  # fmt: skip
    return picture

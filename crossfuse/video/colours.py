"""Decoded RGB frames as what the two cameras give: one infrared channel, or visible colour."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.images import PALETTES, Pixels, to_single_channel

# Video codecs store colour coarsely: a grey frame comes back with channels a few levels apart.
GREY_WITHIN = 12.0
CHECKED_EVERY = 50


class InfraredChannel:
    """Makes one channel of the RGB frames of an infrared video; refuses false colour once seen."""

    def __init__(self, name: str, palette: str | None) -> None:
        self._name = name
        self._palette = palette
        self._seen = 0

    def __call__(self, rgb: NDArray[np.uint8]) -> Pixels:
        """The infrared channel, uint8 HxW, of a frame, uint8 HxWx3 RGB."""
        if self._palette is not None:
            return to_single_channel(rgb, self._palette, field=self._name)
        if self._seen % CHECKED_EVERY == 0:
            self._check(rgb)
        self._seen += 1
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)

    def _check(self, rgb: NDArray[np.uint8]) -> None:
        small = cv2.resize(rgb, (64, 48), interpolation=cv2.INTER_AREA).astype(np.int16)
        spread = float((small.max(axis=2) - small.min(axis=2)).mean())
        if spread > GREY_WITHIN:
            raise InvalidInput(
                self._name,
                f"a false-colour infrared video (channels differ by {spread:.0f} on average)",
                f"a grey one, or a palette to convert it: {', '.join(PALETTES)}",
            )

"""Whether a rig that is in use still fits: cameras are knocked, and bend in the sun."""

from __future__ import annotations

import logging
import statistics
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.geometry import corner_error, shrink
from crossfuse.calibration.refine import Level, refine

_log = logging.getLogger(__name__)

WIDTH = 320
LEVEL = Level(160, 8, 2, 4)
# Pairs are taken so many seconds apart; an estimate needs so many of them.
SECONDS_BETWEEN = 0.5
PAIRS = 8
KEPT = 5
LEAST_FIT = 0.12
LEAST_AGREEMENT = 0.5
# In a picture 640 wide. Calibration itself may be 3 off, and near things move with their distance.
WARN_AT = 8.0


class DriftCheck:
    """Give it aligned pairs; it says how far the corners are off by now.

    box: x, y, width and height of the part that both cameras see. The work is done in a thread of
    its own, and pairs that come while it works are left out.
    """

    def __init__(self, box: tuple[int, int, int, int], width: int) -> None:
        x, y, across, down = box
        self._part = (slice(y, y + down), slice(x, x + across))
        self._warn_at = WARN_AT * width / 640
        self._next = -1
        self._ir: list[UInt8Array] = []
        self._vis: list[UInt8Array] = []
        self._found: deque[float] = deque(maxlen=KEPT)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="drift")
        self._working: Future[None] | None = None
        self._warned = False

    def add(self, ir: UInt8Array, vis: UInt8Array, position: int) -> None:
        """An aligned pair of one size: uint8 HxW and uint8 HxWx3 RGB or HxW; microseconds."""
        if position < self._next or (self._working is not None and not self._working.done()):
            return
        self._next = position + round(SECONDS_BETWEEN * 1e6)
        infrared, visible = ir[self._part], vis[self._part]
        # Green is near enough to the luma.
        self._ir.append(shrink(infrared, WIDTH))
        self._vis.append(shrink(visible if vis.ndim == 2 else visible[..., 1], WIDTH))
        if len(self._ir) == PAIRS:
            pairs, self._ir, self._vis = (self._ir, self._vis), [], []
            self._working = self._worker.submit(self._look, *pairs, infrared.shape[1])

    def close(self) -> float | None:
        """Finish; how far the corners are off in pixels, None where that was not to be seen."""
        self._worker.shutdown()
        if self._working is not None:
            self._working.result()
        return statistics.median(self._found) if self._found else None

    def _look(self, ir: list[UInt8Array], vis: list[UInt8Array], width: int) -> None:
        size = vis[0].shape[::-1]
        found = refine(np.eye(3), ir, vis, LEVEL)
        if found is None or found.fit < LEAST_FIT or found.agreement < LEAST_AGREEMENT:
            return
        self._found.append(corner_error(found.homography, np.eye(3), size) * width / size[0])
        if statistics.median(self._found) > self._warn_at and not self._warned:
            self._warned = True
            _log.warning(
                "the cameras seem to have moved by %.0f pixels since the rig was calibrated; "
                "run `crossfuse calibrate` again",
                statistics.median(self._found),
            )

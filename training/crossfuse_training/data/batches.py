"""Batches for training: drawn, cut, augmented and stacked ahead of the step that needs them."""

from __future__ import annotations

import queue
import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.data.augment import Cut, augment
from crossfuse_training.data.augment_config import AugmentConfig
from crossfuse_training.data.config import CurriculumConfig, CurriculumStage
from crossfuse_training.data.open_data import Data
from crossfuse_training.data.pair import PairFiles
from crossfuse_training.tensors import as_tensor

PREFETCH = 4
"""Batches made ahead."""
_LOOK_FOR_STOP = 0.05
"""Seconds after which a thread with a full queue looks whether it is still wanted."""
# What a generator is for: part of its seed, so that no two draw the same numbers.
_ORDER, _SIZE, _CUT = 0, 1, 2


@dataclass(frozen=True)
class Batch:
    """Cuts of pairs, float32 [B,1,H,W] in 0..255, all of one size."""

    ir: Tensor
    """May be misaligned by the augmentation."""
    vis: Tensor
    """Brightness of the visible picture."""
    background: Tensor
    """The aligned infrared, averaged over a wide neighbourhood."""
    aligned_ir: Tensor
    """`ir` without misalignment."""
    teacher: Tensor | None
    """The fused picture of the teacher."""


@dataclass(frozen=True)
class _Phase:
    """The steps of a curriculum stage, with what is drawn in them."""

    first_step: int
    crop: int
    pairs: tuple[PairFiles, ...]


class Batches:
    """The batches of a run; the sample of (seed, step, row) depends on nothing else.

    So a run can be resumed at any step, and each of several processes can take its rows of the
    global batch, without any state. Every pair is drawn once before any is drawn again.
    """

    def __init__(
        self,
        data: Data,
        augment: AugmentConfig,
        curriculum: CurriculumConfig,
        *,
        seed: int,
        batch: int,
        steps: int,
    ) -> None:
        for field, value, least in (("batch", batch, 1), ("steps", steps, 1), ("seed", seed, 0)):
            if value < least:
                raise InvalidInput(field, str(value), f"{least} or more")
        self._data = data
        self._augment = augment
        self._seed = seed
        self._batch = batch
        self._steps = steps
        stages = curriculum.stages or (CurriculumStage(until=1.0),)
        starts = [0, *(round(stage.until * steps) for stage in stages[:-1])]
        self._phases = [
            self._phase(start, stage) for start, stage in zip(starts, stages, strict=True)
        ]
        self._order: tuple[tuple[int, int], NDArray[np.int64]] | None = None

    def iterate(self, start_step: int = 0, rows: slice = slice(None)) -> Iterator[Batch]:
        """The batches of `start_step` (0 is the first) to the last, `rows` of each.

        A thread makes them ahead; it ends with the iterator, however that ends.
        """
        if not range(self._batch)[rows]:
            raise InvalidInput("rows", str(rows), f"some of the {self._batch} rows of a batch")
        ready: queue.Queue[Batch | Exception | None] = queue.Queue(PREFETCH)
        stop = threading.Event()

        def hand_over(made: Batch | Exception | None) -> None:
            while not stop.is_set():
                with suppress(queue.Full):
                    ready.put(made, timeout=_LOOK_FOR_STOP)
                    return

        def make_all() -> None:
            try:
                for step in range(start_step, self._steps):
                    if stop.is_set():
                        return
                    hand_over(self.make(step, rows))
            except Exception as error:  # raised again where the batches are used
                hand_over(error)
            hand_over(None)

        thread = threading.Thread(target=make_all, name="crossfuse-batches", daemon=True)
        thread.start()
        try:
            while (made := ready.get()) is not None:
                if isinstance(made, Exception):
                    raise made
                yield made
        finally:
            stop.set()
            thread.join()

    def make(self, step: int, rows: slice = slice(None)) -> Batch:
        """The batch of one step, in this thread."""
        phase = self._phases[self._phase_at(step)]
        height, width = self._size(step, phase.crop)
        cuts = [self._cut(phase, step, row, height, width) for row in range(self._batch)[rows]]
        teachers = [cut.teacher for cut in cuts if cut.teacher is not None]
        return Batch(
            ir=as_tensor([cut.ir for cut in cuts]),
            vis=as_tensor([cut.luma for cut in cuts]),
            background=as_tensor([cut.background for cut in cuts]),
            aligned_ir=as_tensor([cut.aligned_ir for cut in cuts]),
            teacher=as_tensor(teachers) if teachers else None,
        )

    def _phase(self, first_step: int, stage: CurriculumStage) -> _Phase:
        crop, train = stage.crop or self._augment.crop, self._data.train
        if crop > self._augment.crop:
            raise InvalidInput(
                "curriculum.stages.crop", str(crop), f"at most augment.crop, {self._augment.crop}"
            )
        subset = len(train) if stage.subset is None else stage.subset
        if not 1 <= subset <= len(train):
            raise InvalidInput(
                "curriculum.stages.subset", str(subset), f"1 to {len(train)}, the pairs there are"
            )
        pairs = train[:subset]
        largest = crop + self._augment.size_jitter
        small = [pair for pair in pairs if min(pair.height, pair.width) < largest]
        if small:
            received = f"{largest} with size_jitter, while {small[0].name} is "
            received += f"{small[0].height}x{small[0].width} ({len(small)} pairs are too small)"
            smallest = min(min(pair.height, pair.width) for pair in small)
            raise InvalidInput(
                "augment.crop", received, f"at most {smallest - self._augment.size_jitter}"
            )
        return _Phase(first_step, crop, pairs)

    def _phase_at(self, step: int) -> int:
        return bisect_right([phase.first_step for phase in self._phases], step) - 1

    def _size(self, step: int, crop: int) -> tuple[int, int]:
        generator = np.random.default_rng((self._seed, _SIZE, step))
        height, width = crop + generator.integers(0, self._augment.size_jitter + 1, 2)
        return int(height), int(width)

    def _cut(self, phase: _Phase, step: int, row: int, height: int, width: int) -> Cut:
        place = (step - phase.first_step) * self._batch + row
        epoch, index = divmod(place, len(phase.pairs))
        chosen = phase.pairs[int(self._permutation(phase, epoch)[index])]
        generator = np.random.default_rng((self._seed, _CUT, step, row))
        return augment(
            self._data.read(chosen), self._augment, generator, height=height, width=width
        )

    def _permutation(self, phase: _Phase, epoch: int) -> NDArray[np.int64]:
        """The order of an epoch; the last one made is kept."""
        key = (phase.first_step, epoch)
        kept = self._order
        if kept is None or kept[0] != key:
            generator = np.random.default_rng((self._seed, _ORDER, *key))
            kept = self._order = (key, generator.permutation(len(phase.pairs)))
        return kept[1]

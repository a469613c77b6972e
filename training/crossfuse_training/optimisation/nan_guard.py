"""Stops a run whose numbers are no longer finite, and keeps the batch that did it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from crossfuse.errors import EngineError, OutputError
from crossfuse_training.losses.inputs import LossInputs, LossValue

_SKIPPED_STEPS = 20
"""With fp16 the scale of the loss needs a few steps to settle; halved so often it is useless."""
_PICTURES = ("ir", "vis", "background", "teacher", "fused")


class NanGuard:
    """Looks at the loss and at the gradient of every step.

    Its file, not-finite-step-N.npz, has each picture of the batch as float32 [B,1,H,W], and
    `record`: a JSON text with the step, the parts of the loss and the norm of the gradient.
    """

    def __init__(self, folder: Path, *, scaled: bool = False) -> None:
        """`scaled`: fp16, where single steps with infinite gradients are normal."""
        self.folder = folder
        self._allowed = _SKIPPED_STEPS if scaled else 0
        self._skipped = 0

    def check_loss(self, step: int, value: LossValue, inputs: LossInputs) -> None:
        """Before the backward pass."""
        if not math.isfinite(value.total.item()):
            bad = [name for name, part in value.parts.items() if not math.isfinite(part.item())]
            self._stop(step, f"the loss ({', '.join(bad) or 'its sum'})", value, inputs, None)

    def check_gradient(self, step: int, norm: float, value: LossValue, inputs: LossInputs) -> None:
        """After the backward pass; with accumulation, give the last part of the batch."""
        if math.isfinite(norm):
            self._skipped = 0
            return
        self._skipped += 1
        if self._skipped > self._allowed:
            self._stop(step, "the gradient", value, inputs, norm)

    def _stop(
        self, step: int, what: str, value: LossValue, inputs: LossInputs, norm: float | None
    ) -> None:
        path = self.folder / f"not-finite-step-{step:06d}.npz"
        record = {
            "step": step,
            "not_finite": what,
            "parts": {name: part.item() for name, part in value.parts.items()},
            "gradient_norm": norm,
        }
        pictures = {name: getattr(inputs, name) for name in _PICTURES}
        arrays: dict[str, Any] = {
            name: picture.detach().float().cpu().numpy()
            for name, picture in pictures.items()
            if picture is not None
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, record=np.array(json.dumps(record)), **arrays)
        except OSError as error:
            raise OutputError(
                f"step {step}: {what} is not finite, and {path} could not be written: {error}"
            ) from error
        raise EngineError(
            f"step {step}: {what} is not finite; the batch is in {path}; "
            "a lower learning rate, optimiser.clip, or amp = bf16 in place of fp16 may help"
        )

"""Mixed precision, accumulation and clipping: from a loss to a step of the optimiser."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from crossfuse.errors import UnknownName

PRECISIONS = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Runs a network under autocast, and scales the loss where fp16 would lose small gradients.

    Losses and the networks' own statistics leave autocast by themselves. A step is:

        with precision.autocast():
            fused = network(ir, vis)
        precision.backward(losses(...).total, parts=accumulate)      # once for each part
        norm = precision.step(optimiser, clip)                       # and zero the gradients
    """

    def __init__(self, amp: str, device: torch.device | str = "cpu") -> None:
        """`amp`: none, bf16 or fp16."""
        if amp not in PRECISIONS:
            raise UnknownName("precision.amp", amp, PRECISIONS)
        self.amp = amp
        self.device = torch.device(device)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=amp == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        """The forward pass of the network goes in here; the losses need not."""
        dtype = PRECISIONS[self.amp]
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def backward(self, total: Tensor, parts: int = 1) -> None:
        """Add the gradient of one of `parts` equal parts of a batch."""
        torch.autograd.backward(self._scaler.scale(total / parts))

    def step(self, optimiser: torch.optim.Optimizer, clip: float | None) -> float:
        """Clip, step and forget the gradients; the norm of the gradient before clipping.

        A step whose gradient is not finite is left out; with fp16 that is how the scale of the
        loss finds its size, so a few of them are normal there.
        """
        self._scaler.unscale_(optimiser)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        norm = float(nn.utils.clip_grad_norm_(parameters, math.inf if clip is None else clip))
        if self.amp == "fp16":
            self._scaler.step(optimiser)
            self._scaler.update()
        elif math.isfinite(norm):
            optimiser.step()
        optimiser.zero_grad()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """For resume: the scale of the loss; empty without fp16."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.amp == "fp16":
            self._scaler.load_state_dict(state)

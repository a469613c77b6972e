"""Where half precision would ruin a number."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(values: Tensor) -> Tensor:
    """Half-precision values (mixed-precision training) as single; others as they are."""
    return values if values.dtype == torch.float64 else values.float()

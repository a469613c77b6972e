"""From pictures to what networks take, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def as_tensor(pictures: Sequence[NDArray[np.uint8] | NDArray[np.float32]]) -> Tensor:
    """Grey pictures HxW in 0..255, of one size, as float32 [B,1,H,W]."""
    return torch.from_numpy(np.stack(pictures)[:, None].astype(np.float32))


def grey_levels(picture: Tensor) -> NDArray[np.uint8]:
    """A picture [1,1,H,W] in 0..255 as uint8 HxW, rounded as the exported graph rounds."""
    levels = picture[0, 0].detach().float().cpu().clamp(0, 255).round()
    return np.asarray(levels.numpy(), np.uint8)

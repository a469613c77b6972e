"""SSIM and MS-SSIM of pictures [B,1,H,W] in 0..255, through pytorch-msssim.

Pictures too small for the window or for five levels get a smaller window or fewer levels, and a
note in the log says so once.
"""

from __future__ import annotations

import functools
import logging
import math

import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim, ssim
from torch import Tensor

RANGE = 255.0
LEVEL_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_K1, _K2 = 0.01, 0.03

_log = logging.getLogger(__name__)


def mean_similarity(a: Tensor, b: Tensor, *, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Mean SSIM of a batch with a Gaussian window."""
    side = min(a.shape[2:])
    if side < window:
        fitting = side - 1 + side % 2
        _note(f"SSIM: pictures of {side} pixels get a window of {fitting} in place of {window}")
        window = fitting
    value: Tensor = ssim(a, b, data_range=RANGE, win_size=window, win_sigma=sigma)
    return value


def multi_scale_similarity(a: Tensor, b: Tensor, *, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Mean MS-SSIM of a batch; five levels need sides above 16 * (window - 1), 160 for 11.

    With fewer levels, their exponents are scaled to add up to 1.
    """
    side = min(a.shape[2:])
    levels = levels_for(side, window)
    if levels == len(LEVEL_WEIGHTS):
        full: Tensor = ms_ssim(a, b, data_range=RANGE, win_size=window, win_sigma=sigma)
        return full
    if levels == 1:
        _note(f"MS-SSIM: pictures of {side} pixels get SSIM of one scale")
        return mean_similarity(a, b, window=window, sigma=sigma).clamp(min=0)
    _note(f"MS-SSIM: pictures of {side} pixels get {levels} levels in place of 5")
    return _fewer_levels(a, b, levels, window, sigma)


def levels_for(side: int, window: int) -> int:
    """How many levels pictures of that smaller side have room for, from 1 to 5."""
    halvings = math.ceil(side / (window - 1)) - 1
    return min(len(LEVEL_WEIGHTS), max(1, halvings.bit_length()))


def _fewer_levels(a: Tensor, b: Tensor, levels: int, window: int, sigma: float) -> Tensor:
    kernel = gaussian(window, sigma, a)
    total = sum(LEVEL_WEIGHTS[:levels])
    value = torch.ones(())
    for level, weight in enumerate(LEVEL_WEIGHTS[:levels], start=1):
        similarity, structure = similarity_maps(a, b, kernel, RANGE)
        factor = (structure if level < levels else similarity).mean(dim=(1, 2, 3)).relu()
        value = value * factor ** (weight / total)
        odd = [side % 2 for side in a.shape[2:]]
        a, b = (F.avg_pool2d(picture, 2, padding=odd) for picture in (a, b))
    return value.mean()


def similarity_maps(a: Tensor, b: Tensor, kernel: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """SSIM, and its contrast-structure factor, wherever the window lies inside the picture."""
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    stacked = torch.cat([a, b, a * a, b * b, a * b], dim=1)
    weights = kernel.expand(5, 1, *kernel.shape)
    blurred = F.conv2d(stacked, weights, groups=5)
    a_mean, b_mean, a_square, b_square, product = torch.split(blurred, 1, dim=1)
    covariance = product - a_mean * b_mean
    variances = a_square - a_mean**2 + b_square - b_mean**2
    structure = (2 * covariance + c2) / (variances + c2)
    luminance = (2 * a_mean * b_mean + c1) / (a_mean**2 + b_mean**2 + c1)
    return luminance * structure, structure


def gaussian(window: int, sigma: float, like: Tensor) -> Tensor:
    """The square Gaussian window [window, window] that adds up to 1."""
    line = gaussian_line(window, sigma, like)
    return line[:, None] * line


def gaussian_line(window: int, sigma: float, like: Tensor) -> Tensor:
    """One side of it, [window], which adds up to 1 too."""
    position = torch.arange(window, dtype=like.dtype, device=like.device) - window // 2
    line = torch.exp(-(position**2) / (2 * sigma**2))
    return line / line.sum()


@functools.cache
def _note(message: str) -> None:
    """Log a message the first time it comes."""
    _log.warning(message)

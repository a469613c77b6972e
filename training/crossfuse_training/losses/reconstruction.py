"""What an auto-encoder is asked for: its own input, [B,1,H,W] in 0..255."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from crossfuse_training.losses.inputs import LossValue, check_pictures
from crossfuse_training.losses.structure import (
    LEVEL_WEIGHTS,
    gaussian,
    multi_scale_similarity,
    similarity_maps,
)
from crossfuse_training.losses.terms import ReconstructionTerm

_WINDOW, _SIGMA = 11, 1.5


class ReconstructionLosses:
    """The reconstruction term; called once for each modality, or with any batch of pictures."""

    def __init__(self, config: ReconstructionTerm) -> None:
        self.config = config
        self._checked = False

    def __call__(self, rebuilt: Tensor, picture: Tensor, progress: float) -> LossValue:
        """The loss when that share of the run (0 to 1) is done; `rebuilt` may leave 0..255."""
        if not self._checked:
            check_pictures({"picture": picture})
            self._checked = True
        weight = self.config.weight_at(progress)
        with torch.autocast(picture.device.type, enabled=False):
            parts = self._parts(rebuilt.float(), picture.float())
            weights = {name: weight * getattr(self.config, name) for name in parts}
            total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return LossValue(total, parts, weights)

    def _parts(self, rebuilt: Tensor, picture: Tensor) -> dict[str, Tensor]:
        parts = {}
        if self.config.pixel > 0:
            parts["pixel"] = F.mse_loss(rebuilt, picture)
        if self.config.structure > 0:
            legacy = self.config.kind == "legacy"
            similarity = published_similarity if legacy else multi_scale_similarity
            parts["structure"] = 1 - similarity(rebuilt, picture)
        return parts


def published_similarity(rebuilt: Tensor, picture: Tensor) -> Tensor:
    """The MS-SSIM of the published stage 1, which is not the usual one.

    The last level enters once for each other level, so with four times its exponent; the range is
    guessed from `rebuilt` at every level; values are moved from -1..1 to 0..1 before the exponents;
    and levels smaller than the window get a smaller one, down to 16 pixels of input.
    """
    similarities, structures = [], []
    for _ in LEVEL_WEIGHTS:
        window = min(_WINDOW, *rebuilt.shape[2:])
        kernel = gaussian(window, _SIGMA, rebuilt)
        highest = 255 if rebuilt.max().item() > 128 else 1
        lowest = -1 if rebuilt.min().item() < -0.5 else 0
        similarity, structure = similarity_maps(rebuilt, picture, kernel, highest - lowest)
        similarities.append((similarity.mean() + 1) / 2)
        structures.append((structure.mean() + 1) / 2)
        rebuilt, picture = F.avg_pool2d(rebuilt, 2), F.avg_pool2d(picture, 2)
    *exponents, last = LEVEL_WEIGHTS
    value = similarities[-1] ** (len(exponents) * last)
    for structure, exponent in zip(structures[:-1], exponents, strict=True):
        value = value * structure**exponent
    return value

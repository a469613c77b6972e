"""The losses of a recipe, ready on a device."""

from __future__ import annotations

import torch

from crossfuse_training.losses import Losses, open_extractor
from crossfuse_training.recipe import Recipe


def losses_of(recipe: Recipe, device: torch.device) -> Losses:
    """Every term but the reconstruction, with the perceptual term's network where there is one."""
    extractor = open_extractor(recipe.loss.perceptual)
    return Losses(recipe.loss, extractor=None if extractor is None else extractor.to(device))

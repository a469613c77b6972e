"""The teacher of a student: a trained network, or pictures that one fused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from crossfuse.errors import InvalidInput
from crossfuse_training.checkpoint import RECORD_NAME, load
from crossfuse_training.data import Batch
from crossfuse_training.losses import FeatureAdapters
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.recipe_tables import DistillConfig, Tap
from crossfuse_training.stages.features import captured

_PROBE_SIDE = 64
"""Side of the picture that tells how wide the features are."""


class Answer(NamedTuple):
    """What the teacher says of a batch."""

    picture: Tensor
    """[B,1,H,W] in 0..255."""
    features: list[Tensor]
    """One for each tap."""


class Teacher:
    """Gives no gradient and never changes."""

    def __init__(self, config: DistillConfig, device: torch.device) -> None:
        self.network = _network(Path(config.teacher), device)
        self._taps = [tap.teacher for tap in config.taps]
        if self._taps and self.network is None:
            raise InvalidInput(
                "distill.taps",
                f"{len(self._taps)} with a teacher of pictures ({config.teacher})",
                "a checkpoint as teacher, or no taps",
            )

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Answer:
        """The fused picture of the aligned pair, and the features on the way to it."""
        if self.network is None:
            if batch.teacher is None:
                raise InvalidInput("distill.teacher", "a batch without", "fused pictures")
            return Answer(batch.teacher, [])
        with captured(self.network, self._taps) as features:
            picture = self.network(batch.aligned_ir, batch.vis).clamp(0, 255)
        return Answer(picture, [features[name] for name in self._taps])


def adapters_for(
    taps: Sequence[Tap], student: nn.Module, teacher: nn.Module | None
) -> FeatureAdapters:
    """Adapters of the widths that the tapped modules have; the student must be on the CPU."""
    if teacher is None or not taps:
        return FeatureAdapters(())
    mine = _widths(student, [tap.student for tap in taps])
    theirs = _widths(teacher, [tap.teacher for tap in taps])
    return FeatureAdapters(tuple(zip(mine, theirs, strict=True)))


def _widths(network: nn.Module, names: Sequence[str]) -> list[int]:
    """The channels of what each named module gives."""
    picture = torch.full((1, 1, _PROBE_SIDE, _PROBE_SIDE), 100.0)
    picture = picture.to(next(network.parameters()).device)
    training = network.training
    with torch.no_grad(), captured(network.eval(), names) as features:
        network(picture, picture)
    network.train(training)
    for name in names:
        found = features.get(name)
        if not isinstance(found, Tensor) or found.ndim != 4:
            raise InvalidInput(
                "distill.taps", f"{name}, which gives no picture-like features", "[B,C,H,W]"
            )
    return [features[name].shape[1] for name in names]


def _network(path: Path, device: torch.device) -> nn.Module | None:
    """The teacher's network; None where the folder holds pictures."""
    if not path.is_dir():
        raise InvalidInput(
            "distill.teacher", f"{path}, no folder", "a checkpoint, or a folder of fused pictures"
        )
    if not (path / RECORD_NAME).is_file():
        return None
    network = load(path)
    if isinstance(network, AutoEncoder):
        raise InvalidInput("distill.teacher", f"{path}, an auto-encoder", "a fusion network")
    return network.to(device).requires_grad_(False)

"""1x1 convolutions that bring a student's features to the width and size of its teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from crossfuse.errors import InvalidInput


class FeatureAdapters(nn.Module):
    """One adapter for each tap; they are trained with the student and thrown away with the teacher.

    Student features are adapted at their own size and then resized to the teacher's.
    """

    def __init__(self, widths: Sequence[tuple[int, int]]) -> None:
        """`widths`: for each tap, the channels of the student and of the teacher."""
        super().__init__()
        self.widths = tuple(widths)
        self.convs = nn.ModuleList(nn.Conv2d(student, teacher, 1) for student, teacher in widths)

    def forward(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor]
    ) -> tuple[tuple[Tensor, Tensor], ...]:
        """Pairs for LossInputs.features; the teacher's get no gradient."""
        for name, features in (("student", student), ("teacher", teacher)):
            side = 0 if name == "student" else 1
            received = [tensor.shape[1] for tensor in features]
            expected = [widths[side] for widths in self.widths]
            if received != expected:
                raise InvalidInput(f"{name} features", f"channels {received}", f"{expected}")
        adapted = (conv(tensor) for conv, tensor in zip(self.convs, student, strict=True))
        return tuple(
            (_resized(mine, theirs.shape[2:]), theirs.detach())
            for mine, theirs in zip(adapted, teacher, strict=True)
        )


def _resized(features: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(features.shape[2:]) == tuple(size):
        return features
    return F.interpolate(features, size=tuple(size), mode="bilinear", align_corners=False)

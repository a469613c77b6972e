"""Adapters between the features of a student and of its teacher."""

from __future__ import annotations

import pytest
import torch

from crossfuse.errors import InvalidInput
from crossfuse_training.losses import FeatureAdapters


def test_features_are_brought_to_the_teachers_width_and_size() -> None:
    adapters = FeatureAdapters([(4, 6), (3, 2)])
    student = (torch.rand(2, 4, 8, 10), torch.rand(2, 3, 4, 5, requires_grad=True))
    teacher = (torch.rand(2, 6, 8, 10, requires_grad=True), torch.rand(2, 2, 8, 10))
    pairs = adapters(student, teacher)
    assert [mine.shape for mine, _ in pairs] == [theirs.shape for _, theirs in pairs]
    assert torch.allclose(pairs[0][0], adapters.convs[0](student[0]))
    assert not pairs[0][1].requires_grad
    torch.autograd.backward(sum(((a - b) ** 2).mean() for a, b in pairs))
    assert student[1].grad is not None
    assert all(parameter.grad is not None for parameter in adapters.parameters())


def test_other_widths_are_refused() -> None:
    adapters = FeatureAdapters([(4, 6)])
    with pytest.raises(InvalidInput, match=r"student features: got channels \[5\]; valid: \[4\]"):
        adapters((torch.rand(1, 5, 4, 4),), (torch.rand(1, 6, 4, 4),))
    with pytest.raises(InvalidInput, match="teacher features"):
        adapters((torch.rand(1, 4, 4, 4),), ())

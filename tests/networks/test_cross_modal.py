"""The parts of the larger student: cross-modal attention and inverted residuals."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from crossfuse_training.networks.cross_modal import KEY_LIMIT, LinearCrossAttention
from crossfuse_training.networks.mobile_blocks import InvertedResidual


def test_cross_attention_against_sums_written_out() -> None:
    channels, width, height, length = 4, 2, 3, 5
    attention = LinearCrossAttention(channels, width)
    modalities = torch.randn(2, channels, height, length)
    with torch.no_grad():
        found = attention(
            modalities.reshape(1, -1, height, length),
            modalities.flip(0).reshape(1, -1, height, length),
        )[0]
    expected = np.zeros((2, channels, height * length))
    weights = {
        name: conv.weight.detach().double().numpy()[:, :, 0, 0].reshape(2, channels, channels)
        for name, conv in attention.named_children()
        if isinstance(conv, nn.Conv2d)
    }
    flat = modalities.double().numpy().reshape(2, channels, -1)
    for own, other in ((0, 1), (1, 0)):
        query = weights["query"][own] @ flat[own]
        key = KEY_LIMIT * np.tanh(weights["key"][own] @ flat[other])
        value = weights["value"][own] @ flat[other]
        for first in range(0, channels, width):
            head = slice(first, first + width)
            for position in range(height * length):
                choice = np.exp(query[head, position])
                for summary, share in zip(
                    range(first, first + width), choice / choice.sum(), strict=True
                ):
                    weight = np.exp(key[summary]) / np.exp(key[summary]).sum()
                    expected[own, head, position] += share * (value[head] @ weight)
    assert np.abs(found.numpy().reshape(expected.shape) - expected).max() < 1e-5


def test_one_position_cannot_take_over_a_summary() -> None:
    attention = LinearCrossAttention(2, 2)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.eye(2).repeat(2, 1)[:, :, None, None])
        other = torch.full((1, 4, 24, 24), -1000.0)
        other[..., 5, 7] = 1000
        found = attention(torch.zeros(1, 4, 24, 24), other)
    share = math.exp(2 * KEY_LIMIT) / (math.exp(2 * KEY_LIMIT) + 24 * 24 - 1)
    assert share < 0.1
    assert torch.allclose(found, torch.full_like(found, 1000 * (2 * share - 1)))


def test_inverted_residual_adds_its_input_only_where_shapes_agree() -> None:
    features = torch.randn(1, 4, 8, 8)
    for outputs, stride in ((4, 1), (4, 2), (6, 1)):
        block = InvertedResidual(
            4, outputs, expansion=3, kernel=5, act="hardswish", stride=stride, excite_reduction=4
        ).eval()
        nn.init.zeros_(next(block.narrow.parameters()))
        result = block(features)
        assert result.shape == (1, outputs, 8 // stride, 8 // stride)
        assert torch.equal(result, features if (outputs, stride) == (4, 1) else 0 * result)

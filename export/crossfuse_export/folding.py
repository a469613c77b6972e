"""What is settled before a network is traced, on a copy: batch norms, temperatures, rounding."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.crossfuse import CrossFuse

HALF_STORED = 1024
"""Elements from which a weight is stored as fp16, where that is asked for; the rest is small."""


def folded(network: nn.Module, *, weights: str = "fp32") -> nn.Module:
    """A copy in evaluation mode that computes the same with fewer parts.

    Batch norms move into the convolutions before them, learned temperatures into the query
    weights. With weights "fp16" every weight of 1024 elements or more is then rounded to a number
    that fp16 holds: the network that such a file is equal to.
    """
    result = copy.deepcopy(network).eval()
    if isinstance(result, CrossFuse):
        result.fold_temperatures()
    for parent, conv_name, norm_name in list(_normalised_convolutions(result)):
        conv, norm = getattr(parent, conv_name), getattr(parent, norm_name)
        setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
        setattr(parent, norm_name, nn.Identity())
    if weights == "fp16":
        _round_weights(result)
    return result


def _normalised_convolutions(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Every convolution that a batch norm follows: their common parent and their names in it."""
    for parent in network.modules():
        children = list(parent.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                yield parent, conv_name, norm_name


@torch.no_grad()
def _round_weights(network: nn.Module) -> None:
    largest = torch.finfo(torch.float16).max
    for name, parameter in network.named_parameters():
        if parameter.numel() < HALF_STORED:
            continue
        reach = float(parameter.abs().max())
        if reach > largest:
            raise InvalidInput(
                f"weight {name}", f"values up to {reach:g}", f"up to {largest:g}, to store as fp16"
            )
        parameter.copy_(parameter.half())

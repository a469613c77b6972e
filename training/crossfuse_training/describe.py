"""Parameters and multiply-accumulates of a network, part by part, at given picture sizes.

Counted on the meta device: nothing is computed, so any size costs the same moment. Convolutions
and matrix products are counted; pooling, norms and other arithmetic per element are not.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class PartRow:
    """One part of a network; the rows of level 1 add up to the row of level 0, the network."""

    part: str
    """Dotted name; empty for the whole network."""
    level: int
    parameters: int
    macs: dict[str, int]
    """Multiply-accumulates of one pair at each size, keyed `HEIGHTxWIDTH`."""


def describe(
    network: nn.Module, sizes: Sequence[tuple[int, int]], *, depth: int = 2
) -> list[PartRow]:
    """Rows for the network and its parts down to `depth`; sizes are (height, width).

    The network takes pictures [B,1,H,W] and nothing else: (ir, vis), or one for an auto-encoder.
    Parts that neither hold parameters nor multiply are left out.
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    counts = {f"{height}x{width}": _macs(shadow, height, width) for height, width in sizes}
    rows = []
    for name, level, module in [("", 0, shadow), *_parts(shadow, "", 1, depth)]:
        parameters = sum(parameter.numel() for parameter in module.parameters())
        macs = {size: by_part.get(name, 0) for size, by_part in counts.items()}
        if level == 0 or parameters or any(macs.values()):
            rows.append(PartRow(name, level, parameters, macs))
    return rows


def _macs(network: nn.Module, height: int, width: int) -> dict[str, int]:
    image = torch.empty(1, 1, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*[image] * len(inspect.signature(network.forward).parameters))
    prefix = type(network).__name__ + "."
    totals = {"": counter.get_total_flops() // 2}
    for name, operations in counter.get_flop_counts().items():
        if name.startswith(prefix):
            totals[name.removeprefix(prefix)] = sum(operations.values()) // 2
    return totals


def _parts(
    module: nn.Module, prefix: str, level: int, depth: int
) -> Iterator[tuple[str, int, nn.Module]]:
    """Sub-modules in order; a list of modules is no level of its own, its members are."""
    if level > depth:
        return
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.ModuleList):
            yield from _parts(child, f"{path}.", level, depth)
        else:
            yield path, level, child
            yield from _parts(child, f"{path}.", level + 1, depth)

"""Which parts of a network stay in single precision in its fp16 file: by rule and by measurement.

Some numbers break in half precision on pictures that nobody thought of: an epsilon of 1e-6 beside
a sum that cancels, a mean over a whole map, an exponential. Those islands are always kept. The
others are tried: one after the other joins while the file is too far from the network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
from torch import nn

from crossfuse.bundles import FileQuality
from crossfuse_export.errors import QualityMissed
from crossfuse_export.precision_fp16 import float_tensors, rounded_as_fp16
from crossfuse_export.tracing import module_of
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.attention import CrossAttention, FeedForward, SelfAttention
from crossfuse_training.networks.cssa import Cssa
from crossfuse_training.networks.encoder import Encoder
from crossfuse_training.networks.heads import ClampedHead, MinMaxHead
from crossfuse_training.networks.local_contrast import LocalContrast
from crossfuse_training.networks.normalisers import Normaliser
from crossfuse_training.networks.skips import DeepShares, ShallowShares

Modules = tuple[type[nn.Module], ...]


@dataclass(frozen=True)
class Island:
    """A part of a graph, by the kind of module that it comes from or by its operators."""

    name: str
    modules: Modules = ()
    operators: frozenset[str] = frozenset()


ALWAYS = (
    Island("layer norms", operators=frozenset({"LayerNormalization"})),
    Island("softmax", modules=(Normaliser,), operators=frozenset({"Softmax"})),
    Island("box ratios", modules=(DeepShares, ShallowShares)),
    Island("min-max", modules=(MinMaxHead,)),
    Island(
        "means",
        operators=frozenset({"GlobalAveragePool", "ReduceMean", "ReduceSum"}),
    ),
)
TRIED = (
    Island("colour", modules=(FusionGraph,)),
    Island("output head", modules=(ClampedHead, LocalContrast)),
    Island("channel switches", modules=(Cssa,)),
    Island("attention", modules=(SelfAttention, CrossAttention)),
    Island("feed-forward", modules=(FeedForward,)),
    Island("encoders", modules=(Encoder,)),
)


@dataclass(frozen=True)
class Choice:
    """The islands of a file, the nodes in them, and what was measured with them."""

    islands: tuple[str, ...]
    nodes: frozenset[str]
    quality: FileQuality


def choose_islands(
    graph: FusionGraph, model: onnx.ModelProto, measure: Callable[[bytes], FileQuality]
) -> Choice:
    """As few islands as the numbers need.

    `measure` runs a model and raises QualityMissed where it is too far off; it is given the fp32
    model, rounded as the fp16 file would be.
    """
    parts = {island: island_nodes(island, graph, model) for island in (*ALWAYS, *TRIED)}
    chosen = [island for island in ALWAYS if parts[island]]
    untried = [island for island in TRIED if parts[island]]

    def rounded(islands: Sequence[Island]) -> Choice:
        nodes = frozenset[str]().union(*(parts[island] for island in islands))
        quality = measure(rounded_as_fp16(model, nodes).SerializeToString())
        return Choice(tuple(island.name for island in islands), nodes, quality)

    while True:
        try:
            choice = rounded(chosen)
            break
        except QualityMissed:
            if not untried:
                raise
            chosen.append(untried.pop(0))
    # The last one made the difference; of those before it some may be needed beside it.
    for island in [island for island in chosen if island in TRIED][:-1]:
        fewer = [other for other in chosen if other is not island]
        with contextlib.suppress(QualityMissed):
            choice, chosen = rounded(fewer), fewer
    return choice


def island_nodes(island: Island, graph: FusionGraph, model: onnx.ModelProto) -> frozenset[str]:
    """Names of the nodes with single-precision numbers that belong to an island."""
    floats = float_tensors(model)
    paths = [name for name, module in graph.named_modules() if isinstance(module, island.modules)]
    return frozenset(
        node.name
        for node in model.graph.node
        if floats.intersection((*node.input, *node.output))
        and (node.op_type in island.operators or _is_inside(module_of(node), paths))
    )


def _is_inside(path: str | None, modules: Sequence[str]) -> bool:
    """Whether a module is one of these or below; the graph itself ("") stands for itself alone."""
    if path is None:
        return False
    return any(path == module or (module and path.startswith(f"{module}.")) for module in modules)

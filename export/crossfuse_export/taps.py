"""Where in a file a difference begins: the values inside it beside those inside the network.

A file's values carry whatever names its tools gave them, so none is looked up by name. Every value
of the graph is made an output, and each part of the network is compared with the value of the file
that is nearest to it. The first part whose numbers are nowhere in the file is where they part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from crossfuse import synthetic
from crossfuse.arrays import UInt8Array
from crossfuse_export.onnx_editing import copied
from crossfuse_export.pictures import Picture
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.cross_attention import (
    CrossAttentionModule,
    CrossLayer,
    SelfLayer,
    SumLayer,
)
from crossfuse_training.networks.encoder import Encoder
from crossfuse_training.networks.fusion_decoder import FusionDecoder
from crossfuse_training.networks.heads import ClampedHead, MinMaxHead
from crossfuse_training.networks.local_contrast import LocalContrast

JUMP = 1e-3
"""Error of a part, as a share of its largest value, that rounding does not explain."""
HEAVY_OPERATORS = frozenset({"Conv", "MatMul", "Gemm", "Softmax", "LayerNormalization"})

_PARTS: dict[type[nn.Module], str] = {
    SelfLayer: "self-attention",
    CrossLayer: "cross-attention",
    SumLayer: "cross-attention",
    CrossAttentionModule: "cross-attention",
    FusionDecoder: "decoder",
    MinMaxHead: "output head",
    ClampedHead: "output head",
    LocalContrast: "local contrast",
}
_SMALLEST_SIDE = 64
_TINY = 1e-30
_FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Tap:
    """What one module of the network gave."""

    part: str
    module: str
    values: _FloatArray


@dataclass(frozen=True)
class TapDifference:
    """The same in a file; `error` is a share of the largest value, None where nothing fits."""

    part: str
    module: str
    nearest: str | None
    """The file's own name of the nearest value."""
    error: float | None

    @property
    def jumps(self) -> bool:
        """Whether the file has other numbers here, or none."""
        return self.error is None or not self.error <= JUMP


class ExposedModel:
    """An ONNX model whose inner values can be seen: those of the given operators, or all."""

    def __init__(self, model: onnx.ModelProto, operators: Collection[str] | None = None) -> None:
        exposed = copied(model)
        outputs = {value.name for value in exposed.graph.output}
        for node in exposed.graph.node:
            if operators is None or node.op_type in operators:
                names = [name for name in node.output if name and name not in outputs]
                exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Unchanged, so that no value is merged into another.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            exposed.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, ir: UInt8Array, vis: UInt8Array) -> dict[str, NDArray[Any]]:
        """Every value by the file's name for it."""
        names = [value.name for value in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {"ir": ir, "vis": vis}), strict=True))


def first_difference(taps: Iterable[TapDifference]) -> TapDifference | None:
    """The first part, in the order of computing, whose numbers the file does not have."""
    return next((tap for tap in taps if tap.jumps), None)


def compare_taps(network: nn.Module, model: onnx.ModelProto) -> list[TapDifference]:
    """Every part of the network beside the nearest value of the file, on one synthetic scene.

    The picture has more than one attention tile each way.
    """
    side = max(_SMALLEST_SIDE, getattr(network.config, "tracing_side", 0))
    ir, vis = synthetic.pair(1, side, side + 8)
    inner = ExposedModel(model).run(ir[None], vis[None])
    by_size: dict[int, list[tuple[str, _FloatArray]]] = {}
    for name, values in inner.items():
        if values.dtype == np.float32:
            by_size.setdefault(values.size, []).append((name, values.reshape(-1)))
    return [_nearest(tap, by_size.get(tap.values.size, [])) for tap in _taps(network, ir, vis)]


def not_finite(model: onnx.ModelProto, pictures: Iterable[Picture]) -> list[str]:
    """The pictures, and the values inside, where the file computes infinities or no numbers."""
    exposed = ExposedModel(model, HEAVY_OPERATORS)
    found = []
    for picture in pictures:
        inner = exposed.run(picture.ir[None], picture.vis[None])
        wrong = [name for name, values in inner.items() if not np.isfinite(values).all()]
        if wrong:
            found.append(f"{picture.name}: {', '.join(wrong)}")
    return found


def _nearest(tap: Tap, candidates: list[tuple[str, _FloatArray]]) -> TapDifference:
    expected = tap.values.reshape(-1)
    scale = max(float(np.abs(expected).max()), _TINY)
    nearest, error = None, None
    for name, values in candidates:
        apart = float(np.abs(values - expected).max()) / scale
        if np.isfinite(apart) and (error is None or apart < error):
            nearest, error = name, apart
    return TapDifference(tap.part, tap.module, nearest, error)


def _taps(network: nn.Module, ir: UInt8Array, vis: UInt8Array) -> list[Tap]:
    """What every watched module gives for a pair, in the order of computing."""
    taps: list[Tap] = []
    graph = FusionGraph(network).eval()
    handles = [_watch(name, module, taps) for name, module in _watched(network, "")]
    try:
        with torch.no_grad():
            graph(torch.from_numpy(ir[None]), torch.from_numpy(vis[None]))
    finally:
        for handle in handles:
            handle.remove()
    return taps


def _watched(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules of the first level, the members of lists, and the layers of attention."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.Identity):
            continue
        if isinstance(child, nn.ModuleList):
            yield from _watched(child, f"{path}.")
            continue
        if isinstance(child, CrossAttentionModule):
            yield from _watched(child, f"{path}.")
        yield path, child


def _watch(name: str, module: nn.Module, taps: list[Tap]) -> RemovableHandle:
    part = _PARTS.get(type(module), name)

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            taps.append(Tap(part, name, output.numpy()))
            return
        for field, values in zip(getattr(output, "_fields", count()), output, strict=False):
            inner = part
            if isinstance(module, Encoder):
                inner = "shallow features" if field == "shallow" else "deep features"
            taps.append(Tap(inner, f"{name}.{field}", values.numpy()))

    return module.register_forward_hook(keep)

"""The engines over PyTorch: one contract, equal numbers, and what they refuse."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import crossfuse
from crossfuse import synthetic
from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput, ProviderUnavailable
from crossfuse_training.checkpoint import TrainingRecord, read_record, save
from crossfuse_training.engines import (
    CompiledEngine,
    EagerEngine,
    Source,
    TileLoopEngine,
    load_torch_engine,
)
from crossfuse_training.networks.registry import build

NARROW = {
    "shallow_channels": 8,
    "growth_channels": 8,
    "half_channels": 16,
    "deep_channels": 16,
    "decoder_channels": 16,
    "heads": 8,
}
BARELY = (136, 143)
TWO_BY_TWO_TILES = (266, 279)


@pytest.fixture(scope="module")
def published() -> nn.Module:
    """The published network, narrow; its deep features are off zero, as trained ones are.

    Around zero the shares of the deep skip amplify rounding without bound.
    """
    torch.manual_seed(0)
    network = build("crossfuse", **NARROW).eval()
    state = network.state_dict()
    for name, values in state.items():
        if name.endswith("quarter_block.adjust.bias"):
            values += 3
        elif name.endswith("running_mean"):
            values.normal_()
        elif name.endswith("running_var"):
            values.uniform_(0.5, 1.5)
    return network


@pytest.fixture(scope="module")
def checkpoint(published: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training") / "narrow"
    record = TrainingRecord(recipe="a test", options={}, data=(), git_commit="0" * 40)
    save(folder, published, variant="crossfuse", training=record)
    return folder


def batch(height: int, width: int) -> tuple[UInt8Array, UInt8Array]:
    """A scene in colour and noise: ir [2,H,W], vis [2,H,W,3]."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    ir, vis = synthetic.pair(seed=1, height=height, width=width)
    return np.stack([ir, noise[..., 3]]), np.stack([vis, noise[..., :3]])


def test_the_tile_loop_equals_the_network(checkpoint: Path) -> None:
    eager = load_torch_engine("eager", checkpoint)
    loop = load_torch_engine("tile_loop", checkpoint)
    for size in (BARELY, TWO_BY_TWO_TILES):
        ir, vis = batch(*size)
        expected, received = eager.fuse(ir, vis), loop.fuse(ir, vis)
        assert received.shape == vis.shape
        assert received.dtype == np.uint8
        assert int(np.abs(received.astype(int) - expected).max()) <= 1
        assert float(expected.std()) > 5, "the pictures must not be degenerate"


@pytest.mark.parametrize("name", ["eager", "tile_loop"])
def test_they_serve_where_other_engines_do(name: str, checkpoint: Path) -> None:
    engine = load_torch_engine(name, checkpoint, threads=1)
    ir, vis = synthetic.pair(seed=2, height=150, width=140)
    fused = crossfuse.Fuser(engine).fuse(ir, vis[..., 1])
    assert fused.shape == ir.shape
    described = engine.describe()
    assert described.sha256 == read_record(checkpoint).weights_sha256
    assert (described.name, described.precision, described.threads) == ("narrow", "fp32", 1)
    assert described.runtime == f"torch {torch.__version__}"


def test_a_variant_by_name_has_the_same_weights_every_time() -> None:
    pictures = batch(48, 56)
    torch.manual_seed(5)
    first = load_torch_engine("eager", "rt").fuse(*pictures)
    assert (load_torch_engine("eager", "rt").fuse(*pictures) == first).all()


def test_the_tile_loop_refuses_pictures_it_cannot_reflect(checkpoint: Path) -> None:
    fuser = crossfuse.Fuser(load_torch_engine("tile_loop", checkpoint))
    ir, vis = synthetic.pair(seed=0, height=136, width=135)
    with pytest.raises(InvalidInput, match="136"):
        fuser.fuse(ir, vis)


@pytest.mark.parametrize("change", [{"head": "bounded"}, {"tile_overlap": 4}, {"self_layers": 1}])
def test_the_tile_loop_is_of_the_published_network_alone(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="published form"):
        TileLoopEngine(Source(build("crossfuse", **NARROW, **change), "other", ""))


# torch.compile imports parts of PyTorch that PyTorch itself calls deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_equals_eager(tiny_student: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of torch.compile but its last step, which runs a C++ compiler for half a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    source = Source(tiny_student, "tiny", "")
    compiled, eager = CompiledEngine(source), EagerEngine(source)
    pictures = batch(33, 47)
    difference = compiled.fuse(*pictures).astype(int) - eager.fuse(*pictures)
    assert int(np.abs(difference).max()) <= 1


def test_a_compiler_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(graph: nn.Module) -> nn.Module:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", lambda graph: lambda ir, vis: refuse(graph))
    with pytest.raises(ProviderUnavailable, match=r"cannot build rt here \(no C\+\+ compiler\)"):
        load_torch_engine("compiled", "rt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"engine": "eagre"}, "did you mean 'eager'"),
        ({"model": "rtt"}, "did you mean 'rt'"),
        ({"device": "tpu"}, "device: got 'tpu'"),
        ({"threads": 0}, "threads: got 0"),
    ],
)
def test_names_and_numbers(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"engine": "eager", "model": "rt"}
    with pytest.raises(InvalidInput, match=message):
        load_torch_engine(**{**arguments, **change})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_device_is_replaced_by_another() -> None:
    with pytest.raises(ProviderUnavailable, match="finds none"):
        load_torch_engine("eager", "rt", device="cuda")

"""The engines over PyTorch by name, behind the contract of `crossfuse.engines`.

engine = load_torch_engine("tile_loop", "crossfuse")
fused = crossfuse.Fuser(engine).fuse(ir, vis)
"""

from __future__ import annotations

from pathlib import Path

import torch

from crossfuse.engines import Engine
from crossfuse.errors import InvalidInput, ProviderUnavailable, UnknownName
from crossfuse_training.checkpoint import load, read_record
from crossfuse_training.engines.pytorch import (
    CompiledEngine,
    EagerEngine,
    Source,
    TileLoopEngine,
)
from crossfuse_training.networks.registry import VARIANTS, build

__all__ = [
    "DEVICES",
    "TORCH_ENGINES",
    "CompiledEngine",
    "EagerEngine",
    "Source",
    "TileLoopEngine",
    "load_torch_engine",
]

TORCH_ENGINES: dict[str, type[EagerEngine]] = {
    "eager": EagerEngine,
    "compiled": CompiledEngine,
    "tile_loop": TileLoopEngine,
}
DEVICES = ("cpu", "cuda")
FRESH_SEED = 0


def load_torch_engine(
    engine: str, model: str | Path, *, device: str = "cpu", threads: int | None = None
) -> Engine:
    """The engine of that name over a checkpoint folder, or a variant's name for fresh weights.

    `threads` is set for the whole process, which is all that PyTorch offers.
    """
    if engine not in TORCH_ENGINES:
        raise UnknownName("engine", engine, TORCH_ENGINES)
    if device not in DEVICES:
        raise UnknownName("device", device, DEVICES)
    if device == "cuda" and not torch.cuda.is_available():
        raise ProviderUnavailable("device: got 'cuda', but this torch finds none; valid here: cpu")
    if threads is not None:
        if threads < 1:
            raise InvalidInput("threads", str(threads), "1 or more, or nothing for torch's choice")
        torch.set_num_threads(threads)
    return TORCH_ENGINES[engine](_source(model), device=device)


def _source(model: str | Path) -> Source:
    if model in VARIANTS:
        name = str(model)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(FRESH_SEED)
            network = build(name).eval()
        return Source(network, name, f"fresh weights of seed {FRESH_SEED}")
    folder = Path(model)
    if not folder.is_dir():
        raise UnknownName("model (a checkpoint folder or a variant)", str(model), VARIANTS)
    return Source(load(folder), folder.resolve().name, read_record(folder).weights_sha256)

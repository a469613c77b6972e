"""Published CrossFuse checkpoints into our network, every tensor accounted for."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.head_statistics import head_statistics
from crossfuse_training.networks.introspection import AttentionRecorder
from crossfuse_training.networks.temperature import Temperature
from crossfuse_training.official_names import (
    Expected,
    Table,
    autoencoder_tensors,
    fusion_tensors,
    temperature_names,
)

_CONSTANT_TOLERANCE = 1e-6
_PROBE_SIDE = 256

StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class TensorFate:
    """What became of one tensor of a published file."""

    file: str
    tensor: str
    fate: str
    """used, dropped or verified."""
    detail: str
    """The tensor it fills, why it is dropped, or the constant it is."""


@dataclass(frozen=True)
class AttentionHealth:
    """Whether an attention module attends at all: near-zero queries and keys mean plain averaging.

    Training with a large weight decay does that (CrossFuse was published with 0.9).
    """

    module: str
    query_rms: float
    key_rms: float
    entropy: float
    """Mean over heads and tokens in nats, on a seeded synthetic pair of 256 x 256."""
    relative_entropy: float
    """1 is uniform attention."""


@dataclass(frozen=True)
class ImportReport:
    """The account of an import."""

    sha256: dict[str, str]
    """Of the three files, by the argument's name."""
    temperature: str
    """none, global or per_head."""
    fates: list[TensorFate]
    attention: list[AttentionHealth]


def import_official(
    ir_encoder: Path, vis_encoder: Path, fusion: Path
) -> tuple[CrossFuse, ImportReport]:
    """The network that the three published state dicts describe, in evaluation mode.

    Anything that is not exactly such a file is refused with the tensor's name.
    """
    paths = {"ir_encoder": ir_encoder, "vis_encoder": vis_encoder, "fusion": fusion}
    states = {field: _load(field, path) for field, path in paths.items()}
    network, fates = convert_states(states, CrossFuseConfig())
    report = ImportReport(
        sha256={
            field: hashlib.sha256(path.read_bytes()).hexdigest() for field, path in paths.items()
        },
        temperature=network.config.temperature,
        fates=fates,
        attention=attention_health(network),
    )
    return network, report


def convert_states(
    states: dict[str, StateDict], config: CrossFuseConfig
) -> tuple[CrossFuse, list[TensorFate]]:
    """The same from state dicts `ir_encoder`, `vis_encoder` and `fusion`, of a network that has
    the published form and the numbers of `config`."""
    kind = _temperature_kind(states["fusion"])
    heads = {"none": 0, "global": 1, "per_head": config.heads}[kind]
    extra = {} if kind == "none" else dict.fromkeys(temperature_names(kind), (heads,))
    tables = {
        "ir_encoder": autoencoder_tensors(config, "ir_encoder"),
        "vis_encoder": autoencoder_tensors(config, "vis_encoder"),
        "fusion": fusion_tensors(config, extra),
    }
    network = CrossFuse(replace(config, temperature=kind)).eval()
    converted: StateDict = {}
    fates = []
    for field, table in tables.items():
        state = states[field]
        _check_names(field, state, table)
        for name, expected in table.items():
            _check_tensor(field, name, state[name], expected)
            if name in extra:
                _set_temperature(field, network, name, expected.target, state[name])
            elif expected.target:
                converted[expected.target] = state[name]
            fates.append(_fate(field, name, expected))
    own = {name: value for name, value in network.state_dict().items() if name.endswith(".raw")}
    network.load_state_dict(converted | own)
    return network, fates


def attention_health(network: CrossFuse) -> list[AttentionHealth]:
    """Query and key sizes and mean attention entropy of every attention module."""
    with AttentionRecorder(network) as recorder, torch.no_grad():
        network(*_probe())
    statistics = head_statistics(recorder.records)
    state = network.state_dict()
    health = []
    for module in dict.fromkeys(row.module for row in statistics):
        rows = [row for row in statistics if row.module == module]
        if f"{module}.qkv.weight" in state:
            query, key, _ = state[f"{module}.qkv.weight"].chunk(3)
        else:
            query, key = state[f"{module}.query.weight"], state[f"{module}.key.weight"]
        health.append(
            AttentionHealth(
                module=module,
                query_rms=float(query.square().mean().sqrt()),
                key_rms=float(key.square().mean().sqrt()),
                entropy=sum(row.entropy for row in rows) / len(rows),
                relative_entropy=sum(row.relative_entropy for row in rows) / len(rows),
            )
        )
    return health


def _load(field: str, path: Path) -> StateDict:
    valid = "a state dict of tensors, saved with torch.save by PyTorch"
    if not path.is_file():
        raise InvalidInput(field, f"{str(path)!r}, which is no file", "the path of a file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a strange file gets one message, below
            # Nothing but tensors and plain containers is read, whatever the file says.
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInput(
            field, f"{str(path)!r}, which cannot be read ({reason})", valid
        ) from None
    if not isinstance(state, dict):
        raise InvalidInput(field, f"{str(path)!r}, which holds a {type(state).__name__}", valid)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise InvalidInput(field, f"{name!r} of type {type(value).__name__}", valid)
    return state


def _temperature_kind(fusion: StateDict) -> str:
    for kind in ("global", "per_head"):
        if any(name in fusion for name in temperature_names(kind)):
            return kind
    return "none"


def _check_names(field: str, state: StateDict, table: Table) -> None:
    count = f"the {len(table)} tensors of the published network"
    for name in table:
        if name not in state:
            raise InvalidInput(field, f"no tensor {name!r}", count)
    for name in state:
        if name not in table:
            shape = tuple(state[name].shape)
            raise InvalidInput(field, f"a tensor {name!r} of shape {shape}", count)


def _check_tensor(field: str, name: str, value: Tensor, expected: Expected) -> None:
    if tuple(value.shape) != expected.shape:
        raise InvalidInput(
            f"{field}: {name}", f"shape {tuple(value.shape)}", f"shape {expected.shape}"
        )
    dtype = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
    if value.dtype != dtype:
        raise InvalidInput(f"{field}: {name}", str(value.dtype), str(dtype))
    if not bool(torch.isfinite(value).all()):
        raise InvalidInput(f"{field}: {name}", "a value that is not finite", "finite values")
    if expected.constant is not None:
        low, high = (float(end) for end in torch.aminmax(value))
        if max(high - expected.constant, expected.constant - low) > _CONSTANT_TOLERANCE:
            raise InvalidInput(
                f"{field}: {name}",
                f"values from {low:g} to {high:g}",
                f"{expected.constant:g} everywhere",
            )


def _set_temperature(field: str, network: CrossFuse, name: str, target: str, value: Tensor) -> None:
    module = network.get_submodule(target)
    assert isinstance(module, Temperature)
    try:
        module.set_tau(value)
    except InvalidInput as error:
        raise InvalidInput(f"{field}: {name}", error.received, error.valid) from None


def _fate(field: str, name: str, expected: Expected) -> TensorFate:
    if expected.target:
        return TensorFate(field, name, "used", expected.target)
    if expected.constant is not None:
        return TensorFate(field, name, "verified", f"{expected.constant:g} everywhere")
    return TensorFate(field, name, "dropped", expected.dropped)


def _probe() -> tuple[Tensor, Tensor]:
    """A pair with gradients, an edge and noise; the same one every time."""
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0, 200, _PROBE_SIDE)
    noise = torch.rand(2, _PROBE_SIDE, _PROBE_SIDE, generator=generator) * 55
    ir = ramp[:, None] + noise[0]
    vis = ramp.flip(0)[None, :] + noise[1]
    ir[96:160, 96:160] = 255
    return ir[None, None], vis[None, None]

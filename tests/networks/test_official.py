"""Import of published checkpoints: every tensor accounted for, everything else refused."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.config import AutoEncoderConfig
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.temperature import Temperature
from crossfuse_training.official import convert_states, import_official

StateDict = dict[str, Tensor]
States = dict[str, StateDict]
CROSS = "cross_atten_block.cross_atten_block.cross_atten"
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def parameters(state: StateDict) -> int:
    return sum(value.numel() for name, value in state.items() if not name.endswith(BUFFERS))


@pytest.fixture
def states(tiny: CrossFuseConfig, published: Callable[[CrossFuseConfig], States]) -> States:
    return published(tiny)


def save(states: States, folder: Path) -> dict[str, Path]:
    paths = {field: folder / f"{field}.model" for field in states}
    for field, path in paths.items():
        torch.save(states[field], path)
    return paths


def test_published_files_round_trip(
    published: Callable[[CrossFuseConfig], States], tmp_path: Path
) -> None:
    states = published(CrossFuseConfig())
    assert [len(state) for state in states.values()] == [26, 26, 134]
    assert parameters(states["ir_encoder"]) == 1_254_529
    assert parameters(states["fusion"]) == 20_801_123
    network, report = import_official(**save(states, tmp_path))

    assert network.config == CrossFuseConfig()
    assert not network.training
    assert sum(parameter.numel() for parameter in network.parameters()) == 21_305_827
    assert len(report.fates) == 26 + 26 + 134
    assert len({(fate.file, fate.tensor) for fate in report.fates}) == 186
    assert Counter(fate.fate for fate in report.fates) == {
        "used": 155,
        "dropped": 29,
        "verified": 2,
    }
    filled = {fate.detail for fate in report.fates if fate.fate == "used"}
    assert filled == set(network.state_dict())
    for fate in report.fates:
        if fate.fate == "used":
            source = states[fate.file][fate.tensor]
            assert torch.equal(network.state_dict()[fate.detail], source), fate.tensor
    assert set(report.sha256) == set(states)
    assert report.temperature == "none"
    assert len(report.attention) == 6
    for health in report.attention:
        assert health.query_rms == pytest.approx(512**-0.5, rel=0.02)
        assert health.key_rms == pytest.approx(512**-0.5, rel=0.02)
        assert 0 < health.entropy < 5.55
        assert 0 < health.relative_entropy < 1


def test_parameters_of_the_published_autoencoder() -> None:
    autoencoder = AutoEncoder(AutoEncoderConfig())
    assert sum(parameter.numel() for parameter in autoencoder.parameters()) == 1_254_529
    encoder = CrossFuse(CrossFuseConfig()).ir_encoder.state_dict()
    assert list(encoder) == list(autoencoder.encoder.state_dict())


@pytest.mark.parametrize(("kind", "suffix", "size"), [("global", "", 1), ("per_head", "s", 4)])
def test_temperatures_of_enhanced_repositories(
    states: States, tiny: CrossFuseConfig, kind: str, suffix: str, size: int
) -> None:
    for number, start in ((1, 0.5), (2, 1.5)):
        name = f"{CROSS}{number}.blocks.0.attn.temperature{suffix}"
        states["fusion"][name] = start + torch.arange(float(size)) / 10
    network, fates = convert_states(states, tiny)
    assert network.config.temperature == kind
    for direction, start in (("ir_to_vis", 0.5), ("vis_to_ir", 1.5)):
        name = f"deep_fusion.cross.{direction}.blocks.0.attention.temperature"
        temperature = network.get_submodule(name)
        assert isinstance(temperature, Temperature)
        assert torch.allclose(temperature.tau(), start + torch.arange(float(size)) / 10)
    used = [fate for fate in fates if f"temperature{suffix}" in fate.tensor]
    assert [fate.fate for fate in used] == ["used", "used"]


def _rename(state: StateDict) -> None:
    state["conv_grad.weight"] = state.pop("conv_gra.weight")


FUSION_FAULTS: dict[str, tuple[Callable[[StateDict], Any], str]] = {
    "missing": (lambda s: s.pop("conv_gra.weight"), "fusion: got no tensor 'conv_gra.weight'"),
    "extra": (
        lambda s: s.update(more=torch.zeros(2, 3)),
        r"fusion: got a tensor 'more' of shape \(2, 3\); valid: the 134 tensors",
    ),
    "renamed": (_rename, "fusion: got no tensor 'conv_gra.weight'"),
    "misshaped": (
        lambda s: s.update({"conv_gra.weight": torch.zeros(4, 4, 3)}),
        r"fusion: conv_gra.weight: got shape \(4, 4, 3\); valid: shape \(4, 4, 3, 3\)",
    ),
    "half": (
        lambda s: s.update({"conv_gra.weight": s["conv_gra.weight"].half()}),
        "conv_gra.weight: got torch.float16; valid: torch.float32",
    ),
    "not-finite": (
        lambda s: s["conv_gra.weight"].fill_(torch.nan),
        "conv_gra.weight: got a value that is not finite",
    ),
    "box-changed": (
        lambda s: s["decoder_fusion.weight.conv_de.weight"][0, 0, 0, 0].fill_(0.2),
        "conv_de.weight: got values from 0.111111 to 0.2; valid: 0.111111 everywhere",
    ),
    "temperature-negative": (
        lambda s: s.update(
            {f"{CROSS}{n}.blocks.0.attn.temperature": torch.tensor([-0.1]) for n in (1, 2)}
        ),
        "attn.temperature: got -0.1; valid: above 0.01",
    ),
    "temperature-alone": (
        lambda s: s.update({f"{CROSS}1.blocks.0.attn.temperature": torch.ones(1)}),
        "fusion: got no tensor '.*cross_atten2.blocks.0.attn.temperature'",
    ),
    "temperatures-of-two-kinds": (
        lambda s: s.update(
            {
                f"{CROSS}{n}.blocks.0.attn.temperature{suffix}": torch.ones(size)
                for n in (1, 2)
                for suffix, size in (("", 1), ("s", 4))
            }
        ),
        "fusion: got a tensor '.*attn.temperatures'",
    ),
}


@pytest.mark.parametrize("fault", FUSION_FAULTS)
def test_anything_else_is_refused_by_name(
    states: States, tiny: CrossFuseConfig, fault: str
) -> None:
    spoil, message = FUSION_FAULTS[fault]
    spoil(states["fusion"])
    with pytest.raises(InvalidInput, match=message):
        convert_states(states, tiny)


def test_files_in_each_others_place_are_refused(states: States, tiny: CrossFuseConfig) -> None:
    with pytest.raises(InvalidInput, match="fusion: got no tensor"):
        convert_states(states | {"fusion": states["ir_encoder"]}, tiny)
    with pytest.raises(InvalidInput, match="vis_encoder: got no tensor"):
        convert_states(states | {"vis_encoder": states["fusion"]}, tiny)


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must never run",))


@pytest.mark.parametrize(
    "kind", ["jittor", "code", "text", "empty", "list", "wrong-values", "absent"]
)
def test_files_of_another_kind_are_refused(
    states: States, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = save(states, tmp_path)
    path = paths["ir_encoder"]
    if kind == "jittor":  # what jt.save writes: a plain pickle of arrays
        path.write_bytes(pickle.dumps({"weight": np.zeros(3, np.float32)}))
    elif kind == "code":
        torch.save({"weight": _Payload()}, path)
    elif kind == "text":
        path.write_text("weights")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "list":
        torch.save([torch.zeros(3)], path)
    elif kind == "wrong-values":
        torch.save({"epoch": 3}, path)
    else:
        path.unlink()
    with pytest.raises(InvalidInput, match=r"^ir_encoder: got "):
        import_official(**paths)
    assert capsys.readouterr().out == ""

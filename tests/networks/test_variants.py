"""The named CrossFuse networks, and that checkpoints keep every kind of network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from crossfuse.errors import UnknownName
from crossfuse_training.checkpoint import TrainingRecord, load, save
from crossfuse_training.describe import describe
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.crossfuse_variants import CROSSFUSE_VARIANTS, PUBLISHED
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.registry import build

NOTHING = TrainingRecord(recipe="none", options={}, data=(), git_commit="0000000")


def test_the_defaults_are_the_published_network() -> None:
    assert CrossFuseConfig() == PUBLISHED


@pytest.mark.parametrize(
    ("name", "parameters", "gflop"),
    [
        ("crossfuse", 21_305_827, 257.8),
        ("base", 5_238_603, 53.9),
        ("base-wide", 11_984_427, 139.4),
    ],
)
def test_sizes_that_the_table_states(name: str, parameters: int, gflop: float) -> None:
    with torch.device("meta"):
        network = build(name)
    (whole,) = describe(network, [(480, 640)], depth=0)
    assert whole.parameters == parameters
    assert 2 * whole.macs["480x640"] / 1e9 == pytest.approx(gflop, abs=0.05)
    if name != "crossfuse":
        assert gflop <= 170


@pytest.mark.parametrize("name", CROSSFUSE_VARIANTS)
def test_builds_with_other_numbers(name: str) -> None:
    with torch.device("meta"):
        assert build(name, self_layers=1).config == replace(CROSSFUSE_VARIANTS[name], self_layers=1)
    with pytest.raises(UnknownName, match=r"self_layer'.*did you mean 'self_layers'"):
        build(name, self_layer=1)


@pytest.mark.parametrize("kind", ["published", "enhanced", "autoencoder"])
def test_checkpoints_keep_the_network(
    tiny: CrossFuseConfig, kind: str, picture: Callable[..., Tensor], tmp_path: Path
) -> None:
    pictures = [picture(40, 40, seed=0), picture(40, 40, seed=1)]
    network: nn.Module
    if kind == "autoencoder":
        network = AutoEncoder(tiny.autoencoder())
        del pictures[1]
    elif kind == "published":
        network = CrossFuse(tiny)
    else:
        network = CrossFuse(replace(tiny, temperature="per_head", multiscale=True, head="bounded"))
    save(tmp_path / "made", network, variant="tiny", training=NOTHING)
    restored = load(tmp_path / "made")
    assert restored.config == network.config
    assert not restored.training
    with torch.no_grad():
        assert torch.equal(restored(*pictures), network.eval()(*pictures))

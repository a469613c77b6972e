"""Parameters and multiply-accumulates against the measured table of the published network."""

from __future__ import annotations

import pytest
import torch

from crossfuse_training.describe import PartRow, describe
from crossfuse_training.networks.config import AutoEncoderConfig
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.registry import build

# GMAC of one encoder, one self- or cross-attention layer, decoder, and the box filters in it.
MEASURED = {
    (256, 256): (9.834, 1.745, 2.645, 1.510),
    (480, 640): (46.095, 10.469, 12.396, 7.077),
    (512, 512): (39.334, 6.979, 10.578, 6.040),
    (512, 640): (49.168, 10.469, 13.223, 7.551),
}


@pytest.fixture(scope="module")
def rows() -> dict[str, PartRow]:
    with torch.device("meta"):
        network = CrossFuse(CrossFuseConfig())
    return {row.part: row for row in describe(network, list(MEASURED))}


@pytest.mark.parametrize("size", list(MEASURED))
def test_macs_are_the_measured_ones(rows: dict[str, PartRow], size: tuple[int, int]) -> None:
    key = f"{size[0]}x{size[1]}"
    encoder, layer, decoder, box = MEASURED[size]

    def giga(part: str) -> float:
        return rows[part].macs[key] / 1e9

    assert giga("ir_encoder") == giga("vis_encoder") == pytest.approx(encoder, abs=1e-3)
    for part in ("self_layers.0", "self_layers.1", "cross"):
        assert giga(f"deep_fusion.{part}") == pytest.approx(layer, abs=1e-3)
    # Published box filters are dense convolutions with equal weights; ours are a sum over channels
    # and an average pool, which multiply nothing.
    assert giga("decoder") == pytest.approx(decoder - box, abs=2e-3)
    assert giga("") == pytest.approx(2 * encoder + 3 * layer + decoder - box, abs=5e-3)


def test_parameters_are_the_published_live_ones(rows: dict[str, PartRow]) -> None:
    assert rows[""].parameters == 21_305_827
    assert rows["ir_encoder"].parameters == 1_125_312
    # Of each published module without the two norms that it never applies, or its unused qkv.
    assert rows["deep_fusion.self_layers.0"].parameters == 6_306_816 - 2 * 2 * 512
    assert rows["deep_fusion.cross"].parameters == 7_882_752 - 1_575_936
    assert rows["decoder"].parameters == 138_851


def test_levels_add_up(rows: dict[str, PartRow]) -> None:
    parts = [row for row in rows.values() if row.level == 1]
    assert sum(row.parameters for row in parts) == rows[""].parameters
    for size, total in rows[""].macs.items():
        assert sum(row.macs[size] for row in parts) == total
    assert next(row.level for row in rows.values()) == 0


@pytest.mark.parametrize("name", ["rt", "rt-plus", "autoencoder"])
def test_levels_of_other_networks_add_up(name: str) -> None:
    with torch.device("meta"):
        network = AutoEncoder(AutoEncoderConfig()) if name == "autoencoder" else build(name)
    whole, *parts = describe(network, [(64, 96)], depth=1)
    assert sum(row.parameters for row in parts) == whole.parameters
    assert sum(row.macs["64x96"] for row in parts) == whole.macs["64x96"] > 0


def test_describing_leaves_the_network_alone(tiny: CrossFuseConfig) -> None:
    network = CrossFuse(tiny)
    describe(network, [(64, 64)], depth=1)
    assert network.training
    assert next(network.parameters()).device.type == "cpu"

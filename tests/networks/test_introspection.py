"""Recorded attention: sums, stitching, no effect on the network, statistics of heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.head_statistics import (
    HeadStatistics,
    HeadThresholds,
    head_statistics,
    temperature_summary,
)
from crossfuse_training.networks.introspection import AttentionRecord, AttentionRecorder
from crossfuse_training.networks.temperature import Temperature
from crossfuse_training.networks.tiling import Tiling


@pytest.mark.parametrize("attention", ["softmax", "sparsemax", "entmax15"])
@pytest.mark.parametrize("overlap", [0, 4])
def test_records_every_module_and_changes_nothing(
    tiny: CrossFuseConfig, attention: str, overlap: int, picture: Callable[..., Tensor]
) -> None:
    config = replace(tiny, tile=8, tile_overlap=overlap, attention=attention)
    network = CrossFuse(config).eval()
    ir, vis = picture(100, 140, batch=2, seed=0), picture(100, 140, batch=2, seed=1)
    with torch.no_grad():
        before = network(ir, vis)
        with AttentionRecorder(network) as recorder:
            during = network(ir, vis)
        after = network(ir, vis)
    assert torch.equal(before, during)
    assert torch.equal(before, after)
    assert [record.module for record in recorder.records] == [
        "deep_fusion.self_layers.0.ir.attention",
        "deep_fusion.self_layers.0.vis.attention",
        "deep_fusion.self_layers.1.ir.attention",
        "deep_fusion.self_layers.1.vis.attention",
        "deep_fusion.cross.ir_to_vis.blocks.0.attention",
        "deep_fusion.cross.vis_to_ir.blocks.0.attention",
    ]
    for record in recorder.records:
        # Deep maps are 12 x 17, so 6 x 9 tokens of 2 x 2.
        tiles = record.grid.rows * record.grid.columns
        assert record.weights.shape == (2 * tiles, 4, 16, 16)
        assert torch.allclose(record.weights.sum(-1), torch.ones(()), atol=1e-5)
        assert record.received().shape == record.entropies().shape == (2, 4, 6, 9)
        assert record.temperatures is None
    assert not any(module._forward_hooks for module in network.modules())


def test_hooks_leave_after_an_error(tiny: CrossFuseConfig) -> None:
    network = CrossFuse(tiny)
    with pytest.raises(InvalidInput), AttentionRecorder(network):
        network(torch.zeros(1), torch.zeros(1))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def handmade() -> AttentionRecord:
    """Two pictures of 3 x 4 tokens in 2 x 2 tiles of 2 x 2; every token looks at the first."""
    weights = torch.zeros(8, 1, 4, 4)
    weights[..., 0] = 1
    tiling = Tiling(2, 0)
    return AttentionRecord("module", weights, None, tiling, tiling.grid(3, 4))


def test_maps_are_stitched_over_tiles() -> None:
    received = handmade().received()
    assert received.shape == (2, 1, 3, 4)
    expected = torch.tensor([[4.0, 0, 4, 0], [0, 0, 0, 0], [4, 0, 4, 0]])
    assert torch.equal(received[0, 0], expected)
    assert torch.equal(handmade().entropies(), torch.zeros(2, 1, 3, 4))


def test_statistics_name_heads_and_class_them(
    tiny: CrossFuseConfig, picture: Callable[..., Tensor]
) -> None:
    network = CrossFuse(replace(tiny, temperature="per_head")).eval()
    taus = torch.tensor([0.5, 0.8, 1.4, 2.0])
    for module in network.modules():
        if isinstance(module, Temperature):
            module.set_tau(taus)
    with torch.no_grad(), AttentionRecorder(network) as recorder:
        network(picture(40, 40, seed=0), picture(40, 40, seed=1))
    rows = head_statistics(recorder.records)
    assert len(rows) == 6 * 4
    cross = rows[-8:]
    assert [row.head for row in cross] == [0, 1, 2, 3] * 2
    assert [row.temperature for row in cross] == pytest.approx(taus.tolist() * 2)
    assert [row.temperature_class for row in cross[:4]] == [
        "sharp",
        "moderate",
        "moderate",
        "broad",
    ]
    assert all(row.temperature is None and row.temperature_class is None for row in rows[:-8])
    # Fresh weights attend almost uniformly.
    assert all(row.entropy_class == "broad" for row in rows)
    assert all(row.entropy == pytest.approx(math.log(256), rel=0.05) for row in rows)
    everything_sharp = HeadThresholds(
        sharp_temperature=3, broad_temperature=3, sharp_entropy=2, broad_entropy=2
    )
    strict = head_statistics(recorder.records, everything_sharp)
    assert {row.temperature_class for row in strict[-8:]} == {"sharp"}
    assert {row.entropy_class for row in strict} == {"sharp"}

    summary = temperature_summary(rows)
    assert summary is not None
    assert summary.heads == 8
    assert summary.mean == pytest.approx(1.175)
    assert summary.std == pytest.approx(float(taus.double().std(correction=0)))
    assert (summary.minimum, summary.maximum) == pytest.approx((0.5, 2.0))
    assert summary.classes == {"sharp": 2, "moderate": 4, "broad": 2}
    assert temperature_summary(rows[:4]) is None


@pytest.mark.parametrize(
    ("taus", "gini"), [([1.0, 1.0], 0.0), ([0.0, 1.0], 0.5), ([1.0, 3.0], 0.25)]
)
def test_gini(taus: list[float], gini: float) -> None:
    rows = [HeadStatistics("m", i, tau, 0.0, 0.0, "sharp", "sharp") for i, tau in enumerate(taus)]
    summary = temperature_summary(rows)
    assert summary is not None
    assert summary.gini == pytest.approx(gini)


def test_thresholds_must_be_in_order() -> None:
    with pytest.raises(InvalidInput, match="sharp_temperature: got 2; valid: at most broad"):
        HeadThresholds(sharp_temperature=2.0)

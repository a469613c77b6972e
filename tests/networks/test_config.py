"""Configurations: what is refused, by which name, and that JSON keeps them."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pytest

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.networks.config import AutoEncoderConfig, EncoderConfig
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig


@pytest.mark.parametrize(
    "field",
    [
        "encoder_activation",
        "borders",
        "fusion_block",
        "attention",
        "temperature",
        "deep_weights",
        "skip_gates",
        "learned_weights",
        "decoder_activation",
        "decoder_norm",
        "upsampling",
        "output",
        "head",
    ],
)
def test_unknown_names_list_the_valid_ones(field: str) -> None:
    valid = str(getattr(CrossFuseConfig(), field))
    with pytest.raises(UnknownName, match=rf"{field}: got 'nonsense'; valid: .*{valid}"):
        CrossFuseConfig(**{field: "nonsense"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("deep_channels", {"deep_channels": 0}),
        ("heads", {"heads": "8"}),
        ("heads", {"heads": 8.0}),
        ("heads", {"heads": True}),
        ("multiscale", {"multiscale": 1}),
        ("mlp_ratio", {"mlp_ratio": "4"}),
        ("head", {"head": None}),
        ("dense_layers", {"dense_layers": 0}),
        ("fusion_stages", {"fusion_block": "gaff", "fusion_stages": ""}),
        ("fusion_stages", {"fusion_block": "gaff", "fusion_stages": "41"}),
        ("fusion_stages", {"fusion_block": "gaff", "fusion_stages": "5"}),
        ("fusion_stages", {"fusion_block": "cnn", "fusion_stages": "14"}),
        ("gaff_reduction", {"gaff_reduction": 0}),
        ("cssa_kernel", {"cssa_kernel": 4}),
        ("cssa_threshold", {"cssa_threshold": 1.0}),
        ("residual_base", {"residual_base": 1.0}),
        ("multiscale", {"multiscale": True, "fusion_block": "gaff"}),
        ("patch", {"patch": 0}),
        ("tile", {"tile": 31}),
        ("tile_overlap", {"tile_overlap": 3}),
        ("tile_overlap", {"tile_overlap": 18}),
        ("heads", {"heads": 7}),
        ("mlp_ratio", {"mlp_ratio": 0.0}),
        ("self_layers", {"self_layers": -1}),
        ("cross_layers", {"cross_layers": -1}),
        ("attention", {"attention": "sparsemax", "fusion_block": "cnn"}),
        ("temperature", {"temperature": "global", "cross_layers": 0}),
        (
            "learned_weights",
            {"fusion_block": "gaff", "fusion_stages": "1", "learned_weights": "both"},
        ),
        ("decoder_channels", {"decoder_channels": 0}),
        ("affine_gain", {"affine_gain": 2.0}),
        ("affine_offset", {"affine_offset": 2.0, "head": "bounded"}),
    ],
)
def test_rules_name_their_field(field: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=rf"^{field}: got .*; valid: "):
        CrossFuseConfig(**given)


def test_configurations_survive_json(switch: dict[str, Any]) -> None:
    config = CrossFuseConfig(**switch)
    assert CrossFuseConfig(**json.loads(json.dumps(asdict(config)))) == config


def test_autoencoder_has_the_encoder_of_the_network() -> None:
    config = CrossFuseConfig(growth_channels=24, encoder_activation="gelu", upsampling="bilinear")
    autoencoder = config.autoencoder()
    for field in fields(EncoderConfig):
        assert getattr(autoencoder, field.name) == getattr(config, field.name)
    assert autoencoder.upsampling == "bilinear"
    assert autoencoder.output_scale == 255
    with pytest.raises(InvalidInput, match="output_scale"):
        AutoEncoderConfig(output_scale=0.0)

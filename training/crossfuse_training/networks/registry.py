"""Every architecture and every named variant of it, with all numbers spelt out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import nn

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.networks.config import AutoEncoderConfig
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.crossfuse_variants import CROSSFUSE_VARIANTS
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.rt_plus import RtPlus, RtPlusConfig
from crossfuse_training.networks.student import Student, StudentConfig


@dataclass(frozen=True)
class Architecture:
    """A kind of network: the dataclass of its numbers, and what builds it from them."""

    config: type[Any]
    build: Callable[[Any], nn.Module]


@dataclass(frozen=True)
class Variant:
    """A named network: an architecture at given numbers."""

    architecture: str
    config: Any


ARCHITECTURES = {
    "student": Architecture(StudentConfig, Student),
    "rt_plus": Architecture(RtPlusConfig, RtPlus),
    "crossfuse": Architecture(CrossFuseConfig, CrossFuse),
    "autoencoder": Architecture(AutoEncoderConfig, AutoEncoder),
}

VARIANTS = {
    "rt": Variant(
        "student",
        StudentConfig(
            quarter_channels=32,
            eighth_channels=48,
            sixteenth_channels=64,
            sixteenth_layers=3,
            largest_gain=1.0,
            offset_scale=128.0,
            mean_input=True,
            margin=16,
            lift=0.75,
            head="bounded",
        ),
    ),
    "rt-plus": Variant(
        "rt_plus",
        RtPlusConfig(
            half_channels=16,
            quarter_channels=32,
            eighth_channels=64,
            sixteenth_channels=160,
            quarter_blocks=2,
            eighth_blocks=3,
            sixteenth_blocks=4,
            expansion=4,
            excite_reduction=4,
            head_width=16,
            offset_scale=128.0,
            head="bounded",
        ),
    ),
} | {name: Variant("crossfuse", config) for name, config in CROSSFUSE_VARIANTS.items()}


def variants() -> list[str]:
    """The names `build` takes."""
    return sorted(VARIANTS)


def build(name: str, **overrides: Any) -> nn.Module:
    """A network of that name with fresh weights, with some of its numbers replaced."""
    if name not in VARIANTS:
        raise UnknownName("variant", name, VARIANTS)
    variant = VARIANTS[name]
    valid = [field.name for field in fields(variant.config)]
    for option in overrides:
        if option not in valid:
            raise UnknownName(f"option of {name}", option, valid)
    return ARCHITECTURES[variant.architecture].build(replace(variant.config, **overrides))


def from_config(architecture: str, numbers: dict[str, Any]) -> nn.Module:
    """A network with fresh weights; `numbers` must name every field of its configuration."""
    if architecture not in ARCHITECTURES:
        raise UnknownName("architecture", architecture, ARCHITECTURES)
    kind = ARCHITECTURES[architecture]
    expected = {field.name for field in fields(kind.config)}
    if numbers.keys() != expected:
        missing, extra = expected - numbers.keys(), numbers.keys() - expected
        raise InvalidInput(
            f"configuration of {architecture}",
            f"missing {', '.join(sorted(missing)) or 'nothing'}, "
            f"extra {', '.join(sorted(extra)) or 'nothing'}",
            ", ".join(sorted(expected)),
        )
    return kind.build(kind.config(**numbers))


def architecture_of(network: nn.Module) -> str:
    """The name under which the network's class is registered."""
    for name, kind in ARCHITECTURES.items():
        if type(network.config) is kind.config:
            return name
    raise UnknownName("architecture", type(network).__name__, ARCHITECTURES)

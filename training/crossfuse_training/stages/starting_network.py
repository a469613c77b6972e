"""The network that a run begins with: of a variant, with fresh or given weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from crossfuse.errors import InvalidInput
from crossfuse_training.checkpoint import load
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.registry import build
from crossfuse_training.parameter_prefixes import begins
from crossfuse_training.recipe import Recipe
from crossfuse_training.recipe_tables import Frozen


def starting_network(recipe: Recipe) -> nn.Module:
    """What the stage trains, on the CPU; draws fresh weights from torch's generator."""
    wanted = recipe.network
    network = build(wanted.variant, **wanted.options)
    if recipe.stage == "autoencoder":
        network = AutoEncoder(family(network).config.autoencoder())
    if wanted.init:
        _take_all(network, Path(wanted.init))
    if recipe.stage == "fusion" and wanted.ir_encoder:
        _take_encoder(family(network).ir_encoder, Path(wanted.ir_encoder), "ir_encoder")
        _take_encoder(family(network).vis_encoder, Path(wanted.vis_encoder), "vis_encoder")
    return network


def family(network: nn.Module) -> CrossFuse:
    """The network as one of the CrossFuse family; recipes for others are refused before."""
    if not isinstance(network, CrossFuse):
        raise InvalidInput("network.variant", type(network).__name__, "one of the CrossFuse family")
    return network


def freeze(network: nn.Module, frozen: Iterable[Frozen]) -> None:
    """Let all learn but what is frozen; frozen batch norms keep their statistics too."""
    prefixes = [entry.prefix for entry in frozen]
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not any(begins(name, prefix) for prefix in prefixes))
    for name, module in network.named_modules():
        if any(begins(name, prefix) for prefix in prefixes):
            module.eval()


def _take_all(network: nn.Module, folder: Path) -> None:
    loaded = load(folder)
    _check_same("network.init", folder, loaded.config, network.config)
    network.load_state_dict(loaded.state_dict())


def _take_encoder(encoder: nn.Module, folder: Path, key: str) -> None:
    loaded = load(folder)
    if not isinstance(loaded, AutoEncoder):
        raise InvalidInput(
            f"network.{key}", f"{folder}, a {type(loaded).__name__}", "an auto-encoder's checkpoint"
        )
    expected = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    received = {name: tensor.shape for name, tensor in loaded.encoder.state_dict().items()}
    if expected != received:
        raise InvalidInput(
            f"network.{key}",
            f"{folder}, of another width",
            "an encoder of this variant and options",
        )
    encoder.load_state_dict(loaded.encoder.state_dict())


def _check_same(key: str, folder: Path, loaded: Any, wanted: Any) -> None:
    """Refuse a checkpoint of another network, naming the first number that differs."""
    theirs, ours = asdict(loaded), asdict(wanted)
    for name in theirs.keys() | ours.keys():
        if theirs.get(name) != ours.get(name):
            raise InvalidInput(
                key, f"{folder} with {name} = {theirs.get(name)!r}", f"{name} = {ours.get(name)!r}"
            )

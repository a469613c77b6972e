"""Prefixes in recipes that name parts of a network, such as `ir_encoder`: whole words only."""

from __future__ import annotations

from torch import nn

from crossfuse.errors import UnknownName


def begins(name: str, prefix: str) -> bool:
    """Whether a dotted name is this prefix or lies below it."""
    return name == prefix or name.startswith(f"{prefix}.")


def require_prefix(key: str, prefix: str, network: nn.Module) -> None:
    """Refuse a prefix under which the network has no parameter."""
    names = [name for name, _ in network.named_parameters()]
    if not any(begins(name, prefix) for name in names):
        raise UnknownName(key, prefix, {name.partition(".")[0] for name in names})

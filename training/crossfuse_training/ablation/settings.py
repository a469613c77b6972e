"""Settings of runs: dotted keys and values, and how they are written on a command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossfuse.errors import UnknownName
from crossfuse_training.toml_text import toml_value

_PREPARED = "prepared:"


def flattened(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """`{"loss": {"ssim": {"weight": 5}}}` as `{"loss.ssim.weight": 5}`."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        dotted = f"{above}.{key}" if above else key
        if isinstance(value, Mapping) and value:
            flat.update(flattened(value, dotted))
        else:
            flat[dotted] = value
    return flat


def words(settings: Mapping[str, Any]) -> list[str]:
    """`key=value` words, values as TOML, as `crossfuse train` takes them."""
    return [f"{key}={toml_value(value)}" for key, value in settings.items()]


def with_checkpoints(
    settings: Mapping[str, Any], checkpoints: Mapping[str, Path]
) -> dict[str, Any]:
    """The settings, `prepared:NAME` replaced by the folder of that checkpoint."""
    return {key: _with_checkpoint(key, value, checkpoints) for key, value in settings.items()}


def prepared_names(settings: Mapping[str, Any]) -> list[str]:
    """The prepared runs that settings need."""
    return [
        value.removeprefix(_PREPARED)
        for value in settings.values()
        if isinstance(value, str) and value.startswith(_PREPARED)
    ]


def _with_checkpoint(key: str, value: Any, checkpoints: Mapping[str, Path]) -> Any:
    if not isinstance(value, str) or not value.startswith(_PREPARED):
        return value
    name = value.removeprefix(_PREPARED)
    if name not in checkpoints:
        raise UnknownName(key, value, (f"{_PREPARED}{known}" for known in checkpoints))
    return str(checkpoints[name])

"""Looks at what modules inside a network give while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from crossfuse.errors import UnknownName


@contextmanager
def captured(network: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Within the block, the newest output of each named module; of no other call of the network."""
    modules = dict(network.named_modules())
    outputs: dict[str, Any] = {}

    def keep(name: str, _module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        outputs[name] = output

    handles = []
    try:
        for name in names:
            if name not in modules:
                raise UnknownName("module", name, (known for known in modules if known))
            handles.append(modules[name].register_forward_hook(partial(keep, name)))
        yield outputs
    finally:
        for handle in handles:
            handle.remove()

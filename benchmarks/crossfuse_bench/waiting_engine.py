"""Engines that wait in the place of every bundle's, also in the processes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from crossfuse.bundles import Bundle
from crossfuse.engines import Engine
from crossfuse_bench.stand_ins import NoEngine


def waiting(seconds: float) -> Callable[[Bundle], Sequence[Engine]]:
    """Opens an engine that takes so long for a pair, one at a time, and no processor."""
    return partial(_open, seconds)


def _open(seconds: float, _: Bundle) -> Sequence[Engine]:
    return [NoEngine(per_pair=seconds)]

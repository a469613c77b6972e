"""Finds the largest batch that fits into memory, by trying."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

from crossfuse.errors import InvalidInput, OutOfMemory


@dataclass(frozen=True)
class BatchTrial:
    """One batch that fitted."""

    batch: int
    memory: int
    """Bytes: the most that the process (or the CUDA device) has held so far."""


@dataclass(frozen=True)
class LargestBatch:
    """The result of a search."""

    batch: int
    stopped_by: str
    """memory or ceiling."""
    trials: tuple[BatchTrial, ...]


def find_batch_size(
    trial: Callable[[int], None],
    *,
    ceiling: int = 1024,
    memory_limit: int | None = None,
    device: torch.device | str = "cpu",
) -> LargestBatch:
    """Double the batch from 1 until memory runs out or `ceiling` is reached.

    `trial` does a whole training step on a batch of that size. On a CPU running out of memory
    ends the process, so `memory_limit` (bytes) is needed there: a batch is not tried if twice
    what the last one added would pass it. What the process held at its highest before the search
    hides that much of what a batch adds: search early in a process.
    """
    cuda = torch.device(device).type == "cuda"
    if memory_limit is None and not cuda:
        raise InvalidInput("memory_limit", "none", "bytes that may be used; on CUDA optional")
    if ceiling < 1:
        raise InvalidInput("ceiling", repr(ceiling), "1 or more")
    trials: list[BatchTrial] = []
    before, batch = _peak_memory(cuda), 1
    while batch <= ceiling:
        grown = trials[-1].memory - before if trials else 0
        if memory_limit is not None and before + 2 * grown > memory_limit:
            break
        try:
            trial(batch)
        except (torch.OutOfMemoryError, OutOfMemory):
            break
        finally:
            if cuda:
                gc.collect()
                torch.cuda.empty_cache()
        memory = _peak_memory(cuda)
        if memory_limit is not None and memory > memory_limit:
            break
        trials.append(BatchTrial(batch, memory))
        batch *= 2
    if not trials:
        raise OutOfMemory("a batch of 1 does not fit into memory: use smaller crops")
    stopped_by = "ceiling" if batch > ceiling else "memory"
    return LargestBatch(trials[-1].batch, stopped_by, tuple(trials))


def _peak_memory(cuda: bool) -> int:
    if cuda:
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak

"""The pairs of one request in the queue of a model: together from the outside, apart within."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from crossfuse.fuser import prepare_pair
from crossfuse_server.jobs import Inference, Job
from crossfuse_server.oip.tensors import Pairs
from crossfuse_server.queue import ModelQueue
from crossfuse_server.recorder import Pair
from crossfuse_server.timeline import ENCODE

Inferences: TypeAlias = Future[list[Inference]]


def jobs_of(
    pairs: Pairs,
    *,
    minimum_size: int,
    max_pixels: int,
    client: str,
    expires_at: float,
    priority: int,
    bounded: bool = True,
) -> list[Job]:
    """Every pair as a job of its own: the queue decides what runs together."""
    prepared = [
        prepare_pair(ir, vis, minimum_size=minimum_size, max_pixels=max_pixels)
        for ir, vis in zip(pairs.ir, pairs.vis, strict=True)
    ]
    return [
        Job(
            pair.ir,
            pair.vis,
            client=client,
            expires_at=expires_at,
            priority=priority,
            bounded=bounded,
        )
        for pair in prepared
    ]


def submit_all(queue: ModelQueue, jobs: Iterable[Job]) -> Inferences:
    """Queue every pair, or none; the future has all results in order, or the first error.

    Cancelling it takes out of the queue what still waits there.
    """
    futures: list[Future[Inference]] = []
    try:
        for job in jobs:
            futures.append(queue.submit(job))  # noqa: PERF401 - those before a refused one are kept
    except BaseException:
        _cancel(futures)
        raise
    return _together(futures)


def note_run(record: Pair, inferences: Sequence[Inference]) -> list[Pair]:
    """Note in the record of a request that its pairs ran; the records of all but its first pair.

    A request is recorded as it comes; so the other pairs of a batch are only known when they ran.
    """
    others = [replace(record, timeline=copy.deepcopy(record.timeline)) for _ in inferences[1:]]
    for each, inference in zip((record, *others), inferences, strict=True):
        each.ran(inference)
        each.timeline.enter(ENCODE)
    return others


def _together(futures: list[Future[Inference]]) -> Inferences:
    whole: Inferences = Future()
    lock = threading.Lock()
    left = len(futures)

    def note(future: Future[Inference]) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if future.cancelled():
            whole.cancel()
            return
        error = future.exception()
        with suppress(InvalidStateError):  # another one failed before
            if error is not None:
                whole.set_exception(error)
            elif last and not whole.done():
                whole.set_result([each.result() for each in futures])

    def end(_: Inferences) -> None:
        """What still waits is in vain; and the pictures are not kept in a circle."""
        _cancel(futures)
        with lock:
            futures.clear()

    for future in tuple(futures):
        future.add_done_callback(note)
    whole.add_done_callback(end)
    return whole


def _cancel(futures: Iterable[Future[Inference]]) -> None:
    for future in tuple(futures):
        future.cancel()

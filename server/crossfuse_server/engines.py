"""Where the engines of a model come from, and how batches pay on them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol

from crossfuse.bundles import Bundle
from crossfuse.engines import Engine, EngineDescription, UInt8Array, device_ids, load_engine
from crossfuse_server.batching import BatchRules
from crossfuse_server.settings import ServerSettings

log = logging.getLogger(__name__)

# Pairs that run at once on one copy of a model: while one waits for a part of it that does not
# divide, the threads of the runtime work for another instead of spinning. Each takes memory.
CPU_LANES = 3

# Sizes that are tried at warm-up; the largest that pays becomes the most that run together.
BATCH_SIZES = (2, 4, 8, 16, 32)

# A pair of a batch must take no more than this share of the time of one alone. Less gain is not
# worth it that pairs wait for each other.
WORTHWHILE_SHARE = 0.8

OpenEngines = Callable[[Bundle], Sequence[Engine]]


class EngineSource(Protocol):
    """Opens the engines of a bundle, one per device, ready to run."""

    def open(self, bundle: Bundle) -> Sequence[Engine]:
        """All engines."""

    def reopen(self, bundle: Bundle, number: int) -> Engine:
        """The engine of one device, anew."""

    def warm_up_seconds(self, bundle: Bundle) -> float:
        """How long its first engine took for the warm-up; 0 where that is not known."""


class SharedEngine(Engine):
    """One of several handles of an engine; the last one that is closed closes it."""

    def __init__(self, engine: Engine, handles: list[SharedEngine], lock: threading.Lock) -> None:
        self._engine = engine
        self._handles = handles
        self._lock = lock
        handles.append(self)

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        return self._engine.fuse(ir, vis)

    def describe(self) -> EngineDescription:
        """Of the engine that is shared."""
        return self._engine.describe()

    def close(self) -> None:
        """Let go of this handle."""
        with self._lock:
            self._handles.remove(self)
            over = not self._handles
        if over:
            self._engine.close()


def share(engine: Engine, lanes: int) -> list[SharedEngine]:
    """Handles of an engine that may run in several threads at once."""
    handles: list[SharedEngine] = []
    lock = threading.Lock()
    for _ in range(lanes):
        SharedEngine(engine, handles, lock)
    return list(handles)


class GivenEngines:
    """Engines that a function makes; for programs that bring their own."""

    def __init__(self, open_engines: OpenEngines) -> None:
        self._open = open_engines

    def open(self, bundle: Bundle) -> Sequence[Engine]:
        """All engines."""
        return self._open(bundle)

    def reopen(self, bundle: Bundle, number: int) -> Engine:
        """One of them, anew."""
        return self._open(bundle)[number]

    def warm_up_seconds(self, bundle: Bundle) -> float:
        """Not known."""
        return 0.0


class DeviceEngines:
    """One engine per device of the kind the settings name, each run once at the warm-up size."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._kinds: dict[str, str] = {}
        self._warm_ups: dict[str, float] = {}

    def open(self, bundle: Bundle) -> Sequence[Engine]:
        """All engines."""
        first = self._open_one(bundle, self._settings.device, 0)
        kind = _kind(first)
        self._kinds[bundle.reference] = kind
        if kind == "cpu":
            return share(first, CPU_LANES)
        return [first, *(self._open_one(bundle, kind, number) for number in device_ids(kind)[1:])]

    def reopen(self, bundle: Bundle, number: int) -> Engine:
        """The engine of one device, anew."""
        kind = self._kinds[bundle.reference]
        return self._open_one(bundle, kind, 0 if kind == "cpu" else number)

    def _open_one(self, bundle: Bundle, device: str, device_id: int) -> Engine:
        settings = self._settings
        engine = load_engine(
            bundle.folder,
            device=device,
            device_id=device_id,
            precision=settings.precision,
            threads=settings.threads or None,
        )
        started = perf_counter()
        engine.warm_up(*settings.warm_up_size)
        self._warm_ups[bundle.reference] = perf_counter() - started
        return engine

    def warm_up_seconds(self, bundle: Bundle) -> float:
        """Measured when it was opened."""
        return self._warm_ups[bundle.reference]


def batch_rules(settings: ServerSettings, engine: Engine) -> BatchRules:
    """How to batch on an engine: as the settings say, or under `auto` as measured.

    On a CPU `auto` is off without a measurement: one pair alone keeps its processors busy, and the
    results stay equal bit for bit to those of `crossfuse.load`.
    """
    if settings.batching == "off" or (settings.batching == "auto" and _kind(engine) == "cpu"):
        return BatchRules()
    most = settings.max_batch
    if settings.batching == "auto":
        most = _measured(engine, settings.warm_up_size, most)
    preferred = tuple(size for size in settings.batch_sizes if size <= most)
    return BatchRules(most, settings.batch_delay_ms / 1e3 if most > 1 else 0.0, preferred)


def _measured(engine: Engine, size: tuple[int, int], most: int) -> int:
    """The largest batch that still pays over the one before it."""
    alone = _time_per_pair(engine, size, 1)
    best, chosen = alone, 1
    for batch in (size for size in BATCH_SIZES if size <= most):
        each = _time_per_pair(engine, size, batch)
        if each > WORTHWHILE_SHARE * best:
            break
        best, chosen = each, batch
    name = engine.describe().name
    log.info("%s: batches of %d: %.2f ms a pair, alone %.2f", name, chosen, 1e3 * best, 1e3 * alone)
    return chosen


def _time_per_pair(engine: Engine, size: tuple[int, int], batch: int) -> float:
    """Seconds; the first run of a shape allocates and does not count."""
    engine.warm_up(*size, batch=batch)
    times = []
    for _ in range(3):
        started = perf_counter()
        engine.warm_up(*size, batch=batch)
        times.append(perf_counter() - started)
    return min(times) / batch


def _kind(engine: Engine) -> str:
    return engine.describe().device.partition(":")[0]

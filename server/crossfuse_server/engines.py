"""Where the engines of a model come from, and how batches pay on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol

from crossfuse.bundles import Bundle
from crossfuse.engines import Engine, device_ids, load_engine
from crossfuse.engines.devices import available_cpus
from crossfuse_server.batching import BatchRules
from crossfuse_server.cpu_lanes import CpuEngines, Crowd
from crossfuse_server.settings import ServerSettings

log = logging.getLogger(__name__)

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
    """One engine per device of the kind the settings name, each run once at the warm-up size.

    A CPU is one device, with an engine for each pair that may run on it at once.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._crowd = Crowd(settings.threads or available_cpus())
        self._kinds: dict[str, str] = {}
        self._warm_ups: dict[str, float] = {}

    def open(self, bundle: Bundle) -> Sequence[Engine]:
        """All engines."""
        first = self._open_one(bundle, self._settings.device, 0)
        kind = _kind(first)
        self._kinds[bundle.reference] = kind
        if kind == "cpu":
            engines = self._with_share(bundle, first)
            return [engines.lane() for _ in range(self._crowd.lanes)]
        return [first, *(self._open_one(bundle, kind, number) for number in device_ids(kind)[1:])]

    def reopen(self, bundle: Bundle, number: int) -> Engine:
        """The engine of one device, anew."""
        kind = self._kinds[bundle.reference]
        if kind == "cpu":
            return self._with_share(bundle, self._open_one(bundle, kind, 0)).lane()
        return self._open_one(bundle, kind, number)

    def _with_share(self, bundle: Bundle, whole: Engine) -> CpuEngines:
        threads = whole.describe().threads
        share = self._crowd.share_of(threads)
        if share == threads:
            return CpuEngines(whole, whole, self._crowd)
        return CpuEngines(whole, self._open_one(bundle, "cpu", 0, share), self._crowd)

    def _open_one(
        self, bundle: Bundle, device: str, device_id: int, threads: int | None = None
    ) -> Engine:
        settings = self._settings
        engine = load_engine(
            bundle.folder,
            device=device,
            device_id=device_id,
            precision=settings.precision,
            threads=threads or settings.threads or None,
        )
        started = perf_counter()
        engine.warm_up(*settings.warm_up_size)
        if threads is None:  # a share of them takes longer
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

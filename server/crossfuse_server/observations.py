"""What became of the pairs, counted: by model, by outcome, and where their time went.

Nothing here waits for anything but the lock, which is held for a few additions.
"""

from __future__ import annotations

import copy
import threading
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

PHASES = ("decode", "queue", "infer", "encode", "total")

# Upper limits of the classes of durations, in seconds; one camera frame at 60, 30 and 25 Hz among
# them, because "how many frames were too late" is the question that is asked.
BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 1 / 60, 0.025, 1 / 30, 0.04),
    *(0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

# The outcome of a pair that was fused; every other one is a failure, with its reason as the name.
OK = "OK"

# Models that no longer serve and whose counters are kept.
MOST_GONE = 16

ModelKey: TypeAlias = tuple[str, str]


@dataclass(slots=True, kw_only=True)  # to freeze it would take as long as to count it
class Observation:
    """One pair that was answered or failed, whatever the protocol; durations in seconds."""

    model: str
    """Name of the model; empty where none was found. Never what a caller wrote."""
    version: str
    protocol: str
    """grpc, stream, oip or http."""
    outcome: str
    """Name of a status, or DROPPED."""
    decode: float = 0.0
    queue: float = 0.0
    infer: float = 0.0
    encode: float = 0.0
    total: float = 0.0
    batch_size: int = 0
    """How many pairs ran together; 0 where nothing ran."""
    drop_reason: str = ""
    """Why, of a pair that was DROPPED."""


@dataclass(slots=True)
class Totals:
    """What one model has done so far; durations are sums in nanoseconds."""

    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """By reason."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Those among the failed that were frames without fault, by the rule that decided."""
    decode_ns: int = 0
    """This and the next four: of the pairs that succeeded."""
    queue_ns: int = 0
    infer_ns: int = 0
    encode_ns: int = 0
    total_ns: int = 0
    failed_ns: int = 0
    classes: dict[str, list[int]] = field(
        default_factory=lambda: {phase: [0] * (len(BUCKETS) + 1) for phase in PHASES}
    )
    """By phase: how many pairs that succeeded fell between two neighbours of BUCKETS."""
    executions: int = 0
    """Runs of an engine."""
    batches: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By batch size: how many runs, and the sum of their times in nanoseconds."""
    last_inference: int = 0
    """When the last run ended, in milliseconds of the clock of the world; 0 before the first."""


class Observations:
    """Counts what is added, from any thread.

    Names become labels of metrics, so only those of models count as names: of models that were
    declared, ran, or fused a pair. What failed under any other name is counted under none.

    A model that is gone is remembered until MOST_GONE others have gone after it: calls it has
    begun end after it, and whoever scrapes once in a while still sees its last ones.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: dict[ModelKey, Totals] = {}
        self._requests: Counter[tuple[str, str, str, str]] = Counter()
        self._gone: dict[ModelKey, None] = {}

    def declare(self, model: str, version: str) -> None:
        """A model exists, whether or not anything has been asked of it."""
        with self._lock:
            self._gone.pop((model, version), None)
            self._totals.setdefault((model, version), Totals())

    def retire(self, model: str, version: str) -> None:
        """A model is gone; without an end to what is kept, every version would cost memory."""
        with self._lock:
            self._gone[model, version] = None
            if len(self._gone) <= MOST_GONE:
                return
            oldest = next(iter(self._gone))
            del self._gone[oldest]
            self._totals.pop(oldest, None)
            for key in [key for key in self._requests if key[:2] == oldest]:
                del self._requests[key]

    def add(self, observation: Observation) -> None:
        """One pair was answered or failed."""
        key = observation.model, observation.version
        with self._lock:
            if observation.outcome != OK and key not in self._totals:
                key = "", ""
            totals = self._of(key)
            self._requests[(*key, observation.protocol, observation.outcome)] += 1
            if observation.outcome != OK:
                totals.failed[observation.outcome] += 1
                totals.failed_ns += round(observation.total * 1e9)
                if observation.drop_reason:
                    totals.dropped[observation.drop_reason] += 1
                return
            totals.succeeded += 1
            totals.decode_ns += round(observation.decode * 1e9)
            totals.queue_ns += round(observation.queue * 1e9)
            totals.infer_ns += round(observation.infer * 1e9)
            totals.encode_ns += round(observation.encode * 1e9)
            totals.total_ns += round(observation.total * 1e9)
            classes = totals.classes
            classes["decode"][bisect_left(BUCKETS, observation.decode)] += 1
            classes["queue"][bisect_left(BUCKETS, observation.queue)] += 1
            classes["infer"][bisect_left(BUCKETS, observation.infer)] += 1
            classes["encode"][bisect_left(BUCKETS, observation.encode)] += 1
            classes["total"][bisect_left(BUCKETS, observation.total)] += 1

    def add_execution(self, model: str, version: str, batch_size: int, infer: float) -> None:
        """An engine ran once, for so many pairs and seconds."""
        with self._lock:
            totals = self._of((model, version))
            totals.executions += 1
            count, spent = totals.batches.get(batch_size, (0, 0))
            totals.batches[batch_size] = count + 1, spent + round(infer * 1e9)
            totals.last_inference = time.time_ns() // 1_000_000

    def totals(self) -> dict[ModelKey, Totals]:
        """(model, version) -> what it has done so far; ("", "") is what never found a model."""
        with self._lock:
            return copy.deepcopy(self._totals)

    def requests(self) -> dict[tuple[str, str, str, str], int]:
        """(model, version, protocol, outcome) -> how many pairs."""
        with self._lock:
            return dict(self._requests)

    def _of(self, key: ModelKey) -> Totals:
        found = self._totals.get(key)
        if found is None:
            found = self._totals[key] = Totals()
        return found

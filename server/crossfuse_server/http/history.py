"""What the models did over the last minutes, for the curves of the page."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from crossfuse_server.http.schemas import Curves, History
from crossfuse_server.observations import BUCKETS, Observations, Totals

SECONDS = 2.0
SAMPLES = 150


@dataclass(frozen=True, slots=True)
class Sample:
    """What one model did between two looks; times in milliseconds, None without a pair."""

    pairs_per_second: float
    failed_per_second: float
    dropped_per_second: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    decode_ms: float | None = None
    queue_ms: float | None = None
    infer_ms: float | None = None
    encode_ms: float | None = None


IDLE = Sample(0.0, 0.0, 0.0)


class LatencyHistory:
    """A ring of samples; `look` regularly, from one thread."""

    def __init__(self, observations: Observations) -> None:
        self._observations = observations
        self._last = observations.totals()
        self._looked_at = time.monotonic()
        self._samples: deque[tuple[float, dict[str, Sample]]] = deque(maxlen=SAMPLES)

    def look(self) -> None:
        """Add one sample: what happened since the last one."""
        totals, now = self._observations.totals(), time.monotonic()
        passed = max(now - self._looked_at, 1e-3)
        samples = {
            f"{name}:{version}": _difference(
                self._last.get((name, version), Totals()), current, passed
            )
            for (name, version), current in totals.items()
            if name
        }
        self._samples.append((time.time(), samples))
        self._last, self._looked_at = totals, now

    def read(self) -> History:
        """All samples, as the page takes them."""
        samples = list(self._samples)
        busy = {name for _, models in samples for name, sample in models.items() if sample != IDLE}
        return History(
            seconds=SECONDS,
            times=[ended for ended, _ in samples],
            models={
                name: _curves([models.get(name, IDLE) for _, models in samples])
                for name in sorted(busy)
            },
        )


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Seconds below which that share of the pairs stayed, from how many fell into each class.

    Interpolated inside the class; what lies above the last limit counts as that limit.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    seen = 0
    for count, low, high in zip(counts, (0.0, *BUCKETS), (*BUCKETS, BUCKETS[-1]), strict=True):
        if count and seen + count >= rank:
            return low + (high - low) * (rank - seen) / count
        seen += count
    return BUCKETS[-1]


def _difference(before: Totals, after: Totals, passed: float) -> Sample:
    pairs = after.succeeded - before.succeeded
    dropped = after.dropped.total() - before.dropped.total()
    failed = after.failed.total() - before.failed.total() - dropped
    rates = pairs / passed, failed / passed, dropped / passed
    if not pairs:
        return Sample(*rates)
    counts = [
        new - old for old, new in zip(before.classes["total"], after.classes["total"], strict=True)
    ]
    p50, p99 = quantile(counts, 0.5), quantile(counts, 0.99)
    return Sample(
        *rates,
        p50 and 1e3 * p50,
        p99 and 1e3 * p99,
        *(
            (getattr(after, f"{phase}_ns") - getattr(before, f"{phase}_ns")) / pairs / 1e6
            for phase in ("decode", "queue", "infer", "encode")
        ),
    )


def _curves(samples: list[Sample]) -> Curves:
    return Curves(**{name: [getattr(s, name) for s in samples] for name in Sample.__slots__})

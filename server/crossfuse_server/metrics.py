"""What a server tells Prometheus, read out of it when somebody asks: no call pays for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import onnxruntime
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from crossfuse._version import __version__
from crossfuse.bundles import Manifest
from crossfuse_server.models import State
from crossfuse_server.observations import BUCKETS, PHASES, ModelKey, Totals
from crossfuse_server.statuses import incidents
from crossfuse_server.triton_metrics import triton_metrics

if TYPE_CHECKING:
    from crossfuse_server.app import FusionServer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MODEL = ("model", "version")
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)


def render(server: FusionServer) -> bytes:
    """The metrics of a server and of its process, in the text format of Prometheus."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_ServerCollector(server))
    return generate_latest(registry)


class _ServerCollector(Collector):
    def __init__(self, server: FusionServer) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """Everything, as it is now."""
        totals = self._server.observations.totals()
        yield from self._pairs(totals)
        yield from _durations(totals)
        yield from _runs(totals)
        yield from self._models()
        yield from self._process()
        waiting = {_key(model.bundle.manifest): model.waiting for model in self._server.host.models}
        yield from triton_metrics(totals, waiting)

    def _pairs(self, totals: Mapping[ModelKey, Totals]) -> Iterator[Metric]:
        pairs = CounterMetricFamily(
            "crossfuse_pairs",
            "Pairs that were answered or failed; without a model where none was found.",
            labels=(*MODEL, "protocol", "outcome"),
        )
        for labels, count in self._server.observations.requests().items():
            pairs.add_metric(labels, count)
        yield pairs
        dropped = CounterMetricFamily(
            "crossfuse_dropped_frames",
            "Frames without fault that a rule of their stream decided against.",
            labels=(*MODEL, "reason"),
        )
        for key, total in totals.items():
            for reason, count in total.dropped.items():
                dropped.add_metric((*key, reason), count)
        yield dropped
        calls = CounterMetricFamily(
            "crossfuse_calls",
            "Calls of every method by the status their caller saw; a stream is one call.",
            labels=("method", "status"),
        )
        for (method, status), count in self._server.calls.ended().items():
            calls.add_metric((method, status), count)
        yield calls

    def _models(self) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "crossfuse_model_state", "1 for the state a model is in.", labels=(*MODEL, "state")
        )
        engines = GaugeMetricFamily(
            "crossfuse_model_engines", "Engines that can run a model.", labels=MODEL
        )
        pending = GaugeMetricFamily(
            "crossfuse_pending_pairs", "Pairs that wait for an engine.", labels=MODEL
        )
        for model in self._server.host.models:
            key = _key(model.bundle.manifest)
            now = model.state
            for each in (State.LOADING, State.SERVING, State.FAILED):
                state.add_metric((*key, each.value), float(each is now))
            engines.add_metric(key, model.engines)
            pending.add_metric(key, model.waiting)
        yield from (state, engines, pending)

    def _process(self) -> Iterator[Metric]:
        server = self._server
        settings = server.settings
        for name, text, value in (
            ("serving", "1 while the default model is served.", server.state is State.SERVING),
            (
                "warnings",
                "What is wrong although the server serves; GetServerInfo says what.",
                len(server.host.warnings),
            ),
            ("calls_in_flight", "Calls that are under way.", server.calls.active),
            ("streams", "Streams that are open.", len(server.open_streams)),
            ("streams_limit", "Most streams of one client at once.", settings.max_streams),
            ("held_bytes", "Messages and pictures of calls.", server.admission.bytes_held),
            ("held_bytes_limit", "Most bytes of those.", settings.queue_bytes),
            (
                "memory_limit_bytes",
                "Resident memory above which new work waits.",
                server.admission.watermark.limit,
            ),
        ):
            yield GaugeMetricFamily(f"crossfuse_{name}", text, value=float(value))
        yield CounterMetricFamily(
            "crossfuse_incidents",
            "Faults of this process; each has its number in the log.",
            value=incidents.count,
        )
        yield InfoMetricFamily(
            "crossfuse_build",
            "What runs here.",
            value={"version": __version__, "onnxruntime": onnxruntime.__version__},
        )


def _key(manifest: Manifest) -> ModelKey:
    return manifest.name, str(manifest.version)


def _durations(totals: Mapping[ModelKey, Totals]) -> Iterator[Metric]:
    for phase in PHASES:
        name = "pair" if phase == "total" else phase
        histogram = HistogramMetricFamily(
            f"crossfuse_{name}_seconds", f"{TEXTS[phase]}, of fused pairs.", labels=MODEL
        )
        for key, total in totals.items():
            if not key[0]:
                continue
            spent = getattr(total, f"{phase}_ns") / 1e9
            histogram.add_metric(key, _cumulative(BUCKETS, total.classes[phase]), spent)
        yield histogram


TEXTS = {
    "decode": "Reading the pictures out of the message",
    "queue": "Waiting: for a decoder, an engine, a processor, the answers before",
    "infer": "Running the model",
    "encode": "Writing the answer",
    "total": "All phases, from the bytes of the pair to its answer",
}


def _runs(totals: Mapping[ModelKey, Totals]) -> Iterator[Metric]:
    sizes = HistogramMetricFamily(
        "crossfuse_batch_size", "Pairs in one run of an engine.", labels=MODEL
    )
    busy = CounterMetricFamily(
        "crossfuse_engine_seconds", "Time that engines were running a model.", labels=MODEL
    )
    for key, total in totals.items():
        if not key[0]:
            continue
        counts = [0] * (len(BATCH_SIZES) + 1)
        for size, (runs, _) in total.batches.items():
            counts[sum(limit < size for limit in BATCH_SIZES)] += runs
        pairs = sum(size * runs for size, (runs, _) in total.batches.items())
        sizes.add_metric(key, _cumulative(BATCH_SIZES, counts), pairs)
        busy.add_metric(key, sum(spent for _, spent in total.batches.values()) / 1e9)
    yield from (sizes, busy)


def _cumulative(limits: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Counts between limits as Prometheus wants them: up to each limit."""
    names = [*(f"{limit:.6g}" for limit in limits), "+Inf"]
    below = 0
    buckets: list[tuple[str, float]] = []
    for name, count in zip(names, counts, strict=True):
        below += count
        buckets.append((name, below))
    return buckets

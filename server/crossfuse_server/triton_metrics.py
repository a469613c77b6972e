"""The counters of Triton under Triton's names, so that dashboards made for it go on working.

Only those that can be filled truthfully. Triton's counters do not end in `_total`; they are given
without a type here, because the Prometheus client would rename a counter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric, UntypedMetricFamily

from crossfuse_server.observations import ModelKey, Totals

# What Triton calls the reasons; every other outcome is OTHER.
REASONS = {
    "RESOURCE_EXHAUSTED": "REJECTED",
    "UNAVAILABLE": "REJECTED",
    "DEADLINE_EXCEEDED": "REJECTED",
    "DROPPED": "REJECTED",
    "CANCELLED": "CANCELED",
    "INTERNAL": "BACKEND",
}

LABELS = ("model", "version")

COUNTERS: dict[str, tuple[str, Callable[[Totals], float]]] = {
    "request_success": ("Pairs that were fused.", lambda total: total.succeeded),
    "count": (
        "Pairs that ran through an engine.",
        lambda total: sum(size * runs for size, (runs, _) in total.batches.items()),
    ),
    "exec_count": ("Runs of an engine.", lambda total: total.executions),
    "request_duration_us": ("Sum over fused pairs.", lambda total: total.total_ns // 1000),
    "queue_duration_us": ("Waiting.", lambda total: total.queue_ns // 1000),
    "compute_input_duration_us": ("Reading pictures.", lambda total: total.decode_ns // 1000),
    "compute_infer_duration_us": ("Running the model.", lambda total: total.infer_ns // 1000),
    "compute_output_duration_us": ("Writing answers.", lambda total: total.encode_ns // 1000),
}


def triton_metrics(
    totals: Mapping[ModelKey, Totals], waiting: Mapping[ModelKey, int]
) -> Iterator[Metric]:
    """Everything Triton tells of its models that this server knows too."""
    models = {key: total for key, total in totals.items() if key[0]}
    for name, (text, value) in COUNTERS.items():
        counter = UntypedMetricFamily(f"nv_inference_{name}", text, labels=LABELS)
        for key, total in models.items():
            counter.add_metric(key, value(total))
        yield counter
    failures = UntypedMetricFamily(
        "nv_inference_request_failure", "Pairs that were not fused.", labels=(*LABELS, "reason")
    )
    for key, total in models.items():
        reasons = Counter(dict.fromkeys(("REJECTED", "CANCELED", "BACKEND", "OTHER"), 0))
        for outcome, count in total.failed.items():
            reasons[REASONS.get(outcome, "OTHER")] += count
        for reason, count in reasons.items():
            failures.add_metric((*key, reason), count)
    yield failures
    pending = GaugeMetricFamily(
        "nv_inference_pending_request_count", "Pairs that wait for an engine.", labels=LABELS
    )
    for key, count in waiting.items():
        pending.add_metric(key, count)
    yield pending

"""ModelStatistics: what the models have done, whatever the protocol they were asked through.

Triton's phases are filled with ours: compute_input is reading the pictures, compute_infer running
the model, compute_output writing the answer. Requests are counted as pairs: one that brings a
batch of eight counts eight times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from crossfuse.oip import ModelStatisticsResponse
from crossfuse_server.observations import ModelKey, Totals


def statistics(keys: Iterable[ModelKey], totals: Mapping[ModelKey, Totals]) -> Any:
    """Of the models with these names and versions."""
    response = ModelStatisticsResponse()
    for key in keys:
        name, version = key
        _write(response.model_stats.add(name=name, version=version), totals.get(key, Totals()))
    return response


def _write(message: Any, totals: Totals) -> None:
    message.last_inference = totals.last_inference
    message.inference_count = totals.succeeded
    message.execution_count = totals.executions
    stats = message.inference_stats
    for duration, count, nanoseconds in (
        (stats.success, totals.succeeded, totals.total_ns),
        (stats.fail, totals.failed.total(), totals.failed_ns),
        (stats.queue, totals.succeeded, totals.queue_ns),
        (stats.compute_input, totals.succeeded, totals.decode_ns),
        (stats.compute_infer, totals.succeeded, totals.infer_ns),
        (stats.compute_output, totals.succeeded, totals.encode_ns),
    ):
        duration.count, duration.ns = count, nanoseconds
    for size, (runs, nanoseconds) in sorted(totals.batches.items()):
        batch = message.batch_stats.add(batch_size=size)
        batch.compute_infer.count, batch.compute_infer.ns = runs, nanoseconds

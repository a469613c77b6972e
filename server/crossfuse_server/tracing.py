"""OpenTelemetry traces: one span for each pair, with its phases as children.

The package is optional. Times are those of the timeline, so the children sum to their parent.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from crossfuse._version import __version__
from crossfuse.errors import InvalidInput, MissingDependency
from crossfuse_server.observations import OK
from crossfuse_server.recorder import DROPPED, Pair

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

# Either of these, which every OpenTelemetry library knows, turns traces on.
VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

NAMES = {
    "grpc": "crossfuse.v1.FusionService/Fuse",
    "stream": "crossfuse.v1.FusionService/FuseStream frame",
    "oip": "inference.GRPCInferenceService/ModelInfer",
    "http": "POST /v1/fuse",
}

# How long the end of the server waits for spans that have not been sent.
LAST_SPANS_SECONDS = 3.0


class Tracing:
    """Writes the spans of pairs that are over to one processor."""

    def __init__(self, processor: SpanProcessor) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create()  # with what OTEL_SERVICE_NAME and its like say
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "crossfuse"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("crossfuse_server", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._trace: Any = trace

    def write(self, pair: Pair, outcome: str) -> None:
        """The spans of a pair that has just ended."""
        trace = self._trace
        parent = self._propagator.extract({"traceparent": pair.parent})
        # From the clock that never goes back to that of the world.
        offset = time.time_ns() - round(time.monotonic() * 1e9)
        segments = [
            (phase, offset + round(start * 1e9), offset + round(end * 1e9))
            for phase, start, end in pair.timeline.segments()
        ]
        span = self._tracer.start_span(
            NAMES.get(pair.protocol, pair.protocol),
            context=parent,
            kind=trace.SpanKind.SERVER,
            start_time=segments[0][1],
            attributes={
                "crossfuse.model": pair.model,
                "crossfuse.version": pair.version,
                "crossfuse.protocol": pair.protocol,
                "crossfuse.outcome": outcome,
                "crossfuse.batch_size": pair.batch_size,
            },
        )
        if span.is_recording():
            inside = trace.set_span_in_context(span, parent)
            for phase, start, end in segments:
                self._tracer.start_span(phase, context=inside, start_time=start).end(end)
            if outcome not in (OK, DROPPED):
                span.set_status(trace.Status(trace.StatusCode.ERROR, outcome))
        span.end(segments[-1][2])

    def close(self) -> None:
        """Send what has not been sent, unless nobody takes it."""
        sender = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        sender.start()
        sender.join(LAST_SPANS_SECONDS)


def open_tracing(endpoint: str) -> Tracing | None:
    """Traces to an OTLP collector; none without an endpoint here or in the variables."""
    if not endpoint and not any(os.environ.get(name) for name in VARIABLES):
        return None
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise InvalidInput("otel_endpoint", repr(endpoint), "a URL like http://127.0.0.1:4317")
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingDependency(error.name or "opentelemetry", "tracing", "otel") from error
    return Tracing(BatchSpanProcessor(OTLPSpanExporter(endpoint or None)))

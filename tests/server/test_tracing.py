"""Traces: one span for each pair, its phases within it, in the trace of the caller."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as collector_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as collector_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from crossfuse.errors import InvalidInput, MissingDependency
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.tracing import Tracing, open_tracing

Serve = Callable[..., Any]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(autouse=True)
def no_endpoint_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def traced(serve: Serve, stand_in: Any) -> tuple[Any, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()

    def action(ir: Any, vis: Any) -> Any:
        if ir[0, 0] == 13:
            raise ZeroDivisionError("a fault")
        return vis

    running = serve(stand_in(action))
    running.server.recorder.tracing = Tracing(SimpleSpanProcessor(exporter))
    return running, exporter


def trees(exporter: InMemorySpanExporter) -> list[tuple[ReadableSpan, list[ReadableSpan]]]:
    """Every span of a pair with its phases in order."""
    spans = exporter.get_finished_spans()
    roots = [span for span in spans if span.kind is SpanKind.SERVER]
    return [
        (
            root,
            sorted(
                (
                    span
                    for span in spans
                    if span.parent is not None
                    and root.context is not None
                    and span.parent.span_id == root.context.span_id
                ),
                key=lambda span: (span.start_time or 0, span.end_time or 0),
            ),
        )
        for root in roots
    ]


def length(span: ReadableSpan) -> int:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.end_time - span.start_time


def check_phases(root: ReadableSpan, phases: list[ReadableSpan]) -> None:
    """They follow each other without a gap, and sum to the whole."""
    assert {span.name for span in phases} <= {"decode", "queue", "infer", "encode"}
    assert (phases[0].start_time, phases[-1].end_time) == (root.start_time, root.end_time)
    for before, after in pairwise(phases):
        assert before.end_time == after.start_time
    assert sum(map(length, phases)) == pytest.approx(length(root), rel=0.05)


def test_a_call_with_its_phases(traced: tuple[Any, InMemorySpanExporter], make: Any) -> None:
    running, exporter = traced
    timings = running.fuse(make.request(request_id="not in a trace")).timings
    ((root, phases),) = trees(exporter)
    check_phases(root, phases)
    assert root.name == "crossfuse.v1.FusionService/Fuse"
    assert dict(root.attributes or {}) == {
        "crossfuse.model": "mean",
        "crossfuse.version": "1",
        "crossfuse.protocol": "grpc",
        "crossfuse.outcome": "OK",
        "crossfuse.batch_size": 1,
    }
    assert root.status.status_code is StatusCode.UNSET
    assert root.resource.attributes["service.name"] == "crossfuse"
    for name in ("decode", "queue", "infer", "encode"):
        spans = sum(length(span) for span in phases if span.name == name) / 1e3
        assert spans == pytest.approx(getattr(timings, f"{name}_us"), abs=2)


def test_the_callers_trace_goes_on(traced: tuple[Any, InMemorySpanExporter], make: Any) -> None:
    running, exporter = traced
    for flags in ("01", "00"):
        metadata = [("traceparent", f"00-{TRACE}-{PARENT}-{flags}")]
        running.stub.Fuse(make.request(), metadata=metadata)
    ((root, phases),) = trees(exporter)  # the second caller does not want to be traced
    assert root.context is not None
    assert root.parent is not None
    assert format(root.context.trace_id, "032x") == TRACE
    assert format(root.parent.span_id, "016x") == PARENT
    check_phases(root, phases)


def test_rubbish_in_place_of_a_trace(traced: tuple[Any, InMemorySpanExporter], make: Any) -> None:
    running, exporter = traced
    running.stub.Fuse(make.request(), metadata=[("traceparent", "x" * 200)])
    ((root, _),) = trees(exporter)
    assert root.parent is None


def test_frames_belong_to_the_trace_of_their_stream(
    traced: tuple[Any, InMemorySpanExporter], make: Any
) -> None:
    running, exporter = traced
    broken = make.ir()
    broken[0, 0] = 13
    messages = [pb.FuseStreamRequest(config=pb.StreamConfig(max_in_flight=4))]
    for number, ir in enumerate((make.ir(seed=5), broken)):
        frame = pb.StreamFrame(frame_id=number, ir=make.raw(ir), vis=make.raw(make.vis()))
        messages.append(pb.FuseStreamRequest(frame=frame))
    metadata = [("traceparent", f"00-{TRACE}-{PARENT}-01")]
    list(running.stub.FuseStream(iter(messages), metadata=metadata))
    found = trees(exporter)
    assert [root.name for root, _ in found] == ["crossfuse.v1.FusionService/FuseStream frame"] * 2
    for root, phases in found:
        check_phases(root, phases)
        assert root.context is not None
        assert format(root.context.trace_id, "032x") == TRACE
    good, bad = (root for root, _ in found)
    assert good.status.status_code is StatusCode.UNSET
    assert (bad.status.status_code, bad.status.description) == (StatusCode.ERROR, "INTERNAL")


def test_a_refusal_is_an_error(traced: tuple[Any, InMemorySpanExporter], make: Any) -> None:
    running, exporter = traced
    running.refusal(make.request(model=pb.ModelRef(name="nope")))
    ((root, phases),) = trees(exporter)
    check_phases(root, phases)
    assert (root.status.status_code, root.status.description) == (StatusCode.ERROR, "NOT_FOUND")
    assert "nope" not in root.to_json()


class Collector(collector_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by OpenTelemetry
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.names.extend(span.name for span in scope.spans)
        return collector_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    servicer = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    register: Any = collector_grpc.add_TraceServiceServicer_to_server  # has no annotations
    register(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"http://127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.mark.parametrize("way", ["setting", "variable"])
def test_spans_reach_a_collector_before_the_server_ends(
    way: str,
    collector: tuple[Collector, str],
    serve: Serve,
    stand_in: Any,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, endpoint = collector
    if way == "variable":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    running = serve(
        stand_in(lambda ir, vis: vis), otel_endpoint=endpoint if way == "setting" else ""
    )
    running.fuse(make.request())
    running.server.stop()
    assert "crossfuse.v1.FusionService/Fuse" in seen.names
    assert seen.names.count("infer") == 1


def test_without_an_endpoint_there_are_none(serve: Serve, stand_in: Any) -> None:
    assert open_tracing("") is None
    assert serve(stand_in(lambda ir, vis: vis)).server.recorder.tracing is None


def test_an_endpoint_that_is_no_url() -> None:
    with pytest.raises(InvalidInput, match=r"otel_endpoint: got 'host:4317'; valid: a URL like"):
        open_tracing("host:4317")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(MissingDependency, match=r"pip install 'crossfuse\[otel\]'"):
        open_tracing("http://127.0.0.1:4317")

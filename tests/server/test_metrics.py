"""What Prometheus is told: what was done, under names that stay few."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import fmean
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.metrics import render
from crossfuse_server.observations import BUCKETS, Observation, Observations

Serve = Callable[..., Any]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(running: Any) -> Samples:
    """Every sample of a server, as the official parser reads it."""
    found: Samples = {}
    for family in text_string_to_metric_families(render(running.server).decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


MEAN = {"model": "mean", "version": "1"}


@pytest.fixture
def used(serve: Serve, stand_in: Any, make: Any, eventually: Callable[..., None]) -> Any:
    """A server that was asked for good and bad things."""

    def action(ir: Any, vis: Any) -> Any:
        if ir[0, 0] == 13 and ir[0, 1] == 13:
            raise ZeroDivisionError("a fault")
        return vis

    running = serve(stand_in(action), max_in_flight=4)
    for _ in range(3):
        running.fuse(make.request())
    running.refusal(make.request(vis=pb.Image()))
    running.refusal(make.request(model=pb.ModelRef(name="nope")))
    broken = make.ir()
    broken[0, :2] = 13
    running.refusal(make.request(broken))
    eventually(lambda: running.health("other") == "SERVING")
    stream = running.stream(model=pb.ModelRef(name="other"))
    for number in (0, 1, 1):
        stream.frame(number, make.raw(make.ir()), make.raw(make.vis()))
    stream.half_close()
    answers, _ = stream.rest()
    assert [answer.WhichOneof("outcome") for answer in answers] == ["fused", "fused", "error"]
    return running


def test_pairs_by_model_protocol_and_outcome(used: Any) -> None:
    samples = samples_of(used)
    pairs = {
        (labels["model"], labels["protocol"], labels["outcome"]): count
        for (name, frozen), count in samples.items()
        if name == "crossfuse_pairs_total" and (labels := dict(frozen))
    }
    assert pairs == {
        ("mean", "grpc", "OK"): 3,
        ("mean", "grpc", "INVALID_ARGUMENT"): 1,
        ("mean", "grpc", "INTERNAL"): 1,
        ("", "grpc", "NOT_FOUND"): 1,
        ("other", "stream", "OK"): 2,
        ("other", "stream", "INVALID_ARGUMENT"): 1,
    }
    method = "/crossfuse.v1.FusionService/Fuse"
    assert value(samples, "crossfuse_calls_total", method=method, status="OK") == 3
    assert value(samples, "crossfuse_calls_total", method=method, status="NOT_FOUND") == 1


def test_the_histograms_hold_every_fused_pair_and_their_phases_sum_to_the_total(used: Any) -> None:
    samples = samples_of(used)
    names = ("decode", "queue", "infer", "encode", "pair")
    for labels, count in ((MEAN, 3), ({"model": "other", "version": "1"}, 2)):
        for name in names:
            metric = f"crossfuse_{name}_seconds"
            assert value(samples, f"{metric}_count", **labels) == count
            below = [
                number
                for (sample, frozen), number in samples.items()
                if sample == f"{metric}_bucket" and labels.items() <= dict(frozen).items()
            ]
            assert below == sorted(below)
            assert (len(below), below[-1]) == (len(BUCKETS) + 1, count)
        sums = [value(samples, f"crossfuse_{name}_seconds_sum", **labels) for name in names]
        assert sum(sums[:4]) == pytest.approx(sums[4], abs=1e-6)
        assert sums[4] > 0


def test_runs_models_and_the_process(used: Any) -> None:
    before = value(samples_of(used), "crossfuse_incidents_total")
    samples = samples_of(used)
    assert value(samples, "crossfuse_batch_size_count", **MEAN) == 3
    assert value(samples, "crossfuse_batch_size_sum", **MEAN) == 3
    assert value(samples, "crossfuse_batch_size_bucket", **MEAN, le="1") == 3
    assert value(samples, "crossfuse_engine_seconds_total", **MEAN) > 0
    assert value(samples, "crossfuse_model_state", **MEAN, state="serving") == 1
    assert value(samples, "crossfuse_model_state", **MEAN, state="failed") == 0
    assert value(samples, "crossfuse_model_engines", **MEAN) == 1
    assert value(samples, "crossfuse_pending_pairs", **MEAN) == 0
    assert value(samples, "crossfuse_serving") == 1
    assert before >= 1
    assert value(samples, "process_resident_memory_bytes") > 2**20
    assert value(samples, "crossfuse_held_bytes") == 0


def test_the_names_of_triton(used: Any) -> None:
    samples = samples_of(used)
    assert value(samples, "nv_inference_request_success", **MEAN) == 3
    assert value(samples, "nv_inference_request_failure", **MEAN, reason="BACKEND") == 1
    assert value(samples, "nv_inference_request_failure", **MEAN, reason="OTHER") == 1
    assert value(samples, "nv_inference_request_failure", **MEAN, reason="REJECTED") == 0
    assert value(samples, "nv_inference_count", **MEAN) == 3
    assert value(samples, "nv_inference_exec_count", **MEAN) == 3
    assert value(samples, "nv_inference_pending_request_count", **MEAN) == 0
    total, *parts = (
        value(samples, f"nv_inference_{name}_duration_us", **MEAN)
        for name in ("request", "queue", "compute_input", "compute_infer", "compute_output")
    )
    assert sum(parts) == pytest.approx(total, abs=5)


def test_what_waits_is_open_and_is_dropped(
    serve: Serve, gated: Any, make: Any, eventually: Callable[..., None]
) -> None:
    running = serve(gated, max_streams=5)
    stream = running.stream(max_in_flight=3, drop_policy=pb.DROP_POLICY_OLDEST)
    for number in range(8):
        stream.frame(number, make.raw(make.ir()), make.raw(make.vis()))
    gated.wait_for_picture()
    (inside,) = running.open_streams
    eventually(lambda: inside.counters.received == 8)
    eventually(lambda: running.waiting == 1)
    samples = samples_of(running)
    assert value(samples, "crossfuse_streams") == 1
    assert value(samples, "crossfuse_streams_limit") == 5
    assert value(samples, "crossfuse_calls_in_flight") == 1
    assert value(samples, "crossfuse_pending_pairs", **MEAN) == 1
    assert value(samples, "crossfuse_held_bytes") > 0
    gated.let_through()
    stream.half_close()
    answers, _ = stream.rest()
    dropped = sum(answer.WhichOneof("outcome") == "dropped" for answer in answers)
    samples = samples_of(running)
    overrun = value(samples, "crossfuse_dropped_frames_total", **MEAN, reason="overrun")
    assert overrun == dropped > 0
    assert value(samples, "crossfuse_streams") == 0


def test_frames_whose_stream_was_cancelled(
    serve: Serve, gated: Any, make: Any, eventually: Callable[..., None]
) -> None:
    running = serve(gated)
    stream = running.stream(max_in_flight=4)
    for number in range(3):
        stream.frame(number, make.raw(make.ir()), make.raw(make.vis()))
    eventually(lambda: bool(running.open_streams))
    (inside,) = running.open_streams
    eventually(lambda: inside.counters.received == 3)
    stream.end()

    def cancelled() -> int:
        requests = running.server.observations.requests()
        return sum(n for (*_, outcome), n in requests.items() if outcome == "CANCELLED")

    eventually(lambda: cancelled() == 3)


def test_what_callers_write_makes_no_label(server: Any, make: Any) -> None:
    for number in range(20):
        server.refusal(make.request(model=pb.ModelRef(name=f"model{number}", version="7")))
    labels = {
        (key, text) for _, frozen in samples_of(server) for key, text in frozen if key != "le"
    }
    assert {text for key, text in labels if key == "model"} == {"", "mean", "other"}
    assert {text for key, text in labels if key == "version"} <= {"", "1", "2"} | {
        text for key, text in labels if key == "version" and "." in text
    }


def test_only_what_is_a_model_is_counted_by_its_name() -> None:
    observations = Observations()
    observations.declare("known", "1")
    for model in ("known", "/etc/passwd"):
        observations.add(
            Observation(model=model, version="1", protocol="oip", outcome="NOT_FOUND", total=1.0)
        )
    assert {key: total.failed.total() for key, total in observations.totals().items()} == {
        ("known", "1"): 1,
        ("", ""): 1,
    }
    assert observations.totals()["known", "1"].failed_ns == 1_000_000_000


def test_two_servers_of_one_process_count_for_themselves(
    serve: Serve, stand_in: Any, make: Any
) -> None:
    first, second = (serve(stand_in(lambda ir, vis: vis)) for _ in range(2))
    first.fuse(make.request())
    counts = [
        value(samples_of(running), "crossfuse_pair_seconds_count", **MEAN)
        for running in (first, second)
    ]
    assert counts == [1, 0]


def test_a_model_that_fails_shows_it(
    serve: Serve, stand_in: Any, eventually: Callable[..., None]
) -> None:
    def open_engines(bundle: Any) -> list[Any]:
        if bundle.manifest.name == "other":
            raise ZeroDivisionError("cannot be opened")
        return [stand_in(lambda ir, vis: vis)]

    running = serve(open_engines=open_engines)
    other = {"model": "other", "version": "1"}
    eventually(
        lambda: value(samples_of(running), "crossfuse_model_state", **other, state="failed") == 1
    )
    assert value(samples_of(running), "crossfuse_model_engines", **other) == 0


def test_the_counters_agree_with_what_a_client_measures(
    serve: Serve, stand_in: Any, make: Any
) -> None:
    """As perf_analyzer compares them: the server's mean lies within the client's, and near it."""

    def slow(ir: Any, vis: Any) -> Any:
        time.sleep(0.1)
        return vis

    running = serve(stand_in(slow))
    request = make.request()
    running.fuse(request)
    for _ in range(5):  # a busy machine may stall on the client's side of a call
        before = running.server.observations.totals()["mean", "1"]
        seen = []
        for _ in range(4):
            started = time.monotonic()
            running.fuse(request)
            seen.append(time.monotonic() - started)
        after = running.server.observations.totals()["mean", "1"]
        assert after.succeeded - before.succeeded == 4
        assert after.executions - before.executions == 4
        mean = (after.total_ns - before.total_ns) / 4e9
        assert 0.1 <= mean <= fmean(seen)
        if mean >= 0.9 * fmean(seen):
            return
    pytest.fail(f"the server says {mean:.3f} s, the client {fmean(seen):.3f} s")


def test_a_refusal_before_the_message_counts_too(serve: Serve, gated: Any, make: Any) -> None:
    running = serve(gated, memory_limit_mb=1)
    call = running.stub.Fuse.future(make.request())
    gated.wait_for_picture()
    status = running.refusal(make.request())
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    samples = samples_of(running)
    nobody = {"model": "", "version": "", "protocol": "grpc", "outcome": "RESOURCE_EXHAUSTED"}
    assert value(samples, "crossfuse_pairs_total", **nobody) == 1
    gated.let_through()
    call.result()

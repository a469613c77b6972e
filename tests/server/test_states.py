"""Loading, serving, draining: what callers are told, and what becomes of their calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from crossfuse.client import FusionClient, ModelFailed
from crossfuse.errors import BundleError, CrossFuseError, InvalidInput
from crossfuse.v1 import fusion_pb2 as pb

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.value[0]
SERVICES = ["crossfuse.v1.FusionService", "grpc.health.v1.Health"]

Serve = Callable[..., Any]
Eventually = Callable[..., None]


class Loader:
    """Opens engines when the test says so."""

    def __init__(self, stand_in: Any) -> None:
        self.may_open = {"mean:1": threading.Event(), "other:1": threading.Event()}
        self.opened: list[str] = []
        self.engine = stand_in(lambda ir, vis: vis)

    def __call__(self, bundle: Any) -> list[Any]:
        if bundle.reference in self.may_open:
            assert self.may_open[bundle.reference].wait(60)
        self.opened.append(bundle.reference)
        return [self.engine]

    def open_all(self) -> None:
        for event in self.may_open.values():
            event.set()


@pytest.fixture
def loader(stand_in: Any) -> Any:
    made = Loader(stand_in)
    yield made
    made.open_all()


def test_the_port_answers_before_models_are_warm(
    serve: Serve, loader: Loader, make: Any, eventually: Eventually
) -> None:
    running = serve(open_engines=loader, wait=False)
    assert running.info().state == pb.SERVING_STATE_LOADING
    assert running.health() == running.health(SERVICES[0]) == "NOT_SERVING"
    status = running.refusal(make.request())
    assert (status.code, status.message) == (UNAVAILABLE, "model: mean:1 is still loading")
    stream = running.stream()
    answers, status = stream.rest()
    assert (answers, status.code) == ([], UNAVAILABLE)
    assert loader.opened == []

    loader.may_open["mean:1"].set()
    eventually(lambda: running.health() == "SERVING")
    assert running.health(SERVICES[0]) == "SERVING"
    assert running.info().state == pb.SERVING_STATE_SERVING
    assert running.fuse(make.request()).model.version == "1"


def test_the_others_load_after_the_default_and_say_so(
    serve: Serve, loader: Loader, make: Any, eventually: Eventually
) -> None:
    loader.may_open["mean:1"].set()
    running = serve(open_engines=loader)
    eventually(lambda: loader.opened == ["mean:1", "mean:2"])
    models = {f"{m.model.name}:{m.model.version}": m for m in running.info().models}
    assert list(models) == ["mean:1", "mean:2", "other:1"]
    assert [m.is_default for m in models.values()] == [True, False, False]
    assert models["other:1"].state == pb.SERVING_STATE_LOADING
    status = running.refusal(make.request(model=pb.ModelRef(name="other")))
    assert (status.code, status.message) == (UNAVAILABLE, "model: other:1 is still loading")
    loader.open_all()
    eventually(lambda: running.info().models[2].state == pb.SERVING_STATE_SERVING)
    assert running.fuse(make.request(model=pb.ModelRef(name="other"))).model.name == "other"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BundleError("other: sha256 is 1, but the manifest says 2"), "sha256 is 1, but the"),
        (RuntimeError("out of luck"), "RuntimeError: out of luck"),
    ],
)
def test_another_model_that_cannot_be_loaded(
    error: Exception, told: str, serve: Serve, stand_in: Any, make: Any, eventually: Eventually
) -> None:
    def open_engines(bundle: Any) -> list[Any]:
        if bundle.manifest.name == "other":
            raise error
        return [stand_in(lambda ir, vis: vis)]

    running = serve(open_engines=open_engines)
    eventually(lambda: running.info().models[2].state == pb.SERVING_STATE_FAILED)
    assert told in running.info().models[2].message
    status = running.refusal(make.request(model=pb.ModelRef(name="other")))
    assert status.code == UNAVAILABLE
    assert status.message.startswith("model: other:1 could not be loaded: ")
    assert told in status.message
    assert running.health() == "SERVING"
    assert running.fuse(make.request()).fused.height == 48
    # Waiting will not mend it: the client tries as often as it was told, and no longer.
    client = FusionClient(running.address, retries=1)
    with client, pytest.raises(ModelFailed, match="could not be loaded"):
        client.fuse(make.ir(), make.vis(), model="other", timeout=1e6)


@pytest.mark.parametrize("error", [BundleError("damaged"), RuntimeError("out of luck")])
def test_a_default_model_that_cannot_be_loaded_ends_the_server(
    error: Exception, serve: Serve
) -> None:
    def open_engines(bundle: Any) -> list[Any]:
        raise error

    running = serve(open_engines=open_engines, wait=False)
    with pytest.raises(CrossFuseError, match=str(error)):
        running.server.wait()


def test_information(serve: Serve, eventually: Eventually) -> None:
    running = serve(max_queue=7, max_in_flight=5, max_pixels=4096)
    eventually(lambda: all(m.state == pb.SERVING_STATE_SERVING for m in running.info().models))
    info = running.info()
    assert info.limits == pb.ServerLimits(
        max_pixels=4096,
        max_message_bytes=4096 * 5 + 65536,
        max_queue=7,
        max_in_flight=5,
        max_queue_bytes=2**30,
    )
    assert info.version
    assert info.runtime.startswith("onnxruntime 1.")
    assert info.uptime_s > 0
    assert list(info.models) == list(running.stub.ListModels(pb.ListModelsRequest()).models)
    first = info.models[0]
    assert (first.architecture, first.precision, first.provider) == (
        "mean",
        "fp32",
        "CPUExecutionProvider",
    )
    assert list(first.devices) == ["cpu"]
    assert len(first.sha256) == 64
    assert first.minimum_size == 32


def test_health_of_an_unknown_service(server: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.health("crossfuse.v2.FusionService")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_is_told_to_watchers(serve: Serve, loader: Loader) -> None:
    running = serve(open_engines=loader, wait=False)
    stub = health_pb2_grpc.HealthStub(running.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    loader.may_open["mean:1"].set()
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    drain = threading.Thread(target=running.server.drain)
    drain.start()
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    loader.open_all()
    drain.join(60)


def test_reflection(server: Any) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    request = reflection_pb2.ServerReflectionRequest
    questions = [request(list_services=""), request(file_containing_symbol=SERVICES[0])]
    listed, described = stub.ServerReflectionInfo(iter(questions), timeout=60)
    names = [service.name for service in listed.list_services_response.service]
    assert set(SERVICES) <= set(names)
    assert any(
        b"FuseStream" in file for file in described.file_descriptor_response.file_descriptor_proto
    )


def test_draining_finishes_what_is_in_flight(
    serve: Serve, gated: Any, make: Any, eventually: Eventually
) -> None:
    running = serve(gated)
    inside = running.stub.Fuse.future(make.request(), timeout=60)
    gated.wait_for_picture()
    waiting = running.stub.Fuse.future(make.request(), timeout=60)
    eventually(lambda: running.waiting == 1)
    drain = threading.Thread(target=running.server.drain)
    drain.start()
    eventually(lambda: running.info().state == pb.SERVING_STATE_DRAINING)
    eventually(lambda: running.health() == running.health(SERVICES[0]) == "NOT_SERVING")
    status = running.refusal(make.request())
    assert (status.code, status.message) == (
        UNAVAILABLE,
        "the server is draining; valid: another server",
    )
    _, status = running.stream().rest()
    assert status.code == UNAVAILABLE
    gated.let_through()
    assert inside.result().fused.height == waiting.result().fused.height == 48
    drain.join(60)
    running.server.wait()


def test_draining_ends_streams_after_their_answers(
    serve: Serve, gated: Any, make: Any, eventually: Eventually
) -> None:
    running = serve(gated)
    idle, busy, closed = (running.stream(max_in_flight=3) for _ in range(3))
    silence = threading.Event()
    unopened = running.stub.FuseStream(iter(silence.wait, True), timeout=60)
    ir, vis = make.raw(make.ir()), make.raw(make.vis())
    for stream in (busy, closed):
        for number in range(3):
            stream.frame(number, ir, vis)
    closed.half_close()
    eventually(lambda: running.stream_count == 4)
    eventually(lambda: sorted(s.counters.received for s in running.open_streams) == [0, 3, 3])
    eventually(lambda: any(s._complete for s in running.open_streams))
    drain = threading.Thread(target=running.server.drain)
    drain.start()
    answers, status = idle.rest()
    assert (answers, status.code) == ([], UNAVAILABLE)
    with pytest.raises(grpc.RpcError) as caught:
        next(unopened)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    silence.set()
    gated.let_through()
    answers, status = busy.rest()
    assert [answer.frame_id for answer in answers] == [0, 1, 2]
    assert {answer.WhichOneof("outcome") for answer in answers} == {"fused"}
    assert status.code == UNAVAILABLE
    assert "draining" in status.message
    assert "another server" in status.message
    answers, status = closed.rest()
    assert len(answers) == 3
    assert status.code == 0, "all that was sent is answered: nothing is wrong"
    drain.join(60)
    running.server.wait()


def test_draining_does_not_wait_for_ever(serve: Serve, gated: Any, make: Any) -> None:
    running = serve(gated, drain_seconds=0.1)
    stuck = running.stub.Fuse.future(make.request(), timeout=60)
    gated.wait_for_picture()
    drain = threading.Thread(target=running.server.drain)
    drain.start()
    assert stuck.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    gated.let_through()
    drain.join(60)
    running.server.wait()


def test_a_server_that_stops_while_it_loads(
    serve: Serve, loader: Loader, eventually: Eventually
) -> None:
    """The engine that comes too late is closed, and no other is opened."""
    before = [thread.name for thread in threading.enumerate()]
    running = serve(open_engines=loader, wait=False)
    running.server.drain()
    running.server.wait()
    loader.open_all()
    eventually(lambda: loader.engine.closed)
    eventually(lambda: "load-models" not in [thread.name for thread in threading.enumerate()])
    assert loader.opened == ["mean:1"]
    after = [thread.name for thread in threading.enumerate()]
    assert after.count("infer-mean:1-0") == before.count("infer-mean:1-0")


def test_a_port_in_use(serve: Serve) -> None:
    first = serve()
    with pytest.raises(
        InvalidInput, match=r"port: got 127\.0\.0\.1:\d+; valid: .* a port that is free"
    ):
        serve(port=first.server.port)
    assert first.health() == "SERVING"


def test_ipv6(serve: Serve, make: Any) -> None:
    running = serve(host="::1", wait=False)
    with grpc.insecure_channel(f"[::1]:{running.server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), timeout=60, wait_for_ready=True)


def test_files_that_are_no_certificate(serve: Serve, tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    pem.write_text("garbage", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"tls_cert and tls_key: got .*server.pem"):
        serve(tls_cert=pem, tls_key=pem)

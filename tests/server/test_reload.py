"""Models come, change and go while calls go on: by signal, by call, and by watching folders."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from crossfuse.bundles import Bundle
from crossfuse.client import FusionClient
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_bench.reload import BROKEN_RELOADS, ReloadUnderLoad, share_of
from crossfuse_server.observations import MOST_GONE

Serve = Callable[..., Any]
Eventually = Callable[..., None]

REQUESTS, RELOADS = 1500, 20
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
ADMIN = (("authorization", "Bearer admin-token"),)


@pytest.fixture
def folder(tmp_path: Path, write_bundle: Callable[..., Path]) -> Path:
    """A folder with one bundle, mean:1, that gives a tenth of the infrared."""
    models = tmp_path / "models"
    write_bundle(models, "mean", 1, 0.1)
    return models


@pytest.fixture
def serve_folder(serve: Serve, folder: Path) -> Serve:
    """Serves that folder; the default model is whichever version of mean is the highest."""
    return lambda **settings: serve(**{"models": folder, "default_model": "mean", **settings})


@pytest.fixture
def admin(serve_folder: Serve, tmp_path: Path) -> Any:
    """A server that may be told what to serve."""
    tokens = tmp_path / "admin-tokens"
    tokens.write_text("admin-token\n", encoding="utf-8")
    running = serve_folder(admin_token_file=tokens)
    stub: Any = fusion_pb2_grpc.AdminServiceStub
    running.admin = stub(running.channel)
    return running


def level(running: Any, make: Any, **fields: Any) -> tuple[str, int]:
    """The version that answers, and the grey level it makes of infrared 200 and visible 0."""
    ir, vis = np.full((32, 32), 200, np.uint8), np.zeros((32, 32, 3), np.uint8)
    answer = running.fuse(make.request(ir, vis, **fields))
    return answer.model.version, int(make.pixels(answer.fused)[0, 0, 0])


def damage(bundle: Path) -> None:
    """What a half-written copy leaves."""
    (bundle / "model.fp32.onnx").write_bytes(b"half")


def test_no_call_fails_and_none_gets_the_wrong_model(
    serve: Serve, tmp_path: Path, write_bundle: Callable[..., Path]
) -> None:
    """Real engines; the full number of requests is `python -m crossfuse_bench.reload`."""
    models = tmp_path / "models"

    def write(models: Path, version: int, share: float) -> None:
        write_bundle(models, "blend", version, share)

    write(models, 1, share_of(1))
    running = serve(models=models, default_model="blend")
    outcome = ReloadUnderLoad(running.server, models, write).run(REQUESTS, RELOADS)
    assert (outcome.failures, outcome.wrong) == ([], [])
    assert outcome.answers >= REQUESTS
    assert (outcome.reloads, outcome.broken) == (RELOADS, len(BROKEN_RELOADS))
    assert len(outcome.by_version) > RELOADS // 2, "the versions did answer"
    assert max(outcome.by_version) == RELOADS + 1


def test_a_broken_new_version_leaves_the_old_one_serving(
    serve_folder: Serve, folder: Path, make: Any, write_bundle: Callable[..., Path]
) -> None:
    running = serve_folder()
    damage(write_bundle(folder, "mean", 2, 0.5))
    changes = running.server.host.reload()
    assert changes.loaded == []
    (failure,) = changes.failures
    assert "sha256" in failure
    assert level(running, make) == ("1", 20)
    info = running.info()
    assert [m.state for m in info.models] == [pb.SERVING_STATE_SERVING, pb.SERVING_STATE_FAILED]
    assert [m.is_default for m in info.models] == [True, False]
    assert any("mean:2" in warning and "sha256" in warning for warning in info.warnings)
    assert running.health() == running.health("mean") == running.health("mean:1") == "SERVING"
    assert running.health("mean:2") == "NOT_SERVING"
    status = running.refusal(make.request(model=pb.ModelRef(name="mean", version="2")))
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    with FusionClient(running.address) as client:
        assert client.server_info().warnings == tuple(info.warnings)
    shutil.rmtree(folder / "mean" / "2")
    write_bundle(folder, "mean", 2, 0.5)
    assert running.server.host.reload().loaded == ["mean:2"]
    assert level(running, make) == ("2", 100)
    assert list(running.info().warnings) == []


def test_a_bundle_that_changes_in_its_place(
    serve_folder: Serve, folder: Path, make: Any, write_bundle: Callable[..., Path]
) -> None:
    running = serve_folder()
    shutil.rmtree(folder / "mean" / "1")
    damage(write_bundle(folder, "mean", 1, 0.5))
    running.server.host.reload()
    assert level(running, make) == ("1", 20)
    (model,) = running.info().models
    assert model.state == pb.SERVING_STATE_SERVING
    assert model.message.startswith("a newer bundle could not be loaded in its place: ")
    shutil.rmtree(folder / "mean" / "1")
    write_bundle(folder, "mean", 1, 0.5)
    assert running.server.host.reload().loaded == ["mean:1"]
    assert level(running, make) == ("1", 100)
    assert running.info().models[0].message == ""


def test_what_did_not_change_is_not_loaded_again(serve_folder: Serve) -> None:
    running = serve_folder()
    before = running.server.host.default
    changes = running.server.host.reload()
    assert (changes.loaded, changes.unloaded, changes.failures) == ([], [], [])
    assert running.server.host.default is before


def test_a_version_that_goes_while_it_is_used(
    serve: Serve,
    folder: Path,
    gated: Any,
    stand_in: Any,
    make: Any,
    eventually: Eventually,
    write_bundle: Callable[..., Path],
) -> None:
    """The call that has it gets its answer; the next one gets the version that is left."""
    write_bundle(folder, "mean", 2, 0.5)
    quick = stand_in(lambda ir, vis: vis)

    def open_engines(bundle: Bundle) -> list[Any]:
        return [gated if bundle.manifest.version == 2 else quick]

    running = serve(models=folder, default_model="mean", open_engines=open_engines)
    eventually(lambda: running.health("mean:1") == "SERVING")
    inside = running.stub.Fuse.future(make.request(), timeout=60)
    gated.wait_for_picture()
    shutil.rmtree(folder / "mean" / "2")
    assert running.server.host.reload().unloaded == ["mean:2"]
    assert running.fuse(make.request()).model.version == "1"
    assert not gated.closed
    gated.let_through()
    assert inside.result().model.version == "2"
    eventually(lambda: gated.closed)


def test_the_last_default_model_stays(serve_folder: Serve, folder: Path, make: Any) -> None:
    running = serve_folder()
    shutil.rmtree(folder / "mean")
    assert running.server.host.reload().unloaded == []
    assert level(running, make) == ("1", 20)
    assert list(running.info().warnings) == ["mean:1: its bundle is gone"]


def test_a_stream_goes_over_to_the_new_version(
    serve_folder: Serve, folder: Path, make: Any, write_bundle: Callable[..., Path]
) -> None:
    running = serve_folder()
    stream = running.stream()
    ir, vis = make.raw(make.ir()), make.raw(make.vis())
    stream.frame(1, ir, vis)
    assert stream.answer().fused.model.version == "1"
    write_bundle(folder, "mean", 2, 0.5)
    running.server.host.reload()
    stream.frame(2, ir, vis)
    assert stream.answer().fused.model.version == "2"
    stream.half_close()
    assert stream.rest()[1].code == 0


def test_folders_that_are_watched(
    serve_folder: Serve,
    folder: Path,
    make: Any,
    eventually: Eventually,
    write_bundle: Callable[..., Path],
) -> None:
    running = serve_folder(watch_seconds=0.05)
    write_bundle(folder, "mean", 2, 0.5)
    eventually(lambda: level(running, make) == ("2", 100))
    shutil.rmtree(folder / "mean" / "2")
    eventually(lambda: level(running, make) == ("1", 20))


def test_the_admin_loads_and_unloads(
    admin: Any, folder: Path, make: Any, write_bundle: Callable[..., Path]
) -> None:
    write_bundle(folder, "mean", 2, 0.5)
    loaded = admin.admin.LoadModel(pb.LoadModelRequest(), metadata=ADMIN, timeout=60).model
    assert loaded.model == pb.ModelRef(name="mean", version="2")
    assert loaded.is_default
    assert level(admin, make) == ("2", 100)
    second = pb.ModelRef(name="mean", version="2")
    admin.admin.UnloadModel(pb.UnloadModelRequest(model=second), metadata=ADMIN, timeout=60)
    assert level(admin, make) == ("1", 20)
    again = admin.admin.ReloadModels(pb.ReloadModelsRequest(), metadata=ADMIN, timeout=60)
    assert list(again.loaded) == [second]
    damage(write_bundle(folder, "mean", 3, 0.5))
    with pytest.raises(grpc.RpcError) as caught:
        admin.admin.LoadModel(pb.LoadModelRequest(), metadata=ADMIN, timeout=60)
    assert caught.value.code() is FAILED_PRECONDITION
    assert "mean:3 could not be loaded" in str(caught.value.details())
    assert level(admin, make) == ("2", 100)


def test_the_admin_cannot_take_the_last_default_away(admin: Any, make: Any) -> None:
    with pytest.raises(grpc.RpcError, match="the last default model"):
        admin.admin.UnloadModel(pb.UnloadModelRequest(), metadata=ADMIN, timeout=60)
    unknown = pb.UnloadModelRequest(model=pb.ModelRef(name="nope"))
    with pytest.raises(grpc.RpcError) as caught:
        admin.admin.UnloadModel(unknown, metadata=ADMIN, timeout=60)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert level(admin, make) == ("1", 20)


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer other"),)])
def test_who_is_no_admin(metadata: Any, admin: Any, make: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        admin.admin.ReloadModels(pb.ReloadModelsRequest(), metadata=metadata, timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert level(admin, make) == ("1", 20), "to fuse pictures nobody needs a token here"


def test_without_admin_tokens_there_is_no_admin(serve_folder: Serve) -> None:
    stub: Any = fusion_pb2_grpc.AdminServiceStub
    with pytest.raises(grpc.RpcError) as caught:
        stub(serve_folder().channel).ReloadModels(
            pb.ReloadModelsRequest(), metadata=ADMIN, timeout=60
        )
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_reload_while_the_server_stops(
    serve_folder: Serve, folder: Path, stand_in: Any, write_bundle: Callable[..., Path]
) -> None:
    """What comes too late is closed."""
    opened, go = threading.Event(), threading.Event()
    late = stand_in(lambda ir, vis: vis)

    def open_engines(bundle: Bundle) -> list[Any]:
        if bundle.manifest.version == 1:
            return [stand_in(lambda ir, vis: vis)]
        opened.set()
        assert go.wait(60)
        return [late]

    running = serve_folder(open_engines=open_engines)
    write_bundle(folder, "mean", 2, 0.5)
    reload = threading.Thread(target=running.server.host.reload)
    reload.start()
    assert opened.wait(60)
    running.server.stop()
    go.set()
    reload.join(60)
    assert late.closed


def test_versions_that_come_and_go_leave_no_counters_behind(
    serve_folder: Serve, folder: Path, write_bundle: Callable[..., Path], make: Any
) -> None:
    running = serve_folder()
    server = running.server
    for version in range(2, MOST_GONE + 10):
        write_bundle(folder, "mean", version, 0.1)
        shutil.rmtree(folder / "mean" / str(version - 1))
        server.host.reload()
        assert level(running, make)[0] == str(version)
    counted = {version for name, version in server.observations.totals() if name}
    assert counted == {str(version - n) for n in range(MOST_GONE + 1)}
    assert {key[1] for key in server.observations.requests() if key[0]} == counted
    last = server.observations.totals()["mean", str(version)]
    assert (last.succeeded, last.executions) == (1, 1)


def test_a_version_that_comes_back_keeps_its_counters(
    serve_folder: Serve, folder: Path, write_bundle: Callable[..., Path], make: Any
) -> None:
    running = serve_folder()
    server = running.server
    level(running, make)
    write_bundle(folder, "mean", 2, 0.1)
    server.host.reload()
    server.host.unload_one("mean", "1")
    server.host.load_one("mean", "1")
    for version in range(3, MOST_GONE + 4):
        write_bundle(folder, "mean", version, 0.1)
        server.host.reload()
        server.host.unload_one("mean", str(version))
    assert server.observations.totals()["mean", "1"].succeeded == 1

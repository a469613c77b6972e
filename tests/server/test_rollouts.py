"""New versions that are broken while the old ones are already gone: what served serves on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_server.metrics import render

Serve = Callable[..., Any]
Eventually = Callable[..., None]
WriteBundle = Callable[..., Path]

ADMIN = (("authorization", "Bearer admin-token"),)


@pytest.fixture
def folder(tmp_path: Path, write_bundle: WriteBundle) -> Path:
    """A folder with mean:1 and other:1, which give a tenth and a fifth of the infrared."""
    models = tmp_path / "models"
    write_bundle(models, "mean", 1, 0.1)
    write_bundle(models, "other", 1, 0.2)
    return models


@pytest.fixture
def running(serve: Serve, folder: Path, tmp_path: Path, eventually: Eventually) -> Any:
    """A server of both, with mean as the default, that may be told what to serve."""
    tokens = tmp_path / "admin-tokens"
    tokens.write_text("admin-token\n", encoding="utf-8")
    tokens.chmod(0o600)
    running = serve(models=folder, default_model="mean", admin_token_file=tokens)
    eventually(lambda: running.health("other") == "SERVING")
    stub: Any = fusion_pb2_grpc.AdminServiceStub
    running.admin = stub(running.channel)
    return running


def level(running: Any, make: Any, name: str) -> tuple[str, int]:
    """The version that answers, and the grey level it makes of infrared 200 and visible 0."""
    ir, vis = np.full((32, 32), 200, np.uint8), np.zeros((32, 32, 3), np.uint8)
    answer = running.fuse(make.request(ir, vis, model=pb.ModelRef(name=name)))
    return answer.model.version, int(make.pixels(answer.fused)[0, 0, 0])


def damage_model(bundle: Path) -> None:
    (bundle / "model.fp32.onnx").write_bytes(b"half")


def damage_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize("damage", [damage_model, damage_manifest])
@pytest.mark.parametrize(("name", "before"), [("mean", 20), ("other", 40)])
def test_a_broken_version_in_the_place_of_the_old_one(
    name: str,
    before: int,
    damage: Callable[[Path], None],
    running: Any,
    folder: Path,
    make: Any,
    write_bundle: WriteBundle,
) -> None:
    damage(write_bundle(folder, name, 2, 0.5))
    shutil.rmtree(folder / name / "1")
    changes = running.server.host.reload()
    assert (changes.loaded, changes.unloaded, len(changes.failures)) == ([], [], 1)
    assert level(running, make, name) == ("1", before)
    assert running.health(name) == running.health() == "SERVING"
    warnings = list(running.info().warnings)
    assert f"{name}:1: its bundle is gone" in warnings
    assert len(warnings) == 2
    assert b"\ncrossfuse_warnings 2.0\n" in render(running.server)
    shutil.rmtree(folder / name / "2")
    write_bundle(folder, name, 2, 0.5)
    changes = running.server.host.reload()
    assert (changes.loaded, changes.unloaded) == ([f"{name}:2"], [f"{name}:1"])
    assert level(running, make, name) == ("2", 100)
    assert list(running.info().warnings) == []
    assert b"\ncrossfuse_warnings 0.0\n" in render(running.server)


def test_only_the_newest_of_what_is_gone_stays(
    running: Any, folder: Path, make: Any, write_bundle: WriteBundle
) -> None:
    write_bundle(folder, "other", 2, 0.4)
    running.server.host.reload()
    damage_model(write_bundle(folder, "other", 3, 0.5))
    for version in ("1", "2"):
        shutil.rmtree(folder / "other" / version)
    assert running.server.host.reload().unloaded == ["other:1"]
    assert level(running, make, "other") == ("2", 80)


def test_a_name_without_any_bundle_goes(running: Any, folder: Path, make: Any) -> None:
    shutil.rmtree(folder / "other")
    assert running.server.host.reload().unloaded == ["other:1"]
    status = running.refusal(make.request(model=pb.ModelRef(name="other")))
    assert status.code == grpc.StatusCode.NOT_FOUND.value[0]


def test_the_admin_cannot_leave_a_broken_default_alone(
    running: Any, folder: Path, make: Any, write_bundle: WriteBundle
) -> None:
    damage_model(write_bundle(folder, "mean", 2, 0.5))
    broken, working = (pb.ModelRef(name="mean", version=version) for version in ("2", "1"))
    with pytest.raises(grpc.RpcError) as caught:
        running.admin.LoadModel(pb.LoadModelRequest(model=broken), timeout=60, metadata=ADMIN)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError) as caught:
        running.admin.UnloadModel(pb.UnloadModelRequest(model=working), timeout=60, metadata=ADMIN)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "mean:1, the last default model that could be loaded" in str(caught.value.details())
    assert level(running, make, "mean") == ("1", 20)
    running.admin.UnloadModel(pb.UnloadModelRequest(model=broken), timeout=60, metadata=ADMIN)
    assert [m.model for m in running.info().models if m.model.name == "mean"] == [working]


def test_a_folder_that_is_gone_for_a_moment(
    serve: Serve, folder: Path, make: Any, write_bundle: WriteBundle, eventually: Eventually
) -> None:
    """As while it is exchanged for another one; who watches it sees what comes after."""
    running = serve(models=folder, default_model="mean", watch_seconds=0.05)
    eventually(lambda: running.health("other") == "SERVING")
    away = folder.rename(folder.with_name("away"))
    eventually(lambda: len(running.info().warnings) == 1, "the server says so")
    (warning,) = running.info().warnings
    assert "models: got" in warning
    assert level(running, make, "other") == ("1", 40)
    write_bundle(away, "other", 2, 0.5)
    away.rename(folder)
    eventually(lambda: level(running, make, "other") == ("2", 100), "the new version serves")
    assert list(running.info().warnings) == []

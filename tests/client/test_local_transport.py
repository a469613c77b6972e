"""A function in place of a server: what users test their programs with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import crossfuse.aio
import crossfuse.client
from crossfuse.client import (
    FusionClient,
    IncompatibleServer,
    InvalidRequest,
    LocalTransport,
    ServerBusy,
    UnknownModel,
)
from crossfuse.errors import BundleError, ModelNotFound
from crossfuse.fuser import Fuser
from crossfuse.images import HeldMapping, LinearMapping


@pytest.fixture
def local(fuser: Fuser) -> Iterator[FusionClient]:
    with FusionClient(transport=LocalTransport(fuser.fuse)) as client:
        yield client


@pytest.mark.parametrize("encoding", ["raw", "png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_loaded_model_answers(
    local: FusionClient, fuser: Fuser, picture: Any, channels: int, encoding: str
) -> None:
    ir, vis = picture(40, 72, dtype=np.uint16), picture(channels=channels)
    options: dict[str, Any] = {
        "homography": [1.0, 0, 4, 0, 1, -3, 0, 0, 1],
        "ir_mapping": "linear:9:40000",
        "ir_polarity": "black-hot",
    }
    fused = local.fuse(ir, vis, encoding=encoding, **options)
    np.testing.assert_array_equal(fused, fuser.fuse(ir, vis, **options))


@pytest.mark.parametrize("encoding", ["jpeg", "webp"])
def test_lossy_encodings_are_played_through(
    local: FusionClient, picture: Any, encoding: str
) -> None:
    grey = picture()
    assert local.fuse(grey, grey, encoding=encoding).shape == grey.shape


def test_a_fake_sees_what_was_asked_for(ir: Any, vis: Any) -> None:
    seen: list[dict[str, Any]] = []

    def fake(ir: Any, vis: Any, **options: Any) -> Any:
        seen.append(options)
        return vis

    client = FusionClient(transport=LocalTransport(fake))
    assert client.fuse_with_details(ir, vis, model="any:7").model == "any:7"
    client.fuse(ir, vis, ir_mapping="linear:1:2", homography=np.eye(3))
    assert seen[0]["homography"] is None
    assert (seen[0]["ir_polarity"], str(seen[0]["ir_mapping"])) == ("white-hot", "percentile:1:99")
    assert seen[1]["ir_mapping"] == LinearMapping(1, 2)
    np.testing.assert_array_equal(seen[1]["homography"], np.eye(3))


def test_streams_hold_the_mapping_and_the_order(
    local: FusionClient, fuser: Fuser, picture: Any, vis: Any
) -> None:
    infrared = [picture(seed=seed, dtype=np.uint16) // (1 + seed) for seed in range(3)]
    held = HeldMapping()
    results = list(local.stream([*((ir, vis) for ir in infrared), (infrared[0][:9], vis)]))
    for ir, result in zip(infrared, results, strict=False):
        np.testing.assert_array_equal(result.image, fuser.fuse(held.apply(ir), vis))
    assert [result.frame_id for result in results] == [0, 1, 2, 3]
    assert str(results[3].error).startswith("ir: got 64x9 while vis is 64x48")


def test_errors_arrive_as_a_server_would_send_them(
    local: FusionClient, picture: Any, ir: Any, vis: Any
) -> None:
    tiny = picture(8, 8)
    with pytest.raises(InvalidRequest, match="at least 32 pixels"):
        local.fuse(tiny, tiny)

    def fail(error: Exception) -> FusionClient:
        def fake(ir: Any, vis: Any, **options: Any) -> Any:
            raise error

        return FusionClient(transport=LocalTransport(fake), retries=0)

    with pytest.raises(UnknownModel, match="none here"):
        fail(ModelNotFound("none here")).fuse(ir, vis)
    busy = ServerBusy("full", retry_after=3)
    with pytest.raises(ServerBusy) as caught:
        fail(busy).fuse(ir, vis)
    assert caught.value is busy
    (result,) = fail(busy).stream([(ir, vis)])
    assert type(result.error) is ServerBusy
    with pytest.raises(crossfuse.client.ServerFault, match="FAILED_PRECONDITION"):
        fail(BundleError("damaged")).fuse(ir, vis)


@pytest.mark.parametrize("wrong", [np.zeros((48, 64)), np.zeros((9, 9), np.uint8), None])
def test_a_fake_that_gives_no_fitting_picture_is_found_out(ir: Any, vis: Any, wrong: Any) -> None:
    client = FusionClient(transport=LocalTransport(lambda ir, vis, **options: wrong))
    with pytest.raises(IncompatibleServer, match="fused"):
        client.fuse(ir, vis)


def test_it_is_healthy_and_has_no_models(local: FusionClient) -> None:
    assert (local.health(), local.models()) == ("serving", [])


@pytest.mark.parametrize("package", [crossfuse.client, crossfuse.aio])
def test_all_is_sorted_and_true(package: Any) -> None:
    assert package.__all__ == sorted(package.__all__)
    for name in package.__all__:
        assert hasattr(package, name)


def test_a_client_loads_no_runtime() -> None:
    code = "import sys, crossfuse.client, crossfuse.aio; print('onnxruntime' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert printed.stdout.strip() == "False"

"""The service on a Ray cluster answers as the server of one machine does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crossfuse.client import AccessDenied, FusionClient, InvalidRequest, UnknownModel
from crossfuse.fuser import Fuser, load
from crossfuse_server.ray_serve.door import FUSE, FUSE_STREAM

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def client(service: Any) -> Iterator[FusionClient]:
    """A client of two replicas."""
    service.deploy(num_replicas=2)
    with FusionClient(service.address, timeout=60) as opened:
        yield opened


def pair(seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (64, 64), np.uint8), random.integers(
        0, 256, (64, 64, 3), np.uint8
    )


def test_a_pair_is_fused_bit_for_bit(client: FusionClient, fuser: Fuser) -> None:
    for seed in range(10):
        np.testing.assert_array_equal(client.fuse(*pair(seed)), fuser.fuse(*pair(seed)))


def test_the_shipped_model_is_fused_bit_for_bit(client: FusionClient) -> None:
    with load("crossfuse-rt", threads=1) as here:
        fused = client.fuse(*pair(1), model="crossfuse-rt")
        np.testing.assert_array_equal(fused, here.fuse(*pair(1)))


def test_a_stream_keeps_its_order(client: FusionClient, fuser: Fuser) -> None:
    results = list(client.stream(pair(seed) for seed in range(40)))
    assert [result.frame_id for result in results] == list(range(40))
    for seed, result in enumerate(results):
        np.testing.assert_array_equal(result.image, fuser.fuse(*pair(seed)))


def test_refusals_are_those_of_the_server(service: Any, client: FusionClient) -> None:
    with pytest.raises(UnknownModel, match=r"model: got 'nope'; valid: .*mean:1"):
        client.fuse(*pair(1), model="nope")
    with pytest.raises(UnknownModel, match="model: got 'nope'"):
        list(client.stream([pair(1)], model="nope"))
    untyped: Any = grpc.insecure_channel(service.address)
    with untyped as channel:
        for call in (
            lambda: channel.unary_unary(FUSE)(b"\xff\xff"),
            lambda: list(channel.stream_stream(FUSE_STREAM)(iter([b"\xff\xff"]))),
        ):
            with pytest.raises(grpc.RpcError, match="message: got 2 bytes that cannot be decoded"):
                call()
    ir, vis = pair(1)
    small = np.zeros((8, 8), np.uint8)
    with pytest.raises(InvalidRequest, match="valid: "):
        client.fuse(small, np.zeros((8, 8, 3), np.uint8))
    results = list(client.stream([(ir, vis), (small, np.zeros((8, 8, 3), np.uint8)), (ir, vis)]))
    assert [result.error is None for result in results] == [True, False, True]


def test_information_and_health(service: Any, client: FusionClient) -> None:
    assert client.health() == "serving"
    assert {model.name for model in client.models()} >= {"mean", "dark", "warm"}
    with grpc.insecure_channel(service.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "crossfuse.v1.FusionService", "mean:2"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_tokens_are_asked_for(
    service: Any, client: FusionClient, tmp_path: Path, fuser: Fuser
) -> None:
    del client  # was there first: the next deployment takes its place
    tokens = tmp_path / "tokens"
    token = "-".join(["open", "sesame"])
    tokens.write_text(f"{token}\n")
    tokens.chmod(0o600)
    service.deploy(num_replicas=1, settings={"token_file": str(tokens)})
    with (
        FusionClient(service.address, timeout=60) as stranger,
        pytest.raises(AccessDenied, match="authorization: got nothing"),
    ):
        stranger.fuse(*pair(1))
    with FusionClient(service.address, timeout=60, token=token) as friend:
        np.testing.assert_array_equal(friend.fuse(*pair(1)), fuser.fuse(*pair(1)))


def test_more_models_than_are_open_at_once(service: Any, models: Path) -> None:
    service.deploy(num_replicas=2, models_open=1)
    wanted = ["dark", "warm", "dark:1", "mean", "warm", "dark", "mean:2"]
    with FusionClient(service.address, timeout=60) as client:
        for name in wanted * 2:
            folder, _, version = name.partition(":")
            newest = max(path.name for path in (models / folder).iterdir())
            with load(models / folder / (version or newest), threads=1) as here:
                fused = client.fuse(*pair(3), model=name)
                np.testing.assert_array_equal(fused, here.fuse(*pair(3)))
        frames = list(client.stream([pair(3)] * 5, model="warm"))
        assert [frame.error for frame in frames] == [None] * 5

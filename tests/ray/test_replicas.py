"""Replicas on a Ray cluster: all used, lost, added, taken away and replaced under load."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from crossfuse.client import FusionClient
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_bench.waiting_engine import waiting

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

IR, VIS = np.zeros((64, 64), np.uint8), np.full((64, 64, 3), 100, np.uint8)
REFUSALS = {"ServerBusy", "ServerNotReady", "ConnectionLost"}
SLOW = 0.2


def test_both_of_two_replicas_are_used(service: Any, under_load: Any) -> None:
    service.deploy(num_replicas=2, engine=waiting(0.02))
    replicas: set[Any] = set()
    with grpc.insecure_channel(service.address) as channel, under_load(service.address, 4):
        stub: Any = fusion_pb2_grpc.FusionServiceStub(channel)  # type: ignore[no-untyped-call]
        end = time.monotonic() + 30
        while len(replicas) < 2 and time.monotonic() < end:
            call = stub.ListModels.with_call(pb.ListModelsRequest())[1]
            replicas |= {v for k, v in call.trailing_metadata() if k == "crossfuse-replica"}
    assert len(replicas) == 2


def test_a_full_service_refuses_with_the_time_to_come_back(service: Any) -> None:
    service.deploy(
        num_replicas=1, engine=waiting(SLOW), max_ongoing_requests=1, max_queued_requests=1
    )
    errors: list[Any] = []
    request = pb.FuseRequest(ir=_image(IR), vis=_image(VIS))

    def call(stub: Any) -> None:
        try:
            stub.Fuse(request, timeout=60)
        except grpc.RpcError as error:
            errors.append(error)

    with grpc.insecure_channel(service.address) as channel:
        stub: Any = fusion_pb2_grpc.FusionServiceStub(channel)  # type: ignore[no-untyped-call]
        threads = [threading.Thread(target=call, args=(stub,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert 0 < len(errors) < 16
    for error in errors:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        info, status = RetryInfo(), rpc_status.from_call(error)
        assert status is not None
        assert status.details[0].Unpack(info)
        assert info.retry_delay.ToMilliseconds() > 0


def test_a_lost_replica_costs_no_call_that_is_retried(
    service: Any, under_load: Any, eventually: Callable[..., float]
) -> None:
    service.deploy(num_replicas=2, engine=waiting(0.02))
    with under_load(service.address, 4, retries=5) as load:
        load.wait_for(20)
        service.kill_one()
        took = eventually(lambda: service.running() < 2, 30) if service.running() == 2 else 0.0
        took += eventually(lambda: service.running() == 2, 30)
        load.wait_for(20)
    assert took < 30
    assert set(load.outcomes) == {"fused 100"}
    assert load.slowest < 30


def test_a_lost_replica_is_told_cleanly_to_who_does_not_retry(
    service: Any, under_load: Any, eventually: Callable[..., float]
) -> None:
    service.deploy(num_replicas=2, engine=waiting(SLOW))
    with under_load(service.address, 8, retries=0) as load:
        load.wait_for(10)
        service.kill_one()
        load.wait_for(40)
    failed = set(load.outcomes) - {"fused 100"}
    assert failed <= REFUSALS
    assert failed, "calls were inside the replica that was killed"
    eventually(lambda: service.running() == 2)


def test_replicas_come_with_the_load_and_go_with_it(
    service: Any, under_load: Any, eventually: Callable[..., float]
) -> None:
    service.deploy(
        engine=waiting(0.1),
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": 3,
            "initial_replicas": 1,
            "target_ongoing_requests": 1,
            "upscale_delay_s": 0.5,
            "downscale_delay_s": 1.0,
            "metrics_interval_s": 0.2,
            "look_back_period_s": 1.0,
        },
    )
    assert service.running() == 1
    with under_load(service.address, 6) as load:
        eventually(lambda: service.running() == 3)
        load.wait_for(30)
    eventually(lambda: service.running() == 1)
    with FusionClient(service.address, timeout=60) as client:
        assert client.fuse(IR, VIS).shape == VIS.shape
    assert set(load.outcomes) == {"fused 100"}


def test_an_upgrade_under_load_fails_no_call(service: Any, under_load: Any) -> None:
    service.deploy(num_replicas=2, settings={"default_model": "mean:1"})
    with under_load(service.address, 3, retries=0) as load:
        load.wait_for(20)
        service.deploy(num_replicas=2, settings={"default_model": "mean:2"})
        load.wait_for(20)
    assert set(load.outcomes) == {"fused 50", "fused 25"}


def test_a_stream_goes_on_over_an_upgrade(service: Any, eventually: Callable[..., float]) -> None:
    service.deploy(num_replicas=2, settings={"default_model": "mean:1"})
    upgraded = threading.Event()

    def pairs() -> Any:
        yield IR, VIS
        while not upgraded.is_set():
            time.sleep(0.05)
            yield IR, VIS
        for _ in range(5):
            yield IR, VIS

    def upgrade() -> None:
        service.deploy(num_replicas=2, settings={"default_model": "mean:2"})
        eventually(lambda: service.running() == 2)
        upgraded.set()

    with FusionClient(service.address, timeout=60) as client:
        results = client.stream(pairs(), reconnect=60)
        first = next(results)
        upgrading = threading.Thread(target=upgrade)
        upgrading.start()
        rest = list(results)
        upgrading.join()
    values = [int(result.image[0, 0, 0]) for result in (first, *rest) if result.image is not None]
    assert [result.frame_id for result in (first, *rest)] == list(range(len(rest) + 1))
    assert len(values) == len(rest) + 1
    assert values[0] == 50
    assert values[-1] == 25


def _image(pixels: Any) -> pb.Image:
    channels = 1 if pixels.ndim == 2 else 3
    height, width = pixels.shape[:2]
    return pb.Image(
        width=width,
        height=height,
        channels=channels,
        dtype=pb.DATA_TYPE_UINT8,
        encoding=pb.ENCODING_RAW,
        data=pixels.tobytes(),
    )

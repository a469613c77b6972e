"""A caller with the stubs of the previous release works with this server.

Its messages are made from tests/protos/fusion.v1.binpb, the descriptor that release was made with,
in a pool of their own; nothing of today's crossfuse.v1 takes part. What changed in the proto itself
is looked at in tests/protos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from crossfuse_server.app import FusionServer
from crossfuse_server.settings import load_settings

PATIENCE = 60.0
SIZE = (48, 64)


class PreviousStubs:
    """Messages and methods as the previous release's generated code had them."""

    def __init__(self, file: FileDescriptorProto, channel: grpc.Channel) -> None:
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._file = pool.FindFileByName(file.name)
        self._channel = channel

    def message(self, name: str, /, **fields: Any) -> Any:
        kind = message_factory.GetMessageClass(self._file.message_types_by_name[name])
        return kind(**fields)

    def method(self, name: str) -> Callable[..., Any]:
        service = self._file.services_by_name["FusionService"]
        method = service.methods_by_name[name]
        connect = self._channel.stream_stream if name == "FuseStream" else self._channel.unary_unary
        call: Callable[..., Any] = connect(
            f"/{service.full_name}/{name}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        return call

    def image(self, picture: np.ndarray[Any, np.dtype[np.uint8]]) -> Any:
        grey = picture.ndim == 2
        return self.message(
            "Image",
            height=picture.shape[0],
            width=picture.shape[1],
            channels=1 if grey else 3,
            dtype=1,  # UINT8
            encoding=1,  # RAW
            color_space=1 if grey else 2,  # GRAY or RGB
            data=picture.tobytes(),
        )


@pytest.fixture(scope="module")
def stubs(
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    write_bundle: Callable[..., Path],
    until_serving: Callable[[FusionServer], None],
) -> Iterator[PreviousStubs]:
    models = tmp_path_factory.mktemp("previous")
    write_bundle(models, "mean")
    settings = {"port": 0, "models": models, "default_model": "mean"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(models)  # away from the shipped models, which nobody asks for here
        server = FusionServer(load_settings(settings, environment={}))
        server.start()
    until_serving(server)
    descriptor = (root / "tests" / "protos" / "fusion.v1.binpb").read_bytes()
    (file,) = FileDescriptorSet.FromString(descriptor).file
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield PreviousStubs(file, channel)
    server.stop()


@pytest.fixture
def pair(stubs: PreviousStubs) -> dict[str, Any]:
    random = np.random.default_rng(7)
    ir = random.integers(0, 256, SIZE, np.uint8)
    vis = random.integers(0, 256, (*SIZE, 3), np.uint8)
    return {"ir": stubs.image(ir), "vis": stubs.image(vis)}


def test_unary(stubs: PreviousStubs, pair: dict[str, Any]) -> None:
    request = stubs.message("FuseRequest", request_id="7", **pair)
    answer = stubs.method("Fuse")(request, timeout=PATIENCE)
    assert answer.request_id == "7"
    assert answer.model.name == "mean"
    assert (answer.fused.height, answer.fused.width, answer.fused.channels) == (*SIZE, 3)
    assert answer.timings.total_us >= answer.timings.infer_us > 0
    ir, vis, fused = (
        np.frombuffer(image.data, np.uint8).reshape(*SIZE, -1)
        for image in (pair["ir"], pair["vis"], answer.fused)
    )
    np.testing.assert_array_equal(fused, np.rint(ir * 0.5 + vis * 0.5))


def test_stream(stubs: PreviousStubs, pair: dict[str, Any]) -> None:
    bad = {**pair, "ir": stubs.image(np.zeros((8, 8), np.uint8))}
    frames = [
        stubs.message("StreamFrame", frame_id=number, capture_time_us=number, **pictures)
        for number, pictures in enumerate((pair, bad, pair), start=1)
    ]
    config = stubs.message("StreamConfig", max_in_flight=2, drop_policy=1)
    requests = [
        stubs.message("FuseStreamRequest", config=config),
        *(stubs.message("FuseStreamRequest", frame=frame) for frame in frames),
    ]
    call = stubs.method("FuseStream")(iter(requests), timeout=PATIENCE)
    answers = list(call)
    assert [answer.frame_id for answer in answers] == [1, 2, 3]
    kinds = [
        next(kind for kind in ("fused", "dropped", "error") if answer.HasField(kind))
        for answer in answers
    ]
    assert kinds == ["fused", "error", "fused"]


def test_information(stubs: PreviousStubs) -> None:
    calls = {
        name: stubs.method(name)(stubs.message(f"{name}Request"), timeout=PATIENCE)
        for name in ("GetServerInfo", "ListModels")
    }
    (default,) = [entry for entry in calls["ListModels"].models if entry.is_default]
    assert default.model.name == "mean"
    assert calls["GetServerInfo"].limits.max_pixels > 0


def test_refusals_keep_their_codes(stubs: PreviousStubs, pair: dict[str, Any]) -> None:
    nobody = stubs.message("ModelRef", name="nobody")
    for changes, code in (
        ({"model": nobody}, grpc.StatusCode.NOT_FOUND),
        ({"ir": stubs.image(np.zeros((8, 8), np.uint8))}, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        request = stubs.message("FuseRequest", **{**pair, **changes})
        with pytest.raises(grpc.RpcError) as caught:
            stubs.method("Fuse")(request, timeout=PATIENCE)
        assert caught.value.code() is code

"""The clients over the Open Inference Protocol: the same results, and what it cannot carry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse import aio, oip
from crossfuse.client import (
    AccessDenied,
    CallTimeout,
    FusionClient,
    IncompatibleServer,
    InvalidRequest,
    LocalTransport,
    ServerFault,
    ServerNotReady,
    ServerUnreachable,
    UnknownModel,
)
from crossfuse.client.oip_messages import OipFrames, fuse_response
from crossfuse.errors import EngineError, InvalidInput, UnknownName
from crossfuse.fuser import Fuser
from crossfuse.images import HeldMapping
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.app import FusionServer


class Blocking:
    """The blocking client, and the asynchronous one behind the same calls."""

    def __init__(self, server: FusionServer, *, is_async: bool) -> None:
        self._address = f"127.0.0.1:{server.port}"
        self._is_async = is_async

    def do(self, name: str, *args: Any, **options: Any) -> Any:
        """Make one call with a client of its own; a stream gives a list."""
        if not self._is_async:
            with FusionClient(self._address, protocol="oip", timeout=60) as client:
                result = getattr(client, name)(*args, **options)
                return list(result) if name == "stream" else result

        async def main() -> Any:
            async with aio.FusionClient(self._address, protocol="oip", timeout=60) as client:
                result = getattr(client, name)(*args, **options)
                return [item async for item in result] if name == "stream" else await result

        return asyncio.run(main())


@pytest.fixture(params=[False, True], ids=["blocking", "asyncio"])
def talk(request: pytest.FixtureRequest, server: FusionServer) -> Callable[..., Any]:
    """Makes calls to the shared server."""
    return Blocking(server, is_async=request.param).do


def test_results_are_those_of_the_library(
    talk: Callable[..., Any], fuser: Fuser, picture: Any
) -> None:
    ir, vis, grey = picture(), picture(channels=3), picture(seed=5)
    np.testing.assert_array_equal(talk("fuse", ir, vis), fuser.fuse(ir, vis))
    np.testing.assert_array_equal(talk("fuse", ir, grey), fuser.fuse(ir, grey))
    wide = picture(dtype=np.uint16)
    options: dict[str, Any] = {"ir_mapping": "linear:900:40000", "ir_polarity": "black-hot"}
    np.testing.assert_array_equal(
        talk("fuse", wide, vis, **options), fuser.fuse(wide, vis, **options)
    )


def test_details_and_information(talk: Callable[..., Any], picture: Any) -> None:
    result = talk("fuse_with_details", picture(), picture(channels=3), model="mean:2")
    assert result.model == "mean:2"
    assert len(result.request_id) == 16
    info = talk("server_info")
    assert (info.state, info.runtime.split()[0]) == ("serving", "crossfuse")
    assert [(m.reference, m.state, m.is_default) for m in talk("models")] == [
        ("mean:1", "serving", True),
        ("mean:2", "serving", False),
    ]
    assert talk("health") == "serving"


def test_streams(talk: Callable[..., Any], fuser: Fuser, picture: Any) -> None:
    """In order, mapped over time, and a pair that breaks a rule has its error in its place."""
    frames = [picture(seed=seed, dtype=np.uint16) for seed in range(20)]
    vis = picture(channels=3)
    pairs: list[Any] = [(frame, vis) for frame in frames]
    pairs[7] = (frames[7][:40], vis)
    results = talk("stream", pairs)
    assert [result.frame_id for result in results] == list(range(20))
    mapping = HeldMapping()
    for number, result in enumerate(results):
        if number == 7:
            assert isinstance(result.error, InvalidInput)
            assert "two pictures of the same size" in str(result.error)
            continue
        expected = fuser.fuse(mapping.apply(frames[number]), vis)
        np.testing.assert_array_equal(result.image, expected)
        assert result.model == "mean:1"


def test_what_cannot_be_mapped_is_an_error_of_its_frame(
    talk: Callable[..., Any], picture: Any
) -> None:
    wide, vis = picture(dtype=np.uint16), picture(channels=3)
    results = talk("stream", [(wide, vis), (picture(), vis)], ir_mapping="none")
    assert isinstance(results[0].error, InvalidRequest)
    assert "16-bit picture" in str(results[0].error)
    assert results[1].image is not None


@pytest.mark.parametrize(
    ("call", "option", "value"),
    [
        ("fuse", "homography", [1.0, 0, 4, 0, 1, -3, 0, 0, 1]),
        ("fuse", "encoding", "png"),
        ("stream", "encoding", "jpeg"),
        ("stream", "homography", [1.0, 0, 4, 0, 1, -3, 0, 0, 1]),
        ("stream", "drop", "oldest"),
        ("stream", "frame_deadline", 0.5),
    ],
)
def test_options_that_it_cannot_carry(
    talk: Callable[..., Any], picture: Any, call: str, option: str, value: Any
) -> None:
    pair = picture(), picture(channels=3)
    pictures = pair if call == "fuse" else ([pair],)
    with pytest.raises(InvalidInput, match=f"^{option}: got .* with protocol='oip'; valid: "):
        talk(call, *pictures, **{option: value})


def test_errors(talk: Callable[..., Any], picture: Any) -> None:
    pair = picture(), picture(channels=3)
    with pytest.raises(UnknownModel, match=r"got 'nope'; valid: mean:1, mean:2"):
        talk("fuse", *pair, model="nope")
    with pytest.raises(InvalidRequest, match="at least 32 pixels on each side"):
        talk("fuse", picture(16, 64), picture(16, 64, channels=3))
    (result,) = talk("stream", [pair], model="nope")
    assert isinstance(result.error, UnknownModel)


def test_faults_and_times(
    serve: Callable[..., FusionServer], scripted: Any, picture: Any, connect: Any
) -> None:
    pair = picture(), picture(channels=3)
    client = connect(serve(scripted), protocol="oip", retries=0)
    with pytest.raises(CallTimeout):
        client.fuse(*pair, timeout=0.2)
    scripted.error = EngineError("broken")
    scripted.gate.set()
    with pytest.raises(ServerFault) as caught:
        client.fuse(*pair)
    assert caught.value.incident
    (result,) = client.stream([pair])
    assert isinstance(result.error, ServerFault)
    assert result.error.incident


def test_a_stream_waits_for_a_model_that_is_loading(
    serve: Callable[..., FusionServer], scripted: Any, picture: Any, connect: Any
) -> None:
    loading = serve(open_engines=lambda _: scripted.gate.wait() and [scripted], wait=False)
    client = connect(loading, protocol="oip", timeout=0.5)
    assert client.health() == "loading"
    with pytest.raises(ServerNotReady, match="mean:1 is still loading"):
        list(client.stream([(picture(), picture(channels=3))]))
    scripted.gate.set()


def test_tokens_and_addresses(
    serve: Callable[..., FusionServer], tmp_path: Path, picture: Any, connect: Any
) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    server = serve(token_file=tmp_path / "tokens")
    pair = picture(), picture(channels=3)
    with pytest.raises(AccessDenied):
        connect(server, protocol="oip").fuse(*pair)
    client = connect(server, protocol="oip", token="secret")  # noqa: S106
    assert client.fuse(*pair).shape == pair[1].shape
    (result,) = client.stream([pair])
    assert result.image is not None
    assert "protocol='oip'" in repr(client)
    with pytest.raises(ServerUnreachable):
        connect("127.0.0.1:1", protocol="oip", retries=0).fuse(*pair)


def test_the_protocol_is_one_of_two() -> None:
    with pytest.raises(UnknownName, match=r"protocol: got 'oipp'; valid: .*did you mean 'oip'"):
        FusionClient(protocol="oipp")
    with pytest.raises(InvalidInput, match="transport: got one beside"):
        FusionClient(protocol="oip", transport=LocalTransport(lambda ir, vis, **_: vis))


@pytest.mark.parametrize(
    ("shape", "count", "name", "message"),
    [
        ([1, 2, 2, 3], 1, "out", "outputs: got out, 1 of them raw; valid: fused alone, raw"),
        ([1, 2, 2, 3], 0, "fused", "outputs: got fused, 0 of them raw"),
        ([2, 2, 3], 1, "fused", r"fused: got 12 bytes of shape \[2, 2, 3\]"),
        ([1, 2, 3, 3], 1, "fused", r"fused: got 12 bytes of shape \[1, 2, 3, 3\]"),
    ],
)
def test_answers_that_are_none(shape: list[int], count: int, name: str, message: str) -> None:
    answer = oip.ModelInferResponse(raw_output_contents=[bytes(12)] * count)
    answer.outputs.add(name=name, datatype="UINT8", shape=shape)
    with pytest.raises(IncompatibleServer, match=message):
        fuse_response(answer, pb.FuseRequest())


def test_answers_of_a_stream_out_of_order() -> None:
    frames = OipFrames(pb.StreamConfig(), 1000)
    with pytest.raises(IncompatibleServer, match="an answer to no frame"):
        frames.response(oip.ModelStreamInferResponse())
    frames.request(pb.FuseStreamRequest(frame=pb.StreamFrame(frame_id=4)))
    with pytest.raises(IncompatibleServer, match="answer to frame 5; valid: that to 4"):
        frames.response(oip.ModelStreamInferResponse(infer_response={"id": "5"}))

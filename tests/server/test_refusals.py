"""Bad requests over a real socket: the status, and a text with field, what came, what is valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfuse.v1 import fusion_pb2 as pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]

Build = Callable[[Any], pb.FuseRequest]


def jpeg(pixels: Any) -> bytes:
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def with_options(make: Any, **fields: Any) -> pb.FuseRequest:
    request: pb.FuseRequest = make.request(options=pb.FuseOptions(**fields))
    return request


def with_homography(make: Any, *numbers: float) -> pb.FuseRequest:
    return with_options(make, homography=numbers)


def with_mapping(make: Any, **mapping: Any) -> pb.FuseRequest:
    options = pb.FuseOptions(ir_mapping=pb.IrMapping(**mapping))
    request: pb.FuseRequest = make.request(make.ir(dtype=np.uint16), options=options)
    return request


REFUSALS: dict[str, tuple[Build, str, str, str]] = {
    # name: (request, field, what came, what is valid)
    "no picture": (
        lambda make: pb.FuseRequest(),
        "ir.data",
        "0 bytes",
        "a whole file",
    ),
    "no visible picture": (
        lambda make: pb.FuseRequest(ir=make.raw(make.ir())),
        "vis.data",
        "0 bytes",
        "a whole file",
    ),
    "bytes that are no picture": (
        lambda make: make.request(vis=pb.Image(encoding=pb.ENCODING_PNG, data=b"hello, server")),
        "vis.data",
        "13 bytes that begin as no picture does",
        "PNG",
    ),
    "a truncated file": (
        lambda make: make.request(
            vis=pb.Image(encoding=pb.ENCODING_JPEG, data=jpeg(make.vis())[:700])
        ),
        "vis.data",
        "a truncated JPEG of 64x48 (700 bytes)",
        "the whole file",
    ),
    "a false-colour infrared picture": (
        lambda make: make.request(make.png(make.vis())),
        "ir.data",
        "a false-colour picture",
        "one channel, three equal ones",
    ),
    "a file whose size is not the one declared": (
        lambda make: make.request(vis=make.png(make.vis(), width=65)),
        "vis.width",
        "65",
        "64",
    ),
    "an unknown encoding": (
        lambda make: make.request(vis=make.raw(make.vis(), encoding=99)),
        "vis.encoding",
        "99",
        "ENCODING_PNG",
    ),
    "an unknown dtype": (
        lambda make: make.request(make.raw(make.ir(), dtype=7)),
        "ir.dtype",
        "7",
        "DATA_TYPE_UINT16",
    ),
    "a visible picture of 16 bits": (
        lambda make: make.request(vis=make.raw(make.vis().astype(np.uint16))),
        "vis.dtype",
        "DATA_TYPE_UINT16",
        "DATA_TYPE_UINT8",
    ),
    "an infrared picture of three channels": (
        lambda make: make.request(make.raw(make.vis())),
        "ir.channels",
        "3",
        "1",
    ),
    "two channels": (
        lambda make: make.request(vis=make.raw(make.vis(), channels=2)),
        "vis.channels",
        "2",
        "1 or 3",
    ),
    "no channels": (
        lambda make: make.request(vis=make.raw(make.vis(), channels=0)),
        "vis.channels",
        "0",
        "1 or 3",
    ),
    "a colour space of another number of channels": (
        lambda make: make.request(vis=make.raw(make.vis(), color_space=pb.COLOR_SPACE_GRAY)),
        "vis.color_space",
        "COLOR_SPACE_GRAY with 3 channels",
        "COLOR_SPACE_RGB or COLOR_SPACE_BGR",
    ),
    "an unknown colour space": (
        lambda make: make.request(vis=make.raw(make.vis(), color_space=12)),
        "vis.color_space",
        "12",
        "COLOR_SPACE_BGR",
    ),
    "fewer bytes than the size says": (
        lambda make: make.request(vis=make.raw(make.vis(), height=49)),
        "vis.data",
        "9216 bytes",
        "9408 bytes (64x49, 3 channels, uint8)",
    ),
    "16 bits declared for 8": (
        lambda make: make.request(make.raw(make.ir(), dtype=pb.DATA_TYPE_UINT16)),
        "ir.data",
        "3072 bytes",
        "6144 bytes (64x48, 1 channels, uint16)",
    ),
    "a size that overflows": (
        lambda make: make.request(make.raw(make.ir(), width=2**32 - 1, height=2**32 - 1)),
        "ir.data",
        "4294967295x4294967295",
        "at most 65536 pixels",
    ),
    "a width of nothing": (
        lambda make: make.request(make.raw(make.ir(), width=0)),
        "ir.data",
        "0x48",
        "at least 1x1 pixels",
    ),
    "over the pixel limit, RAW": (
        lambda make: make.request(make.ir(257, 256), make.vis(257, 256)),
        "ir.data",
        "256x257 = 65792 pixels",
        "at most 65536 pixels",
    ),
    "over the pixel limit, PNG": (
        lambda make: make.request(vis=make.png(np.zeros((257, 256), np.uint8))),
        "vis.data",
        "256x257 = 65792 pixels",
        "at most 65536 pixels",
    ),
    "smaller than the model takes": (
        lambda make: make.request(make.ir(31, 64), make.vis(31, 64)),
        "ir",
        "64x31",
        "at least 32 pixels on each side",
    ),
    "two sizes": (
        lambda make: make.request(make.ir(50, 64)),
        "ir",
        "64x50 while vis is 64x48",
        "two pictures of the same size, or an alignment (homography)",
    ),
    "a singular homography": (
        lambda make: with_homography(make, 1, 2, 3, 2, 4, 6, 0, 0, 1),
        "homography",
        "a matrix",
        "a singular matrix has none",
    ),
    "a homography of zeros": (
        lambda make: with_homography(make, *[0] * 9),
        "homography",
        "to infinity",
        "in front of the camera",
    ),
    "a homography with NaN": (
        lambda make: with_homography(make, float("nan"), 0, 0, 0, 1, 0, 0, 0, 1),
        "options.homography",
        "NaN",
        "nine finite numbers, row by row, like 1 0 0 0 1 0 0 0 1",
    ),
    "a homography with infinity": (
        lambda make: with_homography(make, 1, 0, float("inf"), 0, 1, 0, 0, 0, 1),
        "options.homography",
        "infinite",
        "nine finite numbers",
    ),
    "a homography of eight numbers": (
        lambda make: with_homography(make, *[1.0] * 8),
        "options.homography",
        "8 numbers",
        "like 1 0 0 0 1 0 0 0 1",
    ),
    "a homography of thousands of numbers": (
        lambda make: with_homography(make, *np.zeros(20_000)),
        "options.homography",
        "20000 numbers",
        "like 1 0 0 0 1 0 0 0 1",
    ),
    "a homography that shrinks the picture to nothing": (
        lambda make: with_homography(make, 1e-4, 0, 0, 0, 1e-4, 0, 0, 0, 1),
        "homography",
        "changes the area of the infrared picture by 1e-08",
        "between 1/400 and 400",
    ),
    "a homography that moves the picture away": (
        lambda make: with_homography(make, 1, 0, 1e5, 0, 1, 0, 0, 0, 1),
        "homography",
        "wholly outside",
        "overlap",
    ),
    "a quality of 101": (
        lambda make: with_options(make, quality=101),
        "options.quality",
        "101",
        "1 to 100, or 0 for the default",
    ),
    "an unknown output encoding": (
        lambda make: with_options(make, output_encoding=5),
        "options.output_encoding",
        "5",
        "ENCODING_JPEG",
    ),
    "an unknown output colour": (
        lambda make: with_options(make, output_color=4),
        "options.output_color",
        "4",
        "OUTPUT_COLOR_GRAY",
    ),
    "a linear mapping upside down": (
        lambda make: with_mapping(make, linear={"low": 900, "high": 900}),
        "options.ir_mapping",
        "linear:900:900",
        "linear:LO:HI with 0 <= LO < HI <= 65535",
    ),
    "a linear mapping beyond 16 bits": (
        lambda make: with_mapping(make, linear={"low": 0, "high": 65536}),
        "options.ir_mapping",
        "linear:0:65536",
        "LO < HI <= 65535",
    ),
    "a percentile mapping of NaN": (
        lambda make: with_mapping(make, percentile={"low": float("nan"), "high": 99}),
        "options.ir_mapping",
        "percentile:nan:99",
        "0 <= P_LO < P_HI <= 100",
    ),
    "16 bits without a mapping": (
        lambda make: with_mapping(make, none={}),
        "ir",
        "a 16-bit picture",
        "8 bits, or a mapping",
    ),
    "a request_id that is too long": (
        lambda make: make.request(request_id="x" * 129),
        "request_id",
        "129 characters",
        "at most 128",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_invalid_argument(name: str, server: Any, make: Any) -> None:
    build, field, received, valid = REFUSALS[name]
    status = server.refusal(build(make))
    assert status.code == INVALID, status.message
    assert status.message.startswith(f"{field}: got ")
    got, _, wanted = status.message.partition("; valid: ")
    assert received in got
    assert valid in wanted
    assert len(status.details) == 0


def test_a_picture_too_wide_for_its_encoding(serve: Callable[..., Any], make: Any) -> None:
    options = pb.FuseOptions(output_encoding=pb.ENCODING_WEBP)
    wide = make.request(make.ir(32, 16384), make.vis(32, 16384), options=options)
    running = serve(max_pixels=2**19)
    status = running.refusal(wide)
    assert status.code == INVALID
    assert status.message == "image: got a size of 16384x32; valid: sides of 1 to 16383"
    stream = running.stream(options=options)
    stream.frame(1, wide.ir, wide.vis)
    stream.frame(2, make.raw(make.ir()), make.raw(make.vis()))
    assert stream.answer().error == pb.FrameError(code=INVALID, message=status.message)
    assert stream.answer().WhichOneof("outcome") == "fused"


@pytest.mark.parametrize("name", REFUSALS)
def test_the_server_goes_on(name: str, server: Any, make: Any) -> None:
    """Nothing of a refused call is left in the next one."""
    server.refusal(REFUSALS[name][0](make))
    assert server.fuse(make.request()).fused.height == 48


@pytest.mark.parametrize(
    ("name", "version", "received"),
    [
        ("nope", "", "'nope'"),
        ("mean", "3", "'mean:3'"),
        ("mean", "one", "'mean:one'"),
        ("../../etc/passwd", "", "'../../etc/passwd'"),
        ("mean:1", "", "'mean:1'"),
    ],
)
def test_unknown_model(name: str, version: str, received: str, server: Any, make: Any) -> None:
    status = server.refusal(make.request(model=pb.ModelRef(name=name, version=version)))
    assert status.code == NOT_FOUND
    assert status.message == f"model: got {received}; valid: mean:1, mean:2, other:1"


def test_a_text_of_the_caller_is_not_sent_back_whole(server: Any, make: Any) -> None:
    """A status travels in headers, which may not be larger than 8 KB."""
    status = server.refusal(make.request(model=pb.ModelRef(name="ü" * 100_000)))
    assert status.code == NOT_FOUND
    assert status.message.startswith("model: got 'üüü")
    assert len(status.message) < 2000


@pytest.mark.parametrize("method", ["Fuse", "GetServerInfo", "FuseStream"])
def test_bytes_that_are_no_message(method: str, server: Any, status_of: Any) -> None:
    """On the wire a unary call is a stream of one message."""
    call = server.channel.stream_stream(f"/crossfuse.v1.FusionService/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([b"\xff" * 100]), timeout=60))
    status = status_of(caught.value)
    assert status.code == INVALID
    assert status.message.startswith("message: got 100 bytes that cannot be decoded")
    assert status.message.endswith("valid: a message of crossfuse/v1/fusion.proto")


def test_a_string_that_is_not_utf8(server: Any, status_of: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.channel.unary_unary("/crossfuse.v1.FusionService/Fuse")(b"\x0a\x01\xff", timeout=60)
    assert status_of(caught.value).code == INVALID


@settings(max_examples=150)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    cut=st.floats(0, 1),
    png=st.booleans(),
)
def test_damaged_messages(
    flips: list[tuple[float, int]], cut: float, png: bool, server: Any, make: Any
) -> None:
    """Whatever becomes of the bytes, the answer is a picture or says what is wrong with them."""
    options = pb.FuseOptions(homography=[1, 0, 0, 0, 1, 0, 0, 0, 1], quality=50)
    options.ir_mapping.linear.high = 9
    image = make.png if png else make.raw
    pixels = np.full((32, 32), 3, np.uint8)
    whole = pb.FuseRequest(
        options=options, request_id="x", model={"name": "mean"}, ir=image(pixels), vis=image(pixels)
    )
    data = bytearray(whole.SerializeToString())
    # Most bytes are pixels; those around them, which say what they are, are changed as often.
    start, end = data.find(bytes([3] * 32)), data.rfind(bytes([3] * 32))
    places = [place for place in range(len(data)) if not start + 8 < place < end - 8]
    for where, value in flips:
        data[places[int(where * len(places))]] = value
    call = server.channel.unary_unary("/crossfuse.v1.FusionService/Fuse")
    answer = call.future(bytes(data[: int(cut * 2 * len(data))]), timeout=60)
    assert answer.code() in (
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
    ), answer.details()


def test_an_unknown_method(server: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.channel.unary_unary("/crossfuse.v1.FusionService/Melt")(b"", timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

"""What comes back over the socket is, bit for bit, what `Fuser.fuse` makes in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossfuse
from crossfuse.images import decode, encode
from crossfuse.v1 import fusion_pb2 as pb

SHIFT = [1.05, 0.02, -3.0, 0.01, 0.97, 4.0, 1e-5, 0.0, 1.0]


@pytest.fixture(scope="module")
def fuser(models: Path) -> Iterator[crossfuse.Fuser]:
    with crossfuse.load(models / "mean" / "1", device="cpu", threads=1) as loaded:
        yield loaded


@pytest.mark.parametrize("form", ["raw", "png"])
@pytest.mark.parametrize("kind", ["colour", "grey"])
def test_eight_bits(form: str, kind: str, server: Any, make: Any, fuser: crossfuse.Fuser) -> None:
    ir, vis = make.ir(), make.vis()
    vis = vis if kind == "colour" else vis[..., 0].copy()
    image = getattr(make, form)
    answer = server.fuse(pb.FuseRequest(request_id="é1", ir=image(ir), vis=image(vis)))
    assert np.array_equal(make.pixels(answer.fused), fuser.fuse(ir, vis))
    assert answer.request_id == "é1"
    assert (answer.model.name, answer.model.version) == ("mean", "1")
    assert answer.fused.dtype == pb.DATA_TYPE_UINT8
    assert answer.fused.color_space == (
        pb.COLOR_SPACE_RGB if kind == "colour" else pb.COLOR_SPACE_GRAY
    )


def test_bgr(server: Any, make: Any, fuser: crossfuse.Fuser) -> None:
    ir, vis = make.ir(), make.vis()
    flipped = make.raw(vis[..., ::-1], color_space=pb.COLOR_SPACE_BGR)
    answer = server.fuse(make.request(ir, flipped))
    assert np.array_equal(make.pixels(answer.fused), fuser.fuse(ir, vis))
    assert answer.fused.color_space == pb.COLOR_SPACE_RGB


@pytest.mark.parametrize("form", ["raw", "png"])
@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("percentile:1:99", {}),
        ("linear:1000:60000", {"linear": {"low": 1000, "high": 60000}}),
        ("percentile:5:90", {"percentile": {"low": 5, "high": 90}}),
    ],
)
@pytest.mark.parametrize("black_hot", [False, True])
def test_sixteen_bits(
    form: str,
    text: str,
    mapping: dict[str, Any],
    black_hot: bool,
    server: Any,
    make: Any,
    fuser: crossfuse.Fuser,
) -> None:
    ir, vis = make.ir(dtype=np.uint16), make.vis()
    options = pb.FuseOptions(ir_mapping=pb.IrMapping(black_hot=black_hot, **mapping))
    answer = server.fuse(make.request(getattr(make, form)(ir), vis, options=options))
    polarity = "black-hot" if black_hot else "white-hot"
    local = fuser.fuse(ir, vis, ir_mapping=text, ir_polarity=polarity)
    assert np.array_equal(make.pixels(answer.fused), local)


def test_black_hot_of_eight_bits(server: Any, make: Any, fuser: crossfuse.Fuser) -> None:
    ir, vis = make.ir(), make.vis()
    options = pb.FuseOptions(ir_mapping=pb.IrMapping(black_hot=True))
    answer = server.fuse(make.request(ir, vis, options=options))
    assert np.array_equal(make.pixels(answer.fused), fuser.fuse(ir, vis, ir_polarity="black-hot"))


@pytest.mark.parametrize("size", [(48, 64), (40, 52), (96, 128)])
def test_homography(size: tuple[int, int], server: Any, make: Any, fuser: crossfuse.Fuser) -> None:
    ir, vis = make.ir(*size), make.vis()
    options = pb.FuseOptions(homography=SHIFT)
    answer = server.fuse(make.request(ir, vis, options=options))
    local = fuser.fuse(ir, vis, homography=SHIFT)
    assert np.array_equal(make.pixels(answer.fused), local)
    assert local.shape == vis.shape


def test_output_color_gray(server: Any, make: Any, fuser: crossfuse.Fuser) -> None:
    from crossfuse.fuser import luma

    ir, vis = make.ir(), make.vis()
    options = pb.FuseOptions(output_color=pb.OUTPUT_COLOR_GRAY)
    answer = server.fuse(make.request(ir, vis, options=options))
    assert answer.fused.channels == 1
    assert np.array_equal(make.pixels(answer.fused), luma(fuser.fuse(ir, vis)))


def test_output_color_color(server: Any, make: Any, fuser: crossfuse.Fuser) -> None:
    ir, vis = make.ir(), make.vis()[..., 0].copy()
    options = pb.FuseOptions(output_color=pb.OUTPUT_COLOR_COLOR)
    answer = server.fuse(make.request(ir, vis, options=options))
    assert answer.fused.channels == 3
    assert np.array_equal(make.pixels(answer.fused)[..., 1], fuser.fuse(ir, vis))


@pytest.mark.parametrize("kind", ["colour", "grey"])
@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        (pb.ENCODING_PNG, "png"),
        (pb.ENCODING_JPEG, "jpeg"),
        (pb.ENCODING_WEBP, "webp"),
    ],
)
@pytest.mark.parametrize("quality", [0, 1, 100])
def test_output_encoding(
    kind: str,
    encoding: pb.Encoding,
    name: str,
    quality: int,
    server: Any,
    make: Any,
    fuser: crossfuse.Fuser,
) -> None:
    ir, vis = make.ir(), make.vis()
    vis = vis if kind == "colour" else vis[..., 0].copy()
    options = pb.FuseOptions(output_encoding=encoding, quality=quality)
    answer = server.fuse(make.request(ir, vis, options=options))
    local = fuser.fuse(ir, vis)
    assert answer.fused.data == encode(local, name, quality=quality or 90)
    assert (answer.fused.height, answer.fused.width) == local.shape[:2]
    assert answer.fused.encoding == encoding
    if name == "png":
        assert np.array_equal(decode(answer.fused.data), local)


@pytest.mark.parametrize(
    ("reference", "share"),
    [
        ({}, 0.5),
        ({"name": "mean"}, 0.75),
        ({"name": "mean", "version": "1"}, 0.5),
        ({"name": "other"}, 0.25),
        ({"version": "2"}, 0.75),
    ],
)
def test_model_that_is_asked_for(
    reference: dict[str, str],
    share: float,
    server: Any,
    make: Any,
    eventually: Callable[..., None],
) -> None:
    eventually(lambda: all(m.state == pb.SERVING_STATE_SERVING for m in server.info().models))
    ir, vis = np.full((32, 32), 200, np.uint8), np.zeros((32, 32, 3), np.uint8)
    answer = server.fuse(make.request(ir, vis, model=pb.ModelRef(**reference)))
    assert make.pixels(answer.fused)[0, 0, 0] == 200 * share


def test_a_stream_gives_what_single_calls_give(server: Any, make: Any) -> None:
    pairs = [(make.ir(seed=seed), make.vis(seed=seed)) for seed in range(6)]
    stream = server.stream(max_in_flight=2)
    for number, (ir, vis) in enumerate(pairs):
        stream.frame(number, make.raw(ir), make.png(vis), capture_time_us=-number)
    stream.half_close()
    answers, status = stream.rest()
    assert status.code == 0
    assert [answer.frame_id for answer in answers] == list(range(6))
    assert [answer.capture_time_us for answer in answers] == [0, -1, -2, -3, -4, -5]
    for answer, (ir, vis) in zip(answers, pairs, strict=True):
        assert answer.fused.image.data == server.fuse(make.request(ir, vis)).fused.data
        assert answer.fused.model.version == "1"


def test_a_stream_holds_the_mapping_of_its_infrared(server: Any, make: Any) -> None:
    """The second frame is darker by half; mapped by itself it would look like the first."""
    bright = make.ir(dtype=np.uint16)
    stream = server.stream(options=pb.FuseOptions(output_color=pb.OUTPUT_COLOR_GRAY))
    black = np.zeros((48, 64), np.uint8)
    for number, ir in enumerate((bright, bright // 2)):
        stream.frame(number, make.raw(ir), make.raw(black))
    first, second = (make.pixels(stream.answer().fused.image).mean() for _ in range(2))
    assert second < 0.6 * first


def test_timings_add_up(server: Any, make: Any) -> None:
    timings = server.fuse(make.request()).timings
    parts = timings.decode_us + timings.queue_us + timings.infer_us + timings.encode_us
    assert 0 < timings.infer_us <= parts <= timings.total_us + 4
    assert timings.batch_size == 1

"""A pair fused through a server is the pair fused in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crossfuse.client import FusionClient, ServerNotReady
from crossfuse.client.retries import DEFAULT_RETRIES
from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.images import IrMapping, LinearMapping
from crossfuse_server.app import FusionServer

SHIFT = [1.0, 0.05, 3.0, -0.02, 1.1, -2.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("encoding", ["raw", "png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_local_picture(
    client: FusionClient, fuser: Fuser, ir: Any, picture: Any, channels: int, encoding: str
) -> None:
    vis = picture(channels=channels, seed=2)
    fused = client.fuse(ir, vis, encoding=encoding)
    assert fused.dtype == np.uint8
    np.testing.assert_array_equal(fused, fuser.fuse(ir, vis))


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg", "webp"])
@pytest.mark.parametrize("mapping", ["linear:1000:40000", "percentile:2:98", LinearMapping(5, 999)])
def test_16_bit_infrared_is_mapped_as_declared(
    client: FusionClient, fuser: Fuser, picture: Any, mapping: str | IrMapping, encoding: str
) -> None:
    ir, vis = picture(dtype=np.uint16), picture(seed=2)
    expected = fuser.fuse(ir, vis, ir_mapping=mapping)
    fused = client.fuse(ir, vis, ir_mapping=mapping, encoding=encoding)
    if encoding in ("raw", "png"):
        np.testing.assert_array_equal(fused, expected)
    else:
        assert fused.shape == expected.shape


def test_black_hot_infrared_is_inverted(
    client: FusionClient, fuser: Fuser, ir: Any, vis: Any
) -> None:
    fused = client.fuse(ir, vis, ir_polarity="black-hot")
    np.testing.assert_array_equal(fused, fuser.fuse(255 - ir, vis))
    assert (fused != fuser.fuse(ir, vis)).any()


def test_a_homography_aligns_unequal_sizes(
    client: FusionClient, fuser: Fuser, picture: Any, vis: Any
) -> None:
    ir = picture(40, 72)
    fused = client.fuse(ir, vis, homography=SHIFT)
    np.testing.assert_array_equal(fused, fuser.fuse(ir, vis, homography=SHIFT))
    matrix = np.reshape(SHIFT, (3, 3))
    np.testing.assert_array_equal(client.fuse(ir, vis, homography=matrix), fused)


@pytest.mark.parametrize("encoding", ["jpeg", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossy_encodings_keep_shape_and_look(
    client: FusionClient, fuser: Fuser, channels: int, encoding: str
) -> None:
    ir = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    grey = ir[:, ::-1]
    vis = grey if channels == 1 else np.dstack([grey, ir, grey])
    fused = client.fuse(ir, vis, encoding=encoding)
    assert fused.shape == vis.shape
    assert np.abs(fused.astype(int) - fuser.fuse(ir, vis)).mean() < 8


def test_arrays_in_any_memory_order_are_taken(
    client: FusionClient, fuser: Fuser, ir: Any, vis: Any
) -> None:
    fused = client.fuse(np.asfortranarray(ir)[::-1], vis[::-1])
    np.testing.assert_array_equal(fused, fuser.fuse(ir, vis)[::-1])


def test_the_fused_picture_may_be_drawn_on(client: FusionClient, ir: Any, vis: Any) -> None:
    fused = client.fuse(ir, vis)
    fused[:] = 0
    assert not fused.any()


def test_the_model_is_chosen_by_name_and_version(client: FusionClient, ir: Any, vis: Any) -> None:
    models = [client.fuse_with_details(ir, vis, model=name).model for name in ("mean", "mean:1")]
    assert models == ["mean:2", "mean:1"]
    assert client.fuse_with_details(ir, vis).model == "mean:1"
    assert (client.fuse(ir, vis, model="mean") != client.fuse(ir, vis)).any()


def test_details_tell_where_the_time_went(client: FusionClient, ir: Any, vis: Any) -> None:
    first, second = (client.fuse_with_details(ir, vis) for _ in range(2))
    timings = first.timings
    parts = timings.decode_us + timings.queue_us + timings.infer_us + timings.encode_us
    assert 0 < timings.infer_us <= parts <= timings.total_us
    assert timings.batch_size == 1
    assert first.request_id != second.request_id != ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ir": np.zeros((48, 64))}, "ir: got float64 of shape"),
        ({"ir": np.zeros((48, 60), np.uint8)}, "ir: got 60x48 while vis is 64x48"),
        ({"vis": np.zeros((48, 64, 4), np.uint8)}, r"vis: got uint8 of shape \(48, 64, 4\)"),
        ({"vis": "vis.png"}, "vis: got a str"),
        ({"encoding": "tiff"}, "encoding: got 'tiff'; valid: jpeg, png, raw, webp"),
        ({"model": "mean:latest"}, "model: got 'mean:latest'; valid: NAME"),
        ({"ir_mapping": "linear:9:3"}, "ir_mapping: got 'linear:9:3'"),
        ({"ir_polarity": "cold"}, "polarity: got 'cold'"),
        ({"homography": [1, 2, 3]}, "homography: got 3 numbers"),
        ({"timeout": 0}, "timeout: got 0 s"),
    ],
)
def test_what_breaks_a_rule_is_never_sent(
    connect: Callable[..., FusionClient], ir: Any, vis: Any, change: dict[str, Any], message: str
) -> None:
    nowhere = connect("127.0.0.1:1")
    with pytest.raises(InvalidInput, match=message) as caught:
        nowhere.fuse(**{"ir": ir, "vis": vis, **change})
    assert caught.value.exit_code == 2


def test_server_info_and_models(client: FusionClient, server: FusionServer) -> None:
    info = client.server_info()
    assert (info.state, client.health()) == ("serving", "serving")
    assert info.limits.max_queue == server.settings.max_queue
    assert info.limits.max_pixels == server.settings.max_pixels
    assert info.limits.max_queue_bytes == server.settings.queue_bytes
    assert info.runtime.startswith("onnxruntime")
    models = client.models()
    assert [model.reference for model in models] == ["mean:1", "mean:2"]
    assert [model.is_default for model in models] == [True, False]
    assert tuple(models) == info.models
    first = models[0]
    assert (first.state, first.precision, first.devices) == ("serving", "fp32", ("cpu",))
    assert len(first.sha256) == 64
    assert first.max_batch == 1, "calls are not batched on a CPU"


@pytest.mark.parametrize("kind", ["call", "stream"])
def test_a_loading_server_is_told_apart_and_waited_for(
    kind: str,
    connect: Callable[..., FusionClient],
    serve: Callable[..., FusionServer],
    scripted: Any,
    monkeypatch: pytest.MonkeyPatch,
    ir: Any,
    vis: Any,
) -> None:
    def open_engines(bundle: object) -> list[Any]:
        assert scripted.gate.wait(60)
        return [scripted]

    server = serve(open_engines=open_engines, wait=False)
    impatient = connect(server, retries=0)
    assert impatient.health() == "loading"
    loading = r"is not ready: model: mean:1 is still loading"
    with pytest.raises(ServerNotReady, match=loading):
        impatient.fuse(ir, vis)
    with pytest.raises(ServerNotReady, match=loading):
        next(impatient.stream([(ir, vis)]))

    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 2 * DEFAULT_RETRIES:
            scripted.gate.set()
            time.sleep(0.01)

    monkeypatch.setattr("crossfuse.client.blocking.sleep", pause)
    if kind == "call":
        fused = connect(server).fuse(ir, vis)
    else:
        (result,) = connect(server).stream([(ir, vis)])
        assert result.image is not None
        fused = result.image
    np.testing.assert_array_equal(fused, vis)
    assert len(pauses) > 2 * DEFAULT_RETRIES

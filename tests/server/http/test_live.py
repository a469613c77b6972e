"""The live view of a running stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from crossfuse.images import decode
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.http import live
from crossfuse_server.views import LiveView, picture_file


def parts(answer: httpx.Response) -> Iterator[tuple[str, int, bytes]]:
    """Type, frame number and content of each part, as a viewer reads them."""
    assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
    held = b""
    pieces = answer.iter_raw()
    while True:
        while b"\r\n\r\n" not in held:
            piece = next(pieces, None)
            if piece is None:
                assert held.strip() in (b"", b"--frame--")
                return
            held += piece
        head, _, held = held.partition(b"\r\n\r\n")
        lines = dict(line.split(b": ") for line in head.strip().split(b"\r\n")[1:])
        size = int(lines[b"Content-Length"])
        while len(held) < size + 2:
            held += next(pieces)
        yield lines[b"Content-Type"].decode(), int(lines[b"X-Frame-Id"]), held[:size]
        held = held[size + 2 :]


def running(http: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get("/v1/streams").json()["streams"]
    return found


def test_watching(http: Any, make: Any, eventually: Callable[..., None]) -> None:
    stream = http.running.stream(model=pb.ModelRef(name="other"))
    stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
    stream.answer()
    (told,) = running(http)
    assert (told["model"], told["fused"], told["dropped"]) == ("other", 1, 0)
    view = http.running.open_streams[0].view
    assert view.latest is None, "nothing is kept while nobody watches"
    with http.client.stream("GET", told["view"]) as answer:
        eventually(lambda: view.viewers == 1)
        stream.frame(2, make.raw(make.ir()), make.raw(make.vis()))
        fused = make.pixels(stream.answer().fused.image)
        kind, number, data = next(frames := parts(answer))
        shown = decode(data)
        assert (kind, number) == ("image/jpeg", 2)
        assert shown.shape == fused.shape
        assert np.abs(cv2.blur(shown, (9, 9)).astype(int) - cv2.blur(fused, (9, 9))).mean() < 4
        stream.half_close()
        assert list(frames) == [], "the view ends with its stream"
    assert stream.rest()[0] == []
    eventually(lambda: running(http) == [])
    assert http.get(told["view"]).status_code == 404


def test_frames_that_are_files_are_shown_as_they_are(
    http: Any, make: Any, eventually: Callable[..., None]
) -> None:
    stream = http.running.stream(options=pb.FuseOptions(output_encoding=pb.ENCODING_PNG))
    stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
    stream.answer()
    with http.client.stream("GET", running(http)[0]["view"]) as answer:
        eventually(lambda: http.running.open_streams[0].view.viewers == 1)
        stream.frame(2, make.raw(make.ir()), make.raw(make.vis()))
        fused = stream.answer().fused.image.data
        assert next(parts(answer)) == ("image/png", 2, fused)
    eventually(lambda: http.running.open_streams[0].view.viewers == 0)
    assert http.running.open_streams[0].view.latest is None, "and let go of when nobody does"
    stream.half_close()
    stream.rest()


def test_too_many_viewers(http: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_VIEWERS", 0)
    stream = http.running.stream()
    stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
    stream.answer()
    refused = http.get(running(http)[0]["view"])
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
    stream.half_close()
    stream.rest()


def test_a_draining_server_ends_the_views(
    serve_http: Callable[..., Any], make: Any, eventually: Callable[..., None]
) -> None:
    http = serve_http()
    stream = http.running.stream()
    stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
    stream.answer()
    with http.client.stream("GET", running(http)[0]["view"]) as answer:
        eventually(lambda: http.running.open_streams[0].view.viewers == 1)
        http.running.server.drain()
        assert list(parts(answer)) == []


def test_without_a_token_only_this_machine_may_watch(http: Any) -> None:
    refused = http.get("/v1/streams/1/view", **{"X-Forwarded-For": "192.0.2.7"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert http.get("/v1/streams/1/view").status_code == 404


def test_no_frame_outlives_its_viewers() -> None:
    view = LiveView("mean")
    answer = pb.FuseStreamResponse(frame_id=3)
    answer.fused.image.data = b"picture"
    view.show(answer)
    assert view.latest is None
    with view.watching(), view.watching():
        view.show(answer)
        assert view.latest is not None
        assert view.latest.frame_id == 3
    assert view.latest is None


def test_grey_frames(make: Any) -> None:
    image = pb.Image(
        width=64, height=48, channels=1, encoding=pb.ENCODING_RAW, data=make.ir().tobytes()
    )
    kind, data = picture_file(image)
    assert kind == "image/jpeg"
    assert decode(data).shape == (48, 64)

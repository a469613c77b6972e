"""POST /v1/fuse: the same answers as gRPC, and the same refusals."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossfuse.v1 import fusion_pb2 as pb


def grpc_answer(http: Any, ir: bytes, vis: bytes, **options: Any) -> pb.FuseResponse:
    """What gRPC answers for the same files."""
    fields = {"output_encoding": pb.ENCODING_PNG, **options}
    response: pb.FuseResponse = http.running.fuse(
        pb.FuseRequest(
            ir=pb.Image(encoding=pb.ENCODING_PNG, data=ir),
            vis=pb.Image(encoding=pb.ENCODING_PNG, data=vis),
            options=pb.FuseOptions(**fields),
        )
    )
    return response


def error_of(answer: httpx.Response) -> dict[str, str]:
    """The error in an answer, which is complete."""
    error: dict[str, str] = answer.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == answer.headers["X-Request-Id"]
    return error


def test_the_bytes_are_those_of_grpc(http: Any) -> None:
    answer = http.fuse()
    assert answer.status_code == 200, answer.text
    assert answer.content == grpc_answer(http, http.ir, http.vis).fused.data
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-CrossFuse-Model"] == "mean:1"
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"])


def test_the_phases_sum_to_the_total(http: Any) -> None:
    header = http.fuse().headers["Server-Timing"]
    found = {name: float(value) for name, value in re.findall(r"(\w+);dur=([\d.]+)", header)}
    assert list(found) == ["decode", "queue", "infer", "encode", "total"]
    total = found.pop("total")
    assert sum(found.values()) == pytest.approx(total, rel=0.05, abs=0.01)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"encoding": "jpeg", "quality": "50"}, {"output_encoding": 3, "quality": 50}),
        ({"encoding": "webp"}, {"output_encoding": 4}),
        ({"output_color": "gray"}, {"output_color": pb.OUTPUT_COLOR_GRAY}),
        ({"polarity": "black-hot"}, {"ir_mapping": pb.IrMapping(black_hot=True)}),
        (
            {"ir_mapping": "linear:1000:60000"},
            {"ir_mapping": pb.IrMapping(linear=pb.IrMapping.Linear(low=1000, high=60000))},
        ),
        (
            {"homography": "1 0 3, 0 1 2, 0 0 1"},
            {"homography": [1, 0, 3, 0, 1, 2, 0, 0, 1]},
        ),
    ],
)
def test_options(
    fields: dict[str, str], options: dict[str, Any], http: Any, make: Any, png: Any
) -> None:
    ir = png(make.ir(dtype=np.uint16))
    answer = http.fuse(ir, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.content == grpc_answer(http, ir, http.vis, **options).fused.data


def test_a_model_of_choice(http: Any) -> None:
    assert http.fuse(model="other").headers["X-CrossFuse-Model"] == "other:1"
    assert http.fuse(model="mean").headers["X-CrossFuse-Model"] == "mean:2"
    named = http.fuse(model="mean", version="1").headers["X-CrossFuse-Model"]
    assert named == http.fuse(model="mean:1").headers["X-CrossFuse-Model"] == "mean:1"


def test_a_request_id_is_echoed(http: Any) -> None:
    answer = http.fuse(headers={"X-Request-Id": "camera 7"})
    assert answer.headers["X-Request-Id"] == "camera 7"
    assert error_of(http.get("/nowhere", **{"X-Request-Id": "a"}))["request_id"] == "a"


@pytest.mark.parametrize("given_id", ["x" * 129, "\x7f"])
def test_a_request_id_that_is_none(given_id: str, http: Any) -> None:
    answer = http.fuse(headers={"X-Request-Id": given_id})
    assert answer.status_code == 400
    assert error_of(answer)["message"].startswith("X-Request-Id: got ")


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"model": "nope"}, 404, "model: got 'nope'; valid: mean:1, mean:2, other:1"),
        ({"model": "../mean"}, 404, "model: got '../mean'; valid: mean:1, mean:2, other:1"),
        ({"version": "1"}, 400, "version: got '1' without a model; valid: the model beside it"),
        ({"encoding": "raw"}, 400, "encoding: got 'raw'; valid: jpeg, png, webp"),
        ({"quality": "0"}, 400, "quality: got '0'; valid: 1 to 100"),
        ({"quality": "1e2"}, 400, "quality: got '1e2'; valid: 1 to 100"),
        ({"ir_mapping": "log"}, 400, "ir_mapping: got 'log'; valid: linear:LO:HI"),
        ({"polarity": "cold"}, 400, "polarity: got 'cold'; valid: black-hot, white-hot"),
        ({"homography": "1 0"}, 400, "homography: got 2 numbers; valid: nine finite numbers"),
        ({"homography": "a"}, 400, "homography: got 'a'; valid: nine numbers"),
        ({"output_color": "red"}, 400, "output_color: got 'red'; valid: auto, color, gray"),
        ({"colour": "red"}, 400, "field in the form: got 'colour'; valid: encoding,"),
        ({"encoding": "x" * 5000}, 400, "body: got no form (Part exceeded"),
    ],
)
def test_wrong_options(fields: dict[str, str], status: int, message: str, http: Any) -> None:
    answer = http.fuse(**fields)
    assert answer.status_code == status
    assert error_of(answer)["message"].startswith(message)


def test_wrong_pictures_are_told_as_by_grpc(http: Any, make: Any, png: Any) -> None:
    for ir, vis in (
        (b"no picture", http.vis),
        (b"", http.vis),
        (http.ir, png(make.vis(40, 64))),
        (http.ir, png(make.vis(300, 300))),
        (http.ir, http.vis[:100]),
    ):
        answer = http.fuse(ir, vis)
        error = error_of(answer)
        assert (answer.status_code, error["code"]) == (400, "INVALID_ARGUMENT")
        request = pb.FuseRequest(
            ir=pb.Image(encoding=pb.ENCODING_PNG, data=ir),
            vis=pb.Image(encoding=pb.ENCODING_PNG, data=vis),
        )
        assert error["message"] == http.running.refusal(request).message


def test_wrong_forms(http: Any) -> None:
    post = http.client.post
    example = "a form, as `curl -F ir=@ir.png -F vis=@vis.png` sends"
    for answer, status, message in (
        (post("/v1/fuse", files={"ir": http.ir}), 400, f"vis: got nothing; valid: {example}"),
        (post("/v1/fuse", data={"ir": "x"}), 415, "Content-Type: got 'application/x-www-form-url"),
        (post("/v1/fuse"), 415, "Content-Type: got nothing; valid: a form"),
        (post("/v1/fuse", files={"ir": b"", "uv": b""}), 400, "file in the form: got 'uv'; valid:"),
        (
            post("/v1/fuse", files=[("ir", b"1"), ("ir", b"2")]),
            400,
            "ir: got it twice; valid: once",
        ),
        (post("/v1/fuse", files=[("ir", b"")] * 3), 400, "body: got no form (Too many files."),
    ):
        assert answer.status_code == status, answer.text
        assert error_of(answer)["message"].startswith(message)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=300),
    kind=st.sampled_from(
        ["multipart/form-data", "multipart/form-data; boundary=b", "multipart/form-data; boundary="]
    ),
    frame=st.booleans(),
)
def test_any_bytes_get_a_documented_answer(body: bytes, kind: str, frame: bool, http: Any) -> None:
    if frame:
        head = b'--b\r\nContent-Disposition: form-data; name="ir"; filename="x"\r\n\r\n'
        body = head + body + b"\r\n--b--\r\n"
    answer = http.client.post("/v1/fuse", content=body, headers={"Content-Type": kind})
    assert answer.status_code in (200, 400)
    assert error_of(answer)["code"] == "INVALID_ARGUMENT"


def test_a_body_that_is_too_large(http: Any) -> None:
    most = http.running.server.settings.max_message_bytes
    declared = http.fuse(ir=b"\0" * most)
    assert declared.status_code == 413
    assert error_of(declared)["message"].endswith(f"valid: at most {most}")

    def pieces() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="ir"; filename="x"\r\n\r\n'
        for _ in range(most // 65536 + 1):
            yield b"\0" * 65536

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    counted = http.client.post("/v1/fuse", content=pieces(), headers=kind)
    assert counted.status_code == 413
    assert http.running.server.admission.bytes_held == 0


def test_a_body_that_does_not_come(serve_http: Callable[..., Any]) -> None:
    http = serve_http(message_seconds=0.2)
    with socket.create_connection(("127.0.0.1", http.running.server.http_port)) as caller:
        caller.sendall(
            b"POST /v1/fuse HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b"
        )
        answer = caller.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "DEADLINE_EXCEEDED"
    assert http.running.server.admission.bytes_held == 0


def test_a_deadline(serve_http: Callable[..., Any], gated: Any) -> None:
    http = serve_http(gated)
    answer = http.fuse(headers={"X-Request-Timeout": "0.2"})
    assert answer.status_code == 504
    assert error_of(answer)["code"] == "DEADLINE_EXCEEDED"
    for wrong in ("0", "soon", "nan", "-1", "1e9"):
        assert http.fuse(headers={"X-Request-Timeout": wrong}).status_code == 400


def test_a_full_queue(
    serve_http: Callable[..., Any], gated: Any, eventually: Callable[..., None]
) -> None:
    http = serve_http(gated, max_queue=1)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(http.fuse)]
        gated.wait_for_picture()
        calls += [pool.submit(http.fuse) for _ in range(6)]
        eventually(lambda: sum(call.done() for call in calls) >= 1, "one was refused")
        refused = next(call for call in calls if call.done()).result()
        gated.let_through()
    assert refused.status_code == 429
    assert error_of(refused)["code"] == "RESOURCE_EXHAUSTED"
    assert int(refused.headers["Retry-After"]) >= 1
    assert calls[0].result().status_code == 200


def test_a_caller_that_goes_away_leaves_the_queue(
    serve_http: Callable[..., Any], gated: Any, eventually: Callable[..., None]
) -> None:
    http = serve_http(gated)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(http.fuse)
        gated.wait_for_picture()
        others = [pool.submit(http.fuse) for _ in range(3)]
        eventually(lambda: http.running.waiting >= 1, "one waits")
        inside = http.running.waiting
        with pytest.raises(httpx.TimeoutException):
            httpx.post(
                f"{http.url}/v1/fuse",
                files={"ir": http.ir, "vis": http.vis},
                timeout=httpx.Timeout(60, read=0.3),
                trust_env=False,
            )
        eventually(lambda: "CANCELLED" in http.outcomes(), "it was noticed")
        gated.let_through()
        assert [call.result().status_code for call in (first, *others)] == [200] * 4
    assert inside
    eventually(lambda: http.outcomes() == {"OK": 4, "CANCELLED": 1}, "all are counted")
    eventually(lambda: http.running.server.admission.bytes_held == 0)


def test_a_fault_gets_an_incident(
    serve_http: Callable[..., Any], stand_in: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any, __: Any) -> Any:
        raise RuntimeError("secret words of the engine")

    answer = serve_http(stand_in(fail)).fuse()
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (500, "INTERNAL")
    incident = re.fullmatch(r"a fault in the server, incident (\w+); .*", error["message"])
    assert incident is not None
    assert incident[1] in caplog.text
    assert "secret words" not in answer.text


def test_each_pair_is_observed_once(serve_http: Callable[..., Any]) -> None:
    http = serve_http()
    http.fuse()
    http.fuse(b"no picture")
    found = http.running.server.observations.requests()
    assert {key[2:]: count for key, count in found.items()} == {
        ("http", "OK"): 1,
        ("http", "INVALID_ARGUMENT"): 1,
    }


def test_curl(http: Any, tmp_path: Path, root: Path) -> None:
    """The command of docs/http.md."""
    if shutil.which("curl") is None:
        pytest.skip("the command cannot be run: no curl on the PATH")
    text = (root / "docs" / "http.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^curl .*$", text, re.MULTILINE)
    (tmp_path / "ir.png").write_bytes(http.ir)
    (tmp_path / "vis.png").write_bytes(http.vis)
    words = shlex.split(command.replace("http://localhost:8080", http.url))
    subprocess.run([*words, "--silent", "--noproxy", "*"], cwd=tmp_path, check=True)
    fused = cv2.imread(str(tmp_path / "fused.png"))
    assert fused is not None
    assert fused.shape == (48, 64, 3)

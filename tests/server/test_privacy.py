"""No picture, path or token that a caller sends is found again in a log, a metric or a trace."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crossfuse import oip
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.logs import written
from crossfuse_server.metrics import render
from crossfuse_server.tracing import Tracing

Serve = Callable[..., Any]

TOKEN = "tell-tale-token-5f2c"  # noqa: S105
WRONG = "tell-tale-wrong-77aa"
PATH = "/home/somebody/secret-plan.onnx"
PIXELS = b"TELLTALEPIXELS!!"  # 16 bytes, so that rows of 64 hold it whole


def picture(channels: int) -> Any:
    rows = np.frombuffer(PIXELS * (48 * 64 * channels // 16), np.uint8)
    return rows.reshape((48, 64, 3) if channels == 3 else (48, 64))


def ask(running: Any, make: Any) -> None:
    """All that a caller can send and that should not be found again."""
    ir, vis = picture(1), picture(3)
    known = [("authorization", f"Bearer {TOKEN}")]

    def fuse(metadata: Any, **fields: Any) -> None:
        with suppress(grpc.RpcError):
            running.stub.Fuse(make.request(ir, vis, **fields), metadata=metadata)

    fuse(known, request_id="first\nERROR forged: line\r\n{}")
    fuse([("authorization", f"Bearer {WRONG}")])
    fuse([("authorization", f"Basic {WRONG}")])
    fuse([*known, ("traceparent", PATH), ("x-request-id", "a" * 500)])
    long = f"{PATH} {TOKEN} " + 2000 * "x"  # cut where it is told
    for name in (PATH, TOKEN, f"{PATH}; valid: '{TOKEN}\"", f"../{PATH}\n{TOKEN}", long):
        fuse(known, model=pb.ModelRef(name=name))
        fuse(known, model=pb.ModelRef(name="mean", version=name))
        config = pb.FuseStreamRequest(config=pb.StreamConfig(model=pb.ModelRef(name=name)))
        with suppress(grpc.RpcError):
            list(running.stub.FuseStream(iter([config]), metadata=known))
    no_file = pb.Image(encoding=pb.ENCODING_PNG, data=PIXELS)
    for infrared in (make.raw(ir, data=PIXELS), no_file):
        with suppress(grpc.RpcError):
            bad = pb.FuseRequest(ir=infrared, vis=make.raw(vis))
            running.stub.Fuse(bad, metadata=known)
    frames = [pb.FuseStreamRequest(config=pb.StreamConfig())]
    for number in (1, 1):
        frame = pb.StreamFrame(frame_id=number, ir=make.raw(ir), vis=make.raw(vis))
        frames.append(pb.FuseStreamRequest(frame=frame))
    list(running.stub.FuseStream(iter(frames), metadata=known))


def ask_as_triton(running: Any) -> None:
    """The same in the Open Inference Protocol: free text has more places there."""
    infer = running.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=oip.ModelInferRequest.SerializeToString,
        response_deserializer=oip.ModelInferResponse.FromString,
    )
    shape = {"ir": [1, 48, 64], "vis": [1, 48, 64, 3]}
    for model, version, tensor, datatype, parameter, output in (
        ("mean", "1", "ir", "UINT8", "", "fused"),
        (PATH, "1", "ir", "UINT8", "", "fused"),
        ("mean", PATH, "ir", "UINT8", "", "fused"),
        ("mean", "1", PATH, "UINT8", "", "fused"),
        ("mean", "1", "ir", TOKEN, "", "fused"),
        ("mean", "1", "ir", "UINT8", PATH, "fused"),
        ("mean", "1", "ir", "UINT8", "", f"{PATH}\n{TOKEN}"),
    ):
        request = oip.ModelInferRequest(model_name=model, model_version=version, id="triton\nid")
        for name, pixels in (("ir", picture(1)), ("vis", picture(3))):
            named = tensor if name == "ir" else name
            request.inputs.add(name=named, datatype=datatype, shape=shape[name])
            request.raw_input_contents.append(pixels.tobytes())
        request.outputs.add(name=output)
        if parameter:
            request.parameters[parameter].string_param = parameter
        for token in (TOKEN, WRONG):
            with suppress(grpc.RpcError):
                infer(request, metadata=[("authorization", f"Bearer {token}")])


def ask_over_http(running: Any, make: Any) -> None:
    """The same as forms and addresses."""
    known = {"authorization": f"Bearer {TOKEN}"}
    address = f"http://127.0.0.1:{running.server.http_port}"
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        files = {
            "ir": (PATH, make.png(picture(1)).data),
            "vis": (f"{TOKEN}.png", make.png(picture(3)).data),
        }
        for headers in (known, {"authorization": f"Bearer {WRONG}"}):
            client.post("/v1/fuse", files=files, headers=headers)
            client.post("/v1/fuse", files=files, headers=headers, data={"model": PATH})
            client.post("/v1/fuse", files=files, headers=headers, data={TOKEN: PATH})
            client.post("/v1/fuse", content=PIXELS, headers=headers)
            client.get(f"/v1{PATH}?token={TOKEN}", headers=headers)
            client.get(f"/v1/samples/{TOKEN}/ir", headers=headers)
            client.get(f"/v1/samples/street/{TOKEN}{200 * 'x'}", headers=headers)
            client.get("/metrics", headers={**headers, "x-request-id": "http id"})


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_a_caller_sends_is_found_again(
    form: str, serve: Serve, stand_in: Any, make: Any, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN + "\n", encoding="ascii")
    tokens.chmod(0o600)
    faults = iter([False, True])

    def action(ir: Any, vis: Any) -> Any:
        if next(faults, False):
            raise ZeroDivisionError("a fault")
        return vis

    exporter = InMemorySpanExporter()
    running = serve(stand_in(action), token_file=tokens, http_port=0)
    running.server.recorder.tracing = Tracing(SimpleSpanProcessor(exporter))
    stream = io.StringIO()
    with written(form, "debug", stream):
        ask(running, make)
        ask_as_triton(running)
        ask_over_http(running, make)
    log = stream.getvalue()
    metrics = render(running.server).decode()
    traces = "\n".join(span.to_json() for span in exporter.get_finished_spans())
    assert log.count("UNAUTHENTICATED") >= 2
    assert log.count("NOT_FOUND") >= 2
    assert "incident" in log
    assert 'status="UNAUTHENTICATED"} 2.0' in metrics
    for protocol in ("grpc", "stream", "oip", "http"):
        assert f'outcome="OK",protocol="{protocol}"' in metrics
    assert traces.count("crossfuse.outcome") >= 5
    for place in (log, metrics, traces):
        for secret in (TOKEN, WRONG, PATH, "secret-plan", PIXELS[:8].decode(), "a" * 200):
            assert secret not in place
        assert repr(list(PIXELS))[1:-1] not in place
    check_lines(form, log)


def check_lines(form: str, log: str) -> None:
    if form == "json":
        entries = [json.loads(line) for line in log.splitlines()]
        assert any("forged" in entry.get("request_id", "") for entry in entries)
        return
    heads = ("DEBUG crossfuse", "INFO crossfuse", "WARNING crossfuse", "ERROR crossfuse", "    ")
    assert all(line.startswith(heads) for line in log.splitlines())

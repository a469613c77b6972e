"""The HTTP port: when it is there, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from crossfuse.errors import InvalidInput
from crossfuse_server.http import connection
from crossfuse_server.settings import ServerSettings, load_settings


def test_nothing_listens_without_the_option(server: Any) -> None:
    assert server.server.http_port == 0
    code = "import crossfuse_server.app, sys; print('fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_setting() -> None:
    assert ServerSettings().http_port is None
    assert load_settings(environment={"CROSSFUSE_SERVER_HTTP_PORT": "8080"}).http_port == 8080
    with pytest.raises(InvalidInput, match="http_port: got 65536; valid: 65535 or less"):
        ServerSettings(http_port=65536)
    with pytest.raises(InvalidInput, match="got 'x'; valid: a value like 8080"):
        load_settings(environment={"CROSSFUSE_SERVER_HTTP_PORT": "x"})


def test_a_port_in_use(serve: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"http_port: got 127.0.0.1:{port}; valid: an addr"):
            serve(http_port=port)


def test_the_command(models: Path, tmp_path: Path) -> None:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CROSSFUSE_")}
    flags = ["--models", str(models), "--default-model", "mean", "--threads=1", "--port=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "crossfuse", "serve", *flags, "--http-port=0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**clean, "XDG_DATA_HOME": str(tmp_path)},
    )
    assert process.stderr is not None
    with process:
        assert process.stderr.readline().startswith("listening on 127.0.0.1:")
        said = re.fullmatch(r"http on (127\.0\.0\.1:\d+)\n", process.stderr.readline())
        assert said is not None
        assert httpx.get(f"http://{said[1]}/healthz", trust_env=False).text == "ok\n"
        process.send_signal(signal.SIGTERM)
        assert (process.wait(60), process.stderr.read()) == (0, "")


def test_draining(
    serve_http: Callable[..., Any], gated: Any, eventually: Callable[..., None]
) -> None:
    """Probes learn it at once, new work is refused, and what is in flight is finished."""
    http = serve_http(gated)
    assert http.get("/readyz").text == "serving\n"
    with ThreadPoolExecutor(2) as pool:
        fused = pool.submit(http.fuse)
        gated.wait_for_picture()
        ended = pool.submit(http.running.server.drain)
        eventually(lambda: http.get("/readyz").status_code == 503)
        assert http.get("/readyz").text == "draining\n"
        assert http.get("/healthz").status_code == 200
        assert http.fuse().status_code == 503
        gated.let_through()
        assert fused.result().status_code == 200
        ended.result()
    with pytest.raises(httpx.TransportError):
        http.get("/healthz")


def test_a_loading_server(serve_http: Callable[..., Any], make: Any) -> None:
    def never(_: Any) -> Any:
        loading.acquire()
        return []

    import threading

    loading = threading.Semaphore(0)
    http = serve_http(open_engines=never, wait=False)
    try:
        answer = http.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "loading\n")
        refused = http.fuse()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "UNAVAILABLE")
    finally:
        loading.release(3)


def test_a_head_that_does_not_come(
    serve_http: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    http = serve_http()
    address = ("127.0.0.1", http.running.server.http_port)
    for said in (b"", b"GET /healthz HTTP/1.1\r\nHost:"):
        with socket.create_connection(address, timeout=60) as caller:
            caller.sendall(said)
            assert caller.recv(100) == b""


def test_no_http(serve_http: Callable[..., Any]) -> None:
    http = serve_http()
    address = ("127.0.0.1", http.running.server.http_port)
    with socket.create_connection(address, timeout=60) as caller:
        caller.sendall(b"\x16\x03\x01 this is no request\r\n\r\n")
        assert caller.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
    assert http.get("/healthz").status_code == 200

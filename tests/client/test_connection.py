"""Addresses, tokens, TLS, and connections that break."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from crossfuse.client import (
    ConnectionLost,
    FusionClient,
    LocalTransport,
    ServerUnavailable,
    ServerUnreachable,
    TlsOptions,
)
from crossfuse.client.connection import Connection
from crossfuse.client.retries import DEFAULT_RETRIES, FIRST_BACKOFF, LONGEST_BACKOFF
from crossfuse.errors import InvalidInput
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_server.app import FusionServer

Connect = Callable[..., FusionClient]
Serve = Callable[..., FusionServer]

TOKEN = "open-sesame"  # noqa: S105 - of no server but the test's


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cert.pem and key.pem of localhost, which is also its own authority."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates cannot be made: no openssl on the PATH")
    folder = tmp_path_factory.mktemp("tls")
    options = (
        "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run(
        ["openssl", "req", *options.split()],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.parametrize(
    "target",
    [
        "localhost:8001",
        "10.0.0.7:1",
        "[::1]:8001",
        "dns:///fusion:8001",
        "unix:/run/crossfuse.sock",
    ],
)
def test_targets(target: str) -> None:
    with FusionClient(target) as client:
        assert target in repr(client)


@pytest.mark.parametrize(
    "target",
    ["localhost", "", "http://localhost:8001", "localhost:", "localhost:99999", ":8001", "a b:80"],
)
def test_targets_that_are_none(target: str) -> None:
    with pytest.raises(
        InvalidInput, match=r"target: got .*; valid: HOST:PORT, like localhost:8001"
    ):
        FusionClient(target)


def test_the_token_is_shown_to_nobody() -> None:
    with FusionClient(token=TOKEN, tls=True) as client:
        assert TOKEN not in repr(client)
        assert TOKEN not in repr(vars(client))
        assert "token='***'" in repr(client)
    with pytest.raises(InvalidInput, match="token: got text with blanks") as caught:
        FusionClient(token=f"{TOKEN}\n")
    assert TOKEN not in str(caught.value)


def test_a_transport_brings_its_own_token_and_tls() -> None:
    transport = LocalTransport(lambda ir, vis, **options: vis)
    for beside in ({"token": TOKEN}, {"tls": True}):
        with pytest.raises(InvalidInput, match="transport: got one beside token or tls"):
            FusionClient(transport=transport, **beside)


def test_tls_with_a_token(
    connect: Connect, serve: Serve, scripted: Any, certificates: Path, ir: Any, vis: Any
) -> None:
    scripted.gate.set()
    (certificates / "tokens").write_text(TOKEN)
    server = serve(
        scripted,
        tls_cert=certificates / "cert.pem",
        tls_key=certificates / "key.pem",
        token_file=certificates / "tokens",
    )
    tls = TlsOptions(root_certificates=certificates / "cert.pem")
    client = connect(f"localhost:{server.port}", tls=tls, token=TOKEN)
    np.testing.assert_array_equal(client.fuse(ir, vis), vis)
    (result,) = client.stream([(ir, vis)])
    np.testing.assert_array_equal(result.image, vis)

    for untrusting in ({"tls": True}, {}):
        with pytest.raises(ServerUnavailable):
            connect(f"localhost:{server.port}", retries=0, token=TOKEN, **untrusting).health()


def test_a_server_that_asks_who_calls(connect: Connect, certificates: Path) -> None:
    class Servicer(fusion_pb2_grpc.FusionServiceServicer):
        def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
            return pb.GetServerInfoResponse(state=pb.SERVING_STATE_SERVING)

    cert, key = certificates / "cert.pem", certificates / "key.pem"
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())],
        root_certificates=cert.read_bytes(),
        require_client_auth=True,
    )
    server = grpc.server(ThreadPoolExecutor(1))
    fusion_pb2_grpc.add_FusionServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    known = TlsOptions(root_certificates=cert, client_certificate=cert, client_key=key)
    assert connect(f"localhost:{port}", tls=known).health() == "serving"
    stranger = TlsOptions(root_certificates=cert)
    with pytest.raises(ServerUnavailable):
        connect(f"localhost:{port}", tls=stranger, retries=0).health()
    server.stop(None).wait()


def test_tls_files_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"tls.root_certificates: got .*a PEM file that can be"):
        FusionClient(tls=TlsOptions(root_certificates=tmp_path / "absent.pem"))
    with pytest.raises(InvalidInput, match=r"tls.client_key: got nothing; valid: both"):
        TlsOptions(client_certificate="me.pem")


def test_a_restarted_server_is_found_again(
    connect: Connect, serve: Serve, scripted: Any, ir: Any, vis: Any
) -> None:
    scripted.gate.set()
    first = serve(scripted)
    client = connect(first)
    client.fuse(ir, vis)
    first.stop()
    with pytest.raises(ServerUnavailable):
        client.fuse(ir, vis)
    serve(scripted, port=first.port)
    np.testing.assert_array_equal(client.fuse(ir, vis), vis)
    (result,) = client.stream([(ir, vis)])
    np.testing.assert_array_equal(result.image, vis)


def test_a_call_survives_a_server_that_goes_and_comes(
    connect: Connect,
    serve: Serve,
    scripted: Any,
    eventually: Any,
    monkeypatch: pytest.MonkeyPatch,
    ir: Any,
    vis: Any,
) -> None:
    first = serve(scripted)
    client = connect(first, retries=100)
    pauses: list[float] = []

    def restart(seconds: float) -> None:
        if not pauses:
            serve(scripted, port=first.port)
        pauses.append(seconds)

    monkeypatch.setattr("crossfuse.client.blocking.sleep", restart)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.fuse, ir, vis)
        eventually(lambda: scripted.calls == 1)
        first._server.stop(None).wait()
        scripted.gate.set()
        np.testing.assert_array_equal(running.result(), vis)
    assert len(pauses) >= 1


def test_a_connection_that_breaks_during_a_stream(
    connect: Connect, serve: Serve, scripted: Any, eventually: Any, ir: Any, vis: Any
) -> None:
    server = serve(scripted)
    stream = connect(server).stream([(ir, vis)])
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(next, stream)
        eventually(lambda: scripted.calls == 1)
        server._server.stop(None).wait()
        with pytest.raises((ConnectionLost, ServerUnreachable)):
            running.result()


def test_the_retries_of_a_call_outlast_a_pause_of_the_connection() -> None:
    pauses = [min(FIRST_BACKOFF * 2**tries, LONGEST_BACKOFF) for tries in range(DEFAULT_RETRIES)]
    options = dict(Connection("far:1", None, None, 1024).options)
    longest = int(options["grpc.max_reconnect_backoff_ms"])
    assert 0.5 * sum(pauses) > 1.2 * longest / 1000  # the least of ours, the most of gRPC's


def test_loopback_never_goes_through_a_proxy() -> None:
    def proxied(target: str) -> int | str:
        return dict(Connection(target, None, None, 1024).options)["grpc.enable_http_proxy"]

    assert proxied("localhost:8001") == proxied("127.0.0.1:1") == proxied("[::1]:1") == 0
    assert proxied("fusion.example:8001") == 1

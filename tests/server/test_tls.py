"""A server behind TLS: what callers see of a certificate that is good, and of one that is over."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc

SUBJECT = "-subj /CN=localhost -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
NAMES = "subjectAltName=DNS:localhost"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """good.pem and expired.pem, each with its .key."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates cannot be made: no openssl on the PATH")
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names").write_text(NAMES, encoding="utf-8")
    for name, days in (("good", 2), ("expired", -1)):
        request = f"req {SUBJECT} -keyout {name}.key -out {name}.csr"
        sign = (
            f"x509 -req -in {name}.csr -signkey {name}.key -days {days} -extfile names "
            f"-out {name}.pem"
        )
        for command in (request, sign):
            subprocess.run(
                ["openssl", *command.split()], cwd=folder, check=True, capture_output=True
            )
    return folder


@pytest.mark.parametrize(("name", "works"), [("good", True), ("expired", False)])
def test_certificates(
    name: str, works: bool, certificates: Path, serve: Callable[..., Any], make: Any
) -> None:
    running = serve(
        wait=False, tls_cert=certificates / f"{name}.pem", tls_key=certificates / f"{name}.key"
    )
    roots = (certificates / f"{name}.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(roots)
    with grpc.secure_channel(f"localhost:{running.server.port}", credentials) as channel:
        stub: Any = fusion_pb2_grpc.FusionServiceStub
        ask = stub(channel).GetServerInfo
        if works:
            assert ask(pb.GetServerInfoRequest(), timeout=60, wait_for_ready=True).version
            return
        with pytest.raises(grpc.RpcError) as caught:
            ask(pb.GetServerInfoRequest(), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert running.server.state.value in {"loading", "serving"}, "to the server it is one more try"

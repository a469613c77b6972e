"""Who may ask for what: tokens, TLS, other sites, other machines."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from crossfuse_server.http import live

OPEN = ["/healthz", "/readyz", "/", "/docs", "/page/main.js", "/page/style.css", "/page/icon.svg"]
CLOSED = [
    *("/metrics", "/v1/models", "/v1/state", "/v1/samples", "/v1/samples/street/ir"),
    *("/v1/streams", "/v1/streams/1/view", "/openapi.json", "/nowhere"),
]
TOKEN = {"Authorization": "Bearer first-token"}


@pytest.fixture(scope="module")
def guarded(
    start_server: Callable[..., Any],
    http: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """A server with tokens."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text("first-token\n", encoding="utf-8")
    running = start_server(http_port=0, token_file=tokens)
    found = type(http)(running, (http.ir, http.vis))
    yield found
    found.client.close()
    running.end()


@pytest.mark.parametrize("path", OPEN)
def test_what_everybody_may_see(path: str, guarded: Any) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("path", CLOSED)
def test_what_asks_for_a_token(path: str, guarded: Any) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic first-token"}):
        answer = guarded.get(path, **headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "UNAUTHENTICATED"
    assert guarded.get(path, **TOKEN).status_code in (200, 404)


def test_a_token_in_the_address_counts_for_nothing(guarded: Any) -> None:
    assert guarded.get("/v1/state?token=first-token&access_token=first-token").status_code == 401


def test_fusing_with_a_token(guarded: Any) -> None:
    assert guarded.fuse(headers=TOKEN).status_code == 200
    refused = guarded.fuse(ir=b"\0" * 2_000_000)
    assert refused.status_code == 401, "a caller that still sends gets the answer"


def test_a_client_is_one_client_whatever_it_speaks(http: Any, guarded: Any, make: Any) -> None:
    """So that nobody gets a second share by speaking another protocol."""
    seen: list[str] = []
    for running, headers in ((http, {}), (guarded, TOKEN)):
        admission = running.running.server.admission
        identify = admission.identify

        def note(context: Any, identify: Callable[[Any], str] = identify) -> str:
            seen.append(identify(context))
            return seen[-1]

        admission.identify = note
        try:
            running.fuse(headers=headers)
            metadata = [("authorization", headers["Authorization"])] if headers else []
            running.running.stub.Fuse(make.request(), metadata=metadata, timeout=60)
        finally:
            admission.identify = identify
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert len(set(seen)) == 2


def test_nothing_of_a_caller_is_logged(guarded: Any, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        for name in ("crossfuse_server", "uvicorn", "asyncio"):
            stack.enter_context(caplog.at_level(logging.DEBUG, name))
        guarded.fuse(headers=TOKEN)
        guarded.fuse(headers=TOKEN, model="secret-model")
        guarded.fuse(headers=TOKEN, encoding="secret-word")
        guarded.fuse(b"no picture, secret", headers=TOKEN)
        guarded.get("/secret-path", **TOKEN)
        guarded.get("/v1/samples/secret-name/ir", **TOKEN)
        guarded.get("/v1/state?secret-query=1", Authorization="Bearer secret-token")
    assert "POST /v1/fuse" in caplog.text
    assert "NOT_FOUND" in caplog.text
    for word in ("secret", "first-token"):
        assert word not in caplog.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites(site: str, http: Any) -> None:
    answer = http.fuse(headers={"Sec-Fetch-Site": site})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "PERMISSION_DENIED")
    assert http.fuse(headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert http.get("/", **{"Sec-Fetch-Site": site}).status_code == 200


def test_no_other_origin_is_let_in(http: Any) -> None:
    asked = http.client.options(
        "/v1/fuse",
        headers={"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST"},
    )
    for answer in (asked, http.get("/v1/state", Origin="http://elsewhere")):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/page/style.css", "/v1/models", "/nowhere", "/healthz"])
def test_every_answer_has_the_headers(path: str, http: Any) -> None:
    headers = http.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/page/../schemas.py",
        "/page/%2e%2e/schemas.py",
        "/page/..%2fschemas.py",
        "/page//etc/passwd",
        "/v1/samples/%2e%2e/ir",
        "/v1/samples/street/..%2f..%2fmodels",
        "/v1/samples/..%2fsample/ir",
        "/etc/passwd",
    ],
)
def test_no_path_reaches_a_folder(path: str, http: Any) -> None:
    request = http.client.build_request("GET", http.url)
    request.url = httpx.URL(http.url).copy_with(raw_path=path.encode())
    answer = http.client.send(request)
    assert answer.status_code in (400, 404)
    assert "error" in answer.json()


def scope(host: str, *names: str) -> Request:
    headers = [(name.encode(), b"10.0.0.1") for name in names]
    return Request({"type": "http", "client": (host, 1), "headers": headers})


def test_who_is_on_this_machine() -> None:
    assert live.is_local(scope("127.0.0.1"))
    assert live.is_local(scope("::1"))
    assert live.is_local(scope("::ffff:127.0.0.1"))
    assert not live.is_local(scope("192.0.2.7"))
    assert not live.is_local(scope("127.0.0.1", "x-forwarded-for")), "a proxy of somebody else"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and server.pem and caller.pem made by it, each with its .key."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates cannot be made: no openssl on the PATH")
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1", encoding="utf-8")
    new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    commands = [f"req -x509 -subj /CN=ca {new} -keyout ca.key -out ca.pem -days 2"]
    for name in ("server", "caller"):
        commands.append(f"req -subj /CN={name} {new} -keyout {name}.key -out {name}.csr")
        commands.append(
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
            f"-extfile names -out {name}.pem"
        )
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    for key in folder.glob("*.key"):
        key.chmod(0o600)
    return folder


@pytest.mark.parametrize("mutual", [False, True])
def test_tls(mutual: bool, certificates: Path, serve: Callable[..., Any]) -> None:
    running = serve(
        wait=False,
        http_port=0,
        tls_cert=certificates / "server.pem",
        tls_key=certificates / "server.key",
        tls_client_ca=certificates / "ca.pem" if mutual else None,
    )
    url = f"https://localhost:{running.server.http_port}/healthz"
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    if mutual:
        with pytest.raises(httpx.TransportError):
            httpx.get(url, verify=context, trust_env=False)
        context.load_cert_chain(certificates / "caller.pem", certificates / "caller.key")
    assert httpx.get(url, verify=context, trust_env=False).text == "ok\n"
    with pytest.raises(httpx.TransportError):
        httpx.get(url.replace("https", "http"), trust_env=False)

"""TLS: who is let in with which certificate, and certificates that change while calls go on."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossfuse.cli import main
from crossfuse.client import FusionClient, TlsOptions
from crossfuse.client.errors import ServerUnavailable
from crossfuse.errors import InvalidInput
from crossfuse_server.settings import ServerSettings
from crossfuse_server.tls import server_context

REQUEST = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
NAMES = "subjectAltName=DNS:localhost"
PATIENCE = 60

Serve = Callable[..., Any]


def openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def write_certificate(folder: Path, name: str, authority: str, days: int = 2) -> None:
    """NAME.pem and NAME.key for localhost, signed by an authority in the same folder."""
    openssl(folder, f"{REQUEST} -subj /CN={name} -keyout {name}.key -out {name}.csr")
    openssl(
        folder,
        f"x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial "
        f"-days {days} -extfile names -out {name}.pem",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities, a and b, each with a server; clients of both, and one that has expired."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates cannot be made: no openssl on the PATH")
    folder = tmp_path_factory.mktemp("tls")
    (folder / "names").write_text(NAMES, encoding="utf-8")
    for authority in ("a", "b"):
        openssl(
            folder,
            f"{REQUEST} -x509 -subj /CN=authority-{authority} -days 2 "
            f"-keyout {authority}.key -out {authority}.pem",
        )
        write_certificate(folder, f"server-{authority}", authority)
        write_certificate(folder, f"client-{authority}", authority)
    write_certificate(folder, "client-expired", "a", days=-1)
    write_certificate(folder, "server-expired", "a", days=-1)
    return folder


@pytest.fixture
def files(made: Path, tmp_path: Path) -> dict[str, Path]:
    """The settings of a server of authority a that takes clients of it, as files of its own."""
    copies = {
        "tls_cert": ("server-a.pem", "cert.pem"),
        "tls_key": ("server-a.key", "key.pem"),
        "tls_client_ca": ("a.pem", "clients.pem"),
    }
    for source, name in copies.values():
        shutil.copy(made / source, tmp_path / name)
    return {setting: tmp_path / name for setting, (_, name) in copies.items()}


def put(source: Path, target: Path) -> None:
    """Replace a file as a whole, as tools that rotate certificates do."""
    beside = target.with_suffix(".new")
    shutil.copy(source, beside)
    beside.replace(target)


def client_of(running: Any, made: Path, roots: str = "a", mine: str | None = None) -> FusionClient:
    """A client on a new connection that trusts an authority and presents a certificate."""
    tls = TlsOptions(
        root_certificates=made / f"{roots}.pem",
        client_certificate=None if mine is None else made / f"{mine}.pem",
        client_key=None if mine is None else made / f"{mine}.key",
    )
    return FusionClient(f"localhost:{running.server.port}", tls=tls, retries=0, timeout=PATIENCE)


def is_let_in(running: Any, made: Path, roots: str = "a", mine: str | None = None) -> bool:
    with client_of(running, made, roots, mine) as client:
        try:
            return bool(client.server_info().version)
        except ServerUnavailable:
            return False


@pytest.mark.parametrize(("name", "works"), [("server-a", True), ("server-expired", False)])
def test_what_callers_see_of_a_certificate(
    name: str, works: bool, made: Path, serve: Serve
) -> None:
    running = serve(wait=False, tls_cert=made / f"{name}.pem", tls_key=made / f"{name}.key")
    assert is_let_in(running, made) is works
    assert not is_let_in(running, made, roots="b")
    assert running.server.state.value in {"loading", "serving"}, "to the server it is one more try"


@pytest.mark.parametrize(
    ("mine", "works"),
    [("client-a", True), ("client-b", False), ("client-expired", False), (None, False)],
)
def test_who_is_let_in(
    mine: str | None, works: bool, made: Path, files: dict[str, Path], serve: Serve
) -> None:
    running = serve(wait=False, **files)
    assert is_let_in(running, made, mine=mine) is works
    assert is_let_in(running, made, mine="client-a"), "one that was refused is in nobody's way"


def test_a_caller_without_tls(made: Path, files: dict[str, Path], serve: Serve) -> None:
    running = serve(wait=False, **files)
    with FusionClient(running.address, retries=0) as client, pytest.raises(ServerUnavailable):
        client.server_info()


def test_a_new_certificate(made: Path, files: dict[str, Path], serve: Serve) -> None:
    del files["tls_client_ca"]
    running = serve(wait=False, **files)
    with client_of(running, made, "a") as connected:
        assert connected.server_info().version
        put(made / "server-b.pem", files["tls_cert"])
        put(made / "server-b.key", files["tls_key"])
        assert is_let_in(running, made, "b")
        assert not is_let_in(running, made, "a")
        assert connected.server_info().version, "a connection that is there goes on"


def test_an_open_stream_outlives_its_certificate(
    made: Path, files: dict[str, Path], serve: Serve, make: Any
) -> None:
    running = serve(wait=False, **files)
    go_on = threading.Event()

    def pairs() -> Any:
        yield make.ir(), make.vis()
        assert go_on.wait(PATIENCE)
        yield make.ir(), make.vis()

    with client_of(running, made, mine="client-a") as client:
        client.fuse(make.ir(), make.vis(), timeout=PATIENCE)  # also waits for the model
        results = client.stream(pairs())
        assert next(results).frame_id == 0
        put(made / "server-b.pem", files["tls_cert"])
        put(made / "server-b.key", files["tls_key"])
        put(made / "b.pem", files["tls_client_ca"])
        assert is_let_in(running, made, "b", "client-b")
        go_on.set()
        assert next(results).frame_id == 1


def test_a_half_written_pair_keeps_the_old_one(
    made: Path, files: dict[str, Path], serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    del files["tls_client_ca"]
    running = serve(wait=False, **files)
    put(made / "server-b.pem", files["tls_cert"])  # its key is still that of a
    assert is_let_in(running, made, "a")
    assert is_let_in(running, made, "a")
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1, "once, not at every connection"
    assert "what served before serves on" in told[0].getMessage()
    files["tls_key"].write_bytes((made / "server-b.key").read_bytes()[:50])
    assert is_let_in(running, made, "a")
    put(made / "server-b.key", files["tls_key"])
    assert is_let_in(running, made, "b")


def test_new_authorities(made: Path, files: dict[str, Path], serve: Serve) -> None:
    running = serve(wait=False, **files)
    assert is_let_in(running, made, mine="client-a")
    put(made / "b.pem", files["tls_client_ca"])
    assert is_let_in(running, made, mine="client-b")
    assert not is_let_in(running, made, mine="client-a")
    both = (made / "a.pem").read_bytes() + (made / "b.pem").read_bytes()
    files["tls_client_ca"].write_bytes(both)
    assert is_let_in(running, made, mine="client-b")
    assert is_let_in(running, made, mine="client-a")


def test_authorities_that_are_none_keep_the_old_ones(
    made: Path, files: dict[str, Path], serve: Serve
) -> None:
    """An empty list must not let everybody in."""
    running = serve(wait=False, **files)
    files["tls_client_ca"].write_text("")
    assert is_let_in(running, made, mine="client-a")
    assert not is_let_in(running, made, mine="client-b")
    files["tls_client_ca"].unlink()
    assert not is_let_in(running, made)


def test_a_silent_peer_is_in_nobodys_way(made: Path, files: dict[str, Path], serve: Serve) -> None:
    running = serve(wait=False, **files)
    silent = [socket.create_connection(("127.0.0.1", running.server.port)) for _ in range(20)]
    for number, peer in enumerate(silent):
        peer.sendall(b"\x16\x03\x01"[: number % 4])  # the beginning of a handshake
    assert is_let_in(running, made, mine="client-a")
    for peer in silent:
        peer.close()


def test_files_that_do_not_fit_each_other(made: Path, serve: Serve) -> None:
    with pytest.raises(InvalidInput, match=r"tls_cert and tls_key: got .*; valid: a PEM file"):
        serve(tls_cert=made / "server-a.pem", tls_key=made / "server-b.key")
    with pytest.raises(InvalidInput, match=r"tls_client_ca: got .*; valid: a PEM file with cert"):
        serve(
            tls_cert=made / "server-a.pem",
            tls_key=made / "server-a.key",
            tls_client_ca=made / "names",
        )


def http_peer(context: ssl.SSLContext, made: Path, roots: str, mine: str | None) -> str:
    """What a client of another protocol gets through a context: the server's CN, or refused."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        try:
            with context.wrap_socket(ours, server_side=True) as connection:
                connection.sendall(connection.recv(1))
        except OSError:
            ours.close()

    thread = threading.Thread(target=answer)
    thread.start()
    wanted = ssl.create_default_context(cafile=made / f"{roots}.pem")
    if mine is not None:
        wanted.load_cert_chain(made / f"{mine}.pem", made / f"{mine}.key")
    try:
        with wanted.wrap_socket(theirs, server_hostname="localhost") as connection:
            connection.sendall(b"x")
            if connection.recv(1) != b"x":
                return "refused"
            subject: Any = (connection.getpeercert() or {})["subject"]
            return str(subject[0][0][1])
    except OSError:
        return "refused"
    finally:
        theirs.close()
        thread.join()


def test_the_context_for_other_protocols(made: Path, files: dict[str, Path]) -> None:
    context = server_context(ServerSettings(**files))  # type: ignore[arg-type]
    assert context is not None
    assert http_peer(context, made, "a", "client-a") == "server-a"
    for mine in ("client-b", "client-expired", None):
        assert http_peer(context, made, "a", mine) == "refused"
    put(made / "server-b.pem", files["tls_cert"])
    assert http_peer(context, made, "a", "client-a") == "server-a", "half a pair"
    put(made / "server-b.key", files["tls_key"])
    assert http_peer(context, made, "b", "client-a") == "server-b"
    put(made / "b.pem", files["tls_client_ca"])
    assert http_peer(context, made, "b", "client-b") == "server-b"
    assert http_peer(context, made, "b", "client-a") == "refused"


def test_no_certificate_is_no_context() -> None:
    assert server_context(ServerSettings()) is None


def test_the_command_with_a_certificate(
    made: Path, files: dict[str, Path], serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    running = serve(wait=False, **files)
    ask = ["health", "--server", f"localhost:{running.server.port}"]
    trust = ["--tls-ca", str(made / "a.pem")]
    mine = ["--tls-cert", str(made / "client-a.pem"), "--tls-key", str(made / "client-a.key")]
    assert main([*ask, *trust]) == 1
    assert capsys.readouterr().out == "unreachable\n"
    main([*ask, *trust, *mine])
    assert capsys.readouterr().out in ("loading\n", "serving\n")
    assert main([*ask, *trust, *mine[:2]]) == 2
    assert capsys.readouterr().err.startswith("crossfuse health: tls.client_key: got nothing")

"""Bearer tokens: who may call, and what everybody may ask."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status

from crossfuse.errors import InvalidInput
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server import changing
from crossfuse_server.shares import by_token
from crossfuse_server.tokens import Tokens

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED.value[0]


@pytest.fixture(scope="module")
def guarded(start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text("# who may come in\n\nfirst-token\n  second-token  \n", encoding="utf-8")
    running = start_server(token_file=tokens)
    yield running
    running.end()


def call(running: Any, request: pb.FuseRequest, *metadata: tuple[str, str]) -> Any:
    return running.stub.Fuse(request, metadata=metadata, timeout=60)


def refusal(running: Any, status_of: Any, request: Any, *metadata: tuple[str, str]) -> Status:
    with pytest.raises(grpc.RpcError) as caught:
        call(running, request, *metadata)
    status: Status = status_of(caught.value)
    return status


@pytest.mark.parametrize(
    "value",
    [
        "Bearer first-token",
        "Bearer second-token",
        "bearer first-token",
        "BEARER first-token",
        "Bearer   first-token ",
    ],
)
def test_a_known_token(value: str, guarded: Any, make: Any) -> None:
    """The name of the scheme is not case-sensitive (RFC 9110, 11.1)."""
    answer = call(guarded, make.request(), ("authorization", value))
    assert answer.fused.height == 48


def test_no_token(guarded: Any, make: Any, status_of: Any) -> None:
    status = refusal(guarded, status_of, make.request())
    assert status.code == UNAUTHENTICATED
    assert status.message == (
        "authorization: got nothing; valid: metadata 'authorization: Bearer TOKEN'"
    )


@pytest.mark.parametrize(
    "value",
    [
        "Bearer third-token",
        "Bearer ",
        "first-token",
        "Bearer first-token2",
        "Basic first-token",
        "Bearerfirst-token",
        "Bearer first-token second-token",
        "Bearer # who may come in",
    ],
)
def test_a_wrong_token(value: str, guarded: Any, make: Any, status_of: Any) -> None:
    status = refusal(guarded, status_of, make.request(), ("authorization", value))
    assert status.code == UNAUTHENTICATED
    assert status.message == (
        "authorization: got a token this server does not know; "
        "valid: metadata 'authorization: Bearer TOKEN'"
    )
    assert "first-token" not in status.message


def test_a_large_message_without_a_token(guarded: Any, make: Any, status_of: Any) -> None:
    """It is refused before the server has taken it in."""
    status = refusal(guarded, status_of, make.request(make.ir(1500, 2000), make.vis(1500, 2000)))
    assert status.code == UNAUTHENTICATED


def test_a_stream_without_a_token(guarded: Any, make: Any) -> None:
    stream = guarded.stream()
    stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
    answers, status = stream.rest()
    assert (answers, status.code) == ([], UNAUTHENTICATED)


def test_server_information_needs_a_token(guarded: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        guarded.info()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_needs_none(guarded: Any) -> None:
    assert guarded.health() == "SERVING"


@pytest.mark.parametrize("text", ["", "\n# nothing but a comment\n"])
def test_a_file_without_a_token(text: str, serve: Callable[..., Any], tmp_path: Path) -> None:
    """It must not mean that everybody may come in, nor that nobody may."""
    empty = tmp_path / "tokens"
    empty.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"token_file: got .* without a token; valid: one"):
        serve(token_file=empty)


def test_a_line_that_no_header_can_carry(serve: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("good\nof two words\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"token_file: got .* in line 2; valid: one") as caught:
        serve(token_file=path)
    assert "two words" not in str(caught.value)


def admin_methods() -> list[str]:
    return [method.name for method in pb.DESCRIPTOR.services_by_name["AdminService"].methods]


@pytest.fixture(scope="module")
def administered(start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("admin")
    (folder / "tokens").write_text("caller", encoding="utf-8")
    (folder / "admins").write_text("admin", encoding="utf-8")
    running = start_server(token_file=folder / "tokens", admin_token_file=folder / "admins")
    yield running
    running.end()


@pytest.mark.parametrize("value", [None, "Bearer caller", "Bearer ", "Bearer wrong", "admin"])
@pytest.mark.parametrize("method", admin_methods())
def test_every_admin_call_needs_the_admin_token(
    method: str, value: str | None, administered: Any
) -> None:
    before = [model.bundle.reference for model in administered.server.host.models]
    call = administered.channel.unary_unary(f"/crossfuse.v1.AdminService/{method}")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", metadata=[("authorization", value)] if value else None, timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert [model.bundle.reference for model in administered.server.host.models] == before


def test_there_are_admin_calls_to_refuse(administered: Any) -> None:
    assert {"LoadModel", "UnloadModel", "ReloadModels"} <= set(admin_methods())
    reload = administered.channel.unary_unary("/crossfuse.v1.AdminService/ReloadModels")
    assert reload(b"", metadata=[("authorization", "Bearer admin")], timeout=60) is not None


def test_an_admin_token_is_not_for_pictures(administered: Any, make: Any, status_of: Any) -> None:
    status = refusal(administered, status_of, make.request(), ("authorization", "Bearer admin"))
    assert status.code == UNAUTHENTICATED


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossfuse_server.tokens.LOOK_SECONDS", 0.0)


def passes(tokens: Tokens, token: str) -> bool:
    return tokens.check(f"Bearer {token}") is None


def write(path: Path, text: str) -> None:
    """Another file in its place, so that it differs also within one tick of the clock."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o600)
    beside.replace(path)


@pytest.mark.usefixtures("looks_at_once")
def test_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    write(path, "old")
    tokens = Tokens("token_file", path)
    assert passes(tokens, "old")
    write(path, "new\r\n# old\r\n")
    assert passes(tokens, "new")
    assert not passes(tokens, "old")


@pytest.mark.usefixtures("looks_at_once")
@pytest.mark.parametrize("text", ["", "# nobody\n", "of two words\n", None])
def test_a_new_file_that_is_not_good(
    text: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old tokens stay good, and the log says so once."""
    path = tmp_path / "tokens"
    write(path, "secret-of-old")
    tokens = Tokens("token_file", path)
    if text is None:
        path.unlink()
    else:
        write(path, text)
    for _ in range(3):
        assert passes(tokens, "secret-of-old")
        assert not passes(tokens, "")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("token_file: what served before serves on: ")
    assert "secret-of-old" not in caplog.text
    assert "two words" not in caplog.text
    write(path, "new")
    assert passes(tokens, "new")


def test_the_file_is_not_looked_at_for_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens"
    write(path, "old")
    monkeypatch.setattr("crossfuse_server.tokens.LOOK_SECONDS", 3600.0)
    tokens = Tokens("token_file", path)
    write(path, "new")
    with monkeypatch.context() as patch:
        patch.setattr(changing, "_stat", lambda _: pytest.fail("it was looked at"))
        assert all(passes(tokens, "old") for _ in range(100))
    tokens.reread()
    assert passes(tokens, "new"), "as SIGHUP asks for"


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
@pytest.mark.parametrize(("mode", "count"), [(0o600, 0), (0o640, 0), (0o644, 1)])
def test_a_file_that_everybody_can_read(
    mode: int, count: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens"
    write(path, "secret")
    path.chmod(mode)
    Tokens("token_file", path)
    told = [record.getMessage() for record in caplog.records]
    assert told == count * [
        "token_file can be read by every user of this machine; valid: chmod 600"
    ]


def test_every_token_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens"
    write(path, "first\nsecond\nthird\n")
    tokens = Tokens("token_file", path)
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr("crossfuse_server.tokens.hmac.compare_digest", compare)
    assert passes(tokens, "first")
    assert compared == 3 * [(32, 32)], "none is left out after a hit, and lengths are equal"


def test_spelling_the_scheme_anew_makes_no_second_client(guarded: Any) -> None:
    """Shares of the server are given out by token."""

    def client(value: str) -> str:
        metadata = (("authorization", value),)
        return by_token(SimpleNamespace(invocation_metadata=lambda: metadata))  # type: ignore[arg-type]

    assert client("Bearer first-token") == client("bEARER  first-token")
    assert client("Bearer first-token") != client("Bearer second-token")
    assert "first-token" not in client("Bearer first-token")


def test_what_sighup_does_reads_the_tokens_too(
    serve: Callable[..., Any],
    tmp_path: Path,
    make: Any,
    status_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crossfuse_server.tokens.LOOK_SECONDS", 3600.0)
    path = tmp_path / "tokens"
    write(path, "old")
    running = serve(token_file=path)
    write(path, "new")
    assert call(running, make.request(), ("authorization", "Bearer old")).fused.height == 48
    running.server.reread()
    status = refusal(running, status_of, make.request(), ("authorization", "Bearer old"))
    assert status.code == UNAUTHENTICATED
    assert call(running, make.request(), ("authorization", "Bearer new")).fused.height == 48

"""Bearer tokens: who may call, and what everybody may ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status

from crossfuse.errors import InvalidInput
from crossfuse.v1 import fusion_pb2 as pb

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


@pytest.mark.parametrize("token", ["first-token", "second-token"])
def test_a_known_token(token: str, guarded: Any, make: Any) -> None:
    answer = call(guarded, make.request(), ("authorization", f"Bearer {token}"))
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
        "bearer first-token",
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

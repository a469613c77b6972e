"""Each status over a real socket becomes its error, with the server's words."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from crossfuse import client as client_package
from crossfuse.client import (
    AccessDenied,
    CallCancelled,
    CallTimeout,
    ClientError,
    ConnectionLost,
    FusionClient,
    IncompatibleServer,
    InvalidRequest,
    ServerBusy,
    ServerFault,
    ServerNotReady,
    ServerUnreachable,
    UnknownModel,
)
from crossfuse.client import errors as errors_module
from crossfuse.client.statuses import error_of_status
from crossfuse.errors import CrossFuseError
from crossfuse_server.app import FusionServer

Connect = Callable[..., FusionClient]
Serve = Callable[..., FusionServer]

RIGHT, WRONG = "open-sesame", "guess"
ABSURD = [1e-9, 0, 0, 0, 1e-9, 0, 0, 0, 1]


def test_invalid_argument(client: FusionClient, ir: Any, vis: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"homography: got .*; valid: .*") as caught:
        client.fuse(ir, vis, homography=ABSURD)
    assert caught.value.exit_code == 2
    with pytest.raises(InvalidRequest, match="at least 32 pixels on each side"):
        client.fuse(ir[:20], vis[:20])


def test_not_found(client: FusionClient, ir: Any, vis: Any) -> None:
    with pytest.raises(UnknownModel, match="got 'median:3'; valid: mean:1, mean:2") as caught:
        client.fuse(ir, vis, model="median:3")
    assert caught.value.exit_code == 2


def test_unauthenticated(
    connect: Connect, serve: Serve, tmp_path: Path, scripted: Any, ir: Any, vis: Any
) -> None:
    scripted.gate.set()
    (tmp_path / "tokens").write_text(f"# ours\n{RIGHT}\n")
    server = serve(scripted, token_file=tmp_path / "tokens")
    with pytest.raises(AccessDenied, match="authorization: got nothing") as caught:
        connect(server).fuse(ir, vis)
    assert caught.value.exit_code == 2
    with pytest.raises(AccessDenied, match="does not know"):
        connect(server, token=WRONG).health()
    with pytest.raises(AccessDenied, match="does not know"):
        list(connect(server, token=WRONG).stream([(ir, vis)]))
    np.testing.assert_array_equal(connect(server, token=RIGHT).fuse(ir, vis), vis)


def test_resource_exhausted(
    connect: Connect, serve: Serve, scripted: Any, eventually: Any, ir: Any, vis: Any
) -> None:
    server = serve(scripted, max_queue=1)
    client = connect(server, retries=0)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(client.fuse, ir, vis)
        eventually(lambda: scripted.calls == 1)
        waiting = pool.submit(client.fuse, ir, vis)
        eventually(lambda: server.host.default.queue.waiting == 1)
        with pytest.raises(
            ServerBusy, match="queue of mean:1: got more calls than the 1"
        ) as caught:
            client.fuse(ir, vis)
        scripted.gate.set()
        assert running.result().shape == waiting.result().shape == vis.shape
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 0


def test_a_message_too_large_is_no_reason_to_come_back(
    connect: Connect, serve: Serve, scripted: Any, picture: Any
) -> None:
    scripted.gate.set()
    server = serve(scripted, max_pixels=1024, warm_up="32x32")
    large = picture(480, 640)
    with pytest.raises(InvalidRequest, match="max_pixels of the server"):
        connect(server).fuse(large, large)
    assert scripted.calls == 0


def test_deadline_exceeded(
    connect: Connect, serve: Serve, scripted: Any, ir: Any, vis: Any
) -> None:
    client = connect(serve(scripted))
    with pytest.raises(CallTimeout, match="timeout: ") as caught:
        client.fuse(ir, vis, timeout=0.2)
    assert not caught.value.retryable
    with pytest.raises(CallTimeout, match="timeout: "):
        list(client.stream([(ir, vis)], timeout=0.2))


def test_internal(connect: Connect, serve: Serve, scripted: Any, ir: Any, vis: Any) -> None:
    scripted.error = ZeroDivisionError("secret path")
    scripted.gate.set()
    with pytest.raises(ServerFault, match=r"\(INTERNAL\)") as caught:
        connect(serve(scripted)).fuse(ir, vis)
    assert caught.value.incident is not None
    assert f"incident {caught.value.incident}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_unreachable(connect: Connect, serve: Serve, scripted: Any, ir: Any, vis: Any) -> None:
    server = serve(scripted)
    server.stop()
    client = connect(server, retries=1)
    start_one = rf"not be reached at 127.0.0.1:{server.port}: .*; start one with: crossfuse serve"
    with pytest.raises(ServerUnreachable, match=start_one):
        client.fuse(ir, vis)
    with pytest.raises(ServerUnreachable):
        client.health()
    with pytest.raises(ServerUnreachable):
        list(client.stream([(ir, vis)]))


def test_a_server_that_drains(
    connect: Connect, serve: Serve, scripted: Any, eventually: Any, ir: Any, vis: Any
) -> None:
    server = serve(scripted)
    client = connect(server, retries=0)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.fuse, ir, vis)
        eventually(lambda: scripted.calls == 1)
        drain = threading.Thread(target=server.drain)
        drain.start()
        eventually(lambda: client.health() == "draining")
        with pytest.raises(ServerNotReady, match="draining"):
            client.fuse(ir, vis)
        scripted.gate.set()
        np.testing.assert_array_equal(running.result(), vis)
        drain.join()


def test_closing_the_client_ends_its_calls(
    connect: Connect, serve: Serve, scripted: Any, eventually: Any, ir: Any, vis: Any
) -> None:
    client = connect(serve(scripted))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.fuse, ir, vis)
        eventually(lambda: scripted.calls == 1)
        client.close()
        with pytest.raises(CallCancelled):
            running.result()
    other = connect(serve(scripted))
    stream = other.stream(itertools.repeat((ir, vis)))
    scripted.gate.set()
    next(stream)
    other.close()
    with pytest.raises(CallCancelled):
        list(stream)
    with pytest.raises(RuntimeError, match="this client is closed"):
        client.fuse(ir, vis)
    with pytest.raises(RuntimeError, match="this client is closed"):
        client.stream([(ir, vis)])


def test_another_service_on_the_port(connect: Connect) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.raises(IncompatibleServer, match="does not offer this call"):
        connect(f"127.0.0.1:{port}").health()
    server.stop(None).wait()


def test_a_name_that_does_not_resolve() -> None:
    said = "errors resolving nowhere:1: [field:hostname lookup error:Domain name not found]"
    error = error_of_status(grpc.StatusCode.UNAVAILABLE, said, "nowhere:1")
    assert type(error) is ServerUnreachable
    assert str(error).startswith("the server could not be reached at nowhere:1: errors resolving")


def test_statuses_of_proxies() -> None:
    unavailable = error_of_status(grpc.StatusCode.UNAVAILABLE, "no healthy upstream", "far:1")
    assert type(unavailable) is ConnectionLost
    assert str(unavailable) == (
        "no answer from far:1: no healthy upstream; it ended, or a proxy gave up: try again"
    )
    denied = error_of_status(grpc.StatusCode.PERMISSION_DENIED, "not you", "far:1")
    assert type(denied) is AccessDenied
    other = error_of_status(grpc.StatusCode.DATA_LOSS, "bits fell out", "far:1")
    assert type(other) is ServerFault
    assert other.incident is None


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {
        line.lstrip("│├└─ ").split()[0]: int(line.lstrip("│├└─ ").split()[1])
        for line in (errors_module.__doc__ or "").splitlines()
        if line.startswith(("ClientError", "│", "├", "└"))
    }
    classes = {
        name: value
        for name, value in vars(errors_module).items()
        if isinstance(value, type)
        and value is not CrossFuseError
        and issubclass(value, CrossFuseError)
    }
    assert drawn == {name: found.exit_code for name, found in classes.items()}
    assert all(issubclass(found, ClientError) for found in classes.values())
    assert classes.keys() <= set(client_package.__all__)

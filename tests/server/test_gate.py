"""Reading and writing pictures when more come than can be read: turns, deadlines, no lost work."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from crossfuse.errors import DeadlineExceeded, Overloaded
from crossfuse.fuser import prepare_pair
from crossfuse_server import convert
from crossfuse_server.gate import Claim, Gate
from crossfuse_server.timeline import DECODE, ENCODE, Timeline

Serve = Callable[..., Any]
Eventually = Callable[..., None]


class Visitor:
    """A thread that asks for a place, notes when it has it, and leaves when it is told to."""

    def __init__(self, gate: Gate, order: list[str], client: str, phase: str = DECODE) -> None:
        self.leaves = threading.Event()
        self._thread = threading.Thread(target=self._visit, args=(gate, order, client, phase))
        self._thread.start()

    def _visit(self, gate: Gate, order: list[str], client: str, phase: str) -> None:
        with gate.place(Claim(client), Timeline(), phase):
            order.append(f"{client} {phase}")
            assert self.leaves.wait(60)

    def end(self) -> None:
        self.leaves.set()
        self._thread.join()


def waiting(gate: Gate) -> int:
    return len(gate._ending) + sum(map(len, gate._beginning.values()))


def test_who_ends_a_pair_goes_first_and_clients_take_turns(eventually: Eventually) -> None:
    gate, order = Gate(1), list[str]()
    visitors: list[Visitor] = []
    for number, (client, phase) in enumerate(
        [("a", DECODE), *[("a", DECODE)] * 3, ("b", DECODE), ("b", DECODE), ("c", ENCODE)]
    ):
        visitors.append(Visitor(gate, order, client, phase))
        eventually(lambda number=number: len(order) + waiting(gate) == number + 1)
    for visitor in visitors:
        visitor.leaves.set()
    for visitor in visitors:
        visitor.end()
    decodes = [f"{client} decode" for client in "ababa"]
    assert order == ["a decode", "c encode", *decodes]
    assert gate._free == 1


@pytest.mark.parametrize("phase", [DECODE, ENCODE])
def test_who_runs_out_of_time_leaves_his_place_to_others(
    phase: str, eventually: Eventually
) -> None:
    gate, order = Gate(1), list[str]()
    inside = Visitor(gate, order, "a")
    eventually(lambda: bool(order))
    claim = Claim("b", expires_at=monotonic() + 0.05)
    with (
        pytest.raises(DeadlineExceeded, match="passed while other pictures were read"),
        gate.place(claim, Timeline(), phase),
    ):
        order.append("late")
    assert waiting(gate) == 0
    inside.end()
    assert order == ["a decode"]
    assert gate._free == 1


def test_whose_caller_has_gone_passes_his_turn_on(eventually: Eventually) -> None:
    gate, order = Gate(1), list[str]()
    inside = Visitor(gate, order, "a")
    eventually(lambda: bool(order))
    gone: list[Exception] = []

    def visit() -> None:
        try:
            with gate.place(Claim("b", goes_on=lambda: False), Timeline(), DECODE):
                order.append("gone")
        except DeadlineExceeded as error:
            gone.append(error)

    thread = threading.Thread(target=visit)
    thread.start()
    eventually(lambda: waiting(gate) == 1)
    last = Visitor(gate, order, "c")
    eventually(lambda: waiting(gate) == 2)
    inside.end()
    last.end()
    thread.join()
    assert order == ["a decode", "c decode"]
    assert len(gone) == 1
    assert gate._free == 1


def test_a_deadline_that_cannot_be_met_is_refused_at_once(eventually: Eventually) -> None:
    """By turns: a long line of one client does not keep another one out."""
    gate, order = Gate(1), list[str]()
    inside = Visitor(gate, order, "many")
    eventually(lambda: bool(order))
    line = [Visitor(gate, order, "many") for _ in range(9)]
    eventually(lambda: waiting(gate) == 9)
    gate._pair_seconds = 1.0
    in_ten = monotonic() + 10
    with pytest.raises(Overloaded, match=r"pictures that come first take 10\.000 s") as caught:
        gate._ask(Claim("many", expires_at=in_ten), DECODE)
    assert 4.0 < caught.value.retry_after < 6.0
    turn = gate._ask(Claim("few", expires_at=in_ten), DECODE)
    assert turn is not None
    assert gate._ask(Claim("many", expires_at=math.inf), DECODE) is not None
    gate._forget(turn, "few")
    for visitor in (inside, *line):
        visitor.end()


@pytest.fixture
def two_tokens(tmp_path: Path) -> Path:
    tokens = tmp_path / "tokens"
    tokens.write_text("many\nfew\n", encoding="utf-8")
    tokens.chmod(0o600)
    return tokens


@pytest.fixture
def slow_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Pictures are read one by one, when the test lets them; it sees which."""
    tickets = threading.Semaphore(0)
    read: list[int] = []

    def prepare(ir: Any, *args: Any, **options: Any) -> Any:
        read.append(int(ir[0, 0]))
        assert tickets.acquire(timeout=60)
        return prepare_pair(ir, *args, **options)

    monkeypatch.setattr(convert, "prepare_pair", prepare)
    with ExitStack() as stack:
        stack.callback(tickets.release, 1000)
        yield tickets, read


def test_a_flood_of_pictures_of_one_client(
    serve: Serve,
    stand_in: Any,
    make: Any,
    eventually: Eventually,
    two_tokens: Path,
    slow_reader: Any,
    status_of: Any,
) -> None:
    """The other client's is read next; what nobody waits for any more is not read at all."""
    tickets, read = slow_reader
    running = serve(stand_in(lambda ir, vis: vis), decoders=1, token_file=two_tokens)
    gate = running.server.servicer._gate

    def call(token: str, level: int, timeout: float = 60) -> Any:
        request = make.request(np.full((48, 64), level, np.uint8))
        metadata = (("authorization", f"Bearer {token}"),)
        return running.stub.Fuse.future(request, timeout=timeout, metadata=metadata)

    flood = []
    for level in (1, 2, 3, 4):
        flood.append(call("many", level))
        eventually(lambda level=level: len(read) + waiting(gate) == level)
    late = call("many", 99, timeout=0.3)
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: waiting(gate) == 3)
    few = call("few", 50)
    eventually(lambda: waiting(gate) == 4)
    gate._pair_seconds = 10.0
    refused = status_of(call("many", 98, timeout=20).exception())
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert refused.message.startswith("decoders: got a deadline in ")
    assert any(detail.Unpack(RetryInfo()) for detail in refused.details)
    tickets.release(1000)
    for answer in (few, *flood):
        assert answer.result().fused.height == 48
    assert read == [1, 2, 50, 3, 4]
    assert gate._free == 1


def test_the_line_of_one_client_is_no_reason_to_refuse_another(
    serve: Serve, gated: Any, make: Any, eventually: Eventually, two_tokens: Path
) -> None:
    """Whose call comes next by turns can be done within its deadline."""
    running = serve(gated, token_file=two_tokens)

    def call(token: str, **options: Any) -> Any:
        metadata = (("authorization", f"Bearer {token}"),)
        return running.stub.Fuse.future(make.request(), metadata=metadata, **options)

    flood = [call("many", timeout=60) for _ in range(17)]
    eventually(lambda: running.waiting == 16)
    running.server.host.default.queue.pace.add(1.0, 48 * 64)
    assert call("many", timeout=20).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    few = call("few", timeout=20)
    eventually(lambda: running.waiting == 17 or few.done())
    gated.let_through()
    assert few.result().fused.height == 48
    for answer in flood:
        with suppress(grpc.RpcError):
            answer.result()

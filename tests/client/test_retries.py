"""When a call is tried again, and when not; no network and no real time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.client import (
    AccessDenied,
    CallCancelled,
    CallTimeout,
    ClientError,
    ConnectionLost,
    FusionClient,
    IncompatibleServer,
    InvalidRequest,
    LocalTransport,
    ServerBusy,
    ServerFault,
    ServerNotReady,
    ServerUnreachable,
    UnknownModel,
)
from crossfuse.client.retries import Attempts
from crossfuse.errors import InvalidInput


class FakeTime:
    """A clock that moves only when something sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Failing:
    """Fails with each error in turn, then gives the visible picture back."""

    def __init__(self, *errors: ClientError) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self, ir: Any, vis: Any, **options: Any) -> Any:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return vis


@pytest.fixture
def fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr("crossfuse.client.retries.monotonic", lambda: fake.now)
    monkeypatch.setattr("crossfuse.client.blocking.sleep", fake.sleep)
    return fake


def client_of(function: Any, **options: Any) -> FusionClient:
    return FusionClient(transport=LocalTransport(function), **options)


@pytest.mark.parametrize("error", [ServerBusy, ServerUnreachable, ServerNotReady, ConnectionLost])
def test_what_passes_is_tried_again(
    fake_time: FakeTime, error: type[ClientError], ir: Any, vis: Any
) -> None:
    function = Failing(error("once"), error("twice"))
    assert (client_of(function).fuse(ir, vis) == vis).all()
    assert function.tries == 3
    assert 0.05 <= fake_time.pauses[0] <= 0.1 <= fake_time.pauses[1] <= 0.2


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest,
        UnknownModel,
        AccessDenied,
        CallTimeout,
        CallCancelled,
        ServerFault,
        IncompatibleServer,
    ],
)
def test_what_does_not_pass_is_not(
    fake_time: FakeTime, error: type[ClientError], ir: Any, vis: Any
) -> None:
    function = Failing(error("for good"))
    with pytest.raises(error, match="for good"):
        client_of(function).fuse(ir, vis)
    assert (function.tries, fake_time.pauses) == (1, [])


def test_the_number_of_tries_is_bounded(fake_time: FakeTime, ir: Any, vis: Any) -> None:
    function = Failing(*(ServerBusy(f"try {number}") for number in range(9)))
    with pytest.raises(ServerBusy, match="try 2"):
        client_of(function, retries=2).fuse(ir, vis)
    assert function.tries == 3


def test_no_retries_when_none_are_wanted(fake_time: FakeTime, ir: Any, vis: Any) -> None:
    with pytest.raises(ServerNotReady):
        client_of(Failing(ServerNotReady("loading")), retries=0).fuse(ir, vis)
    assert fake_time.pauses == []
    with pytest.raises(InvalidInput, match="retries: got -1"):
        client_of(Failing(), retries=-1)


def test_the_servers_time_to_come_back_is_obeyed(fake_time: FakeTime, ir: Any, vis: Any) -> None:
    client_of(Failing(ServerBusy("full", retry_after=7.0))).fuse(ir, vis)
    assert 7.05 <= fake_time.pauses[0] <= 7.1


def test_no_waiting_beyond_the_deadline(fake_time: FakeTime, ir: Any, vis: Any) -> None:
    function = Failing(ServerBusy("full", retry_after=7.0))
    with pytest.raises(ServerBusy, match="full"):
        client_of(function).fuse(ir, vis, timeout=6.0)
    assert (function.tries, fake_time.pauses) == (1, [])


def test_a_loading_server_is_given_all_the_time_there_is(
    fake_time: FakeTime, ir: Any, vis: Any
) -> None:
    function = Failing(*(ServerNotReady("loading") for _ in range(999)))
    with pytest.raises(ServerNotReady):
        client_of(function, timeout=20.0).fuse(ir, vis)
    assert function.tries > 20
    assert 18 < sum(fake_time.pauses) < 20


@given(
    timeout=st.floats(0.01, 60),
    steps=st.lists(st.tuples(st.floats(0, 5), st.none() | st.floats(0, 5)), max_size=12),
)
def test_tries_and_pauses_together_stay_within_the_timeout(
    timeout: float, steps: list[tuple[float, float | None]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fake = FakeTime()
        patch.setattr("crossfuse.client.retries.monotonic", lambda: fake.now)
        start = fake.now
        attempts = Attempts(99, timeout)
        try:
            for lasts, retry_after in steps:
                fake.now += min(lasts, attempts.remaining())  # the transport keeps what it is given
                fake.sleep(attempts.pause_after(ServerBusy("full", retry_after=retry_after)))
                assert attempts.remaining() > 0
        except ClientError:
            pass
        assert fake.now <= start + timeout + 1e-9

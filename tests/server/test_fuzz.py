"""Request bytes that nobody would send: only documented statuses, and the server is still there.

The full number of runs is `make fuzz`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfuse_bench.direct_calls import DirectServer
from crossfuse_bench.fuzz import DOCUMENTED, fuzz, messages, report
from crossfuse_bench.load import raw_request

RUNS = 3000


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectServer]:
    server = DirectServer(tmp_path_factory.mktemp("models"))
    yield server
    server.end()


def test_changed_requests(direct: DirectServer, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = fuzz(direct, RUNS, seed=1)
    assert outcome.undocumented == []
    assert set(outcome.codes) == DOCUMENTED, "every kind of answer has come up"
    assert direct.fuse(raw_request(32, 32).SerializeToString()) == ("OK", "")
    assert "kept" in report(outcome, 1)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes(direct: DirectServer, data: bytes) -> None:
    code, told = direct.fuse(data)
    assert code in {"INVALID_ARGUMENT", "NOT_FOUND"}
    assert "valid: " in told


def test_the_same_seed_makes_the_same_messages() -> None:
    one, other = messages(5), messages(5)
    assert [next(one) for _ in range(50)] == [next(other) for _ in range(50)]

"""Request bytes that nobody would send: only documented statuses, and the server is still there.

The full number of runs is `make fuzz`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfuse_bench.direct_calls import TOKEN, DirectServer
from crossfuse_bench.fuzz import DOCUMENTED, fault, fuzz, fuzz_on, read_parts, report
from crossfuse_bench.fuzz_calls import calls
from crossfuse_bench.load import raw_request

RUNS = 3000


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectServer]:
    server = DirectServer(tmp_path_factory.mktemp("models"))
    yield server
    server.end()


def test_changed_requests(direct: DirectServer, capfd: pytest.CaptureFixture[str]) -> None:
    part = fuzz(direct, RUNS, seed=1)
    assert part.undocumented == []
    assert set(part.codes) == DOCUMENTED, "every kind of answer has come up"
    assert direct.fuse(raw_request(32, 32).SerializeToString()) == ("OK", "")
    assert "**kept**" in report([part])


def test_a_campaign_in_parts(direct: DirectServer, tmp_path: Path) -> None:
    kept = tmp_path / "fuzz.jsonl"
    (first,) = fuzz_on(direct, kept, 30, 0.0)
    assert (first.runs, first.seed) == (30, 0)
    again = fuzz_on(direct, kept, 70, 0.0)
    assert [(part.runs, part.seed) for part in again] == [(30, 0), (40, 1)]
    assert fuzz_on(direct, kept, 70, 0.0) == again == read_parts(kept)
    assert "70 changed FuseRequests (seeds 0 to 1)" in report(again)


def test_an_answer_to_the_wrong_caller_is_a_fault() -> None:
    good = (("authorization", f"bearer  {TOKEN}"),)
    assert not fault("OK", good)
    assert not fault("UNAUTHENTICATED", ())
    assert fault("OK", ())
    assert fault("OK", (("authorization", f"Bearer {TOKEN}x"),))
    assert fault("UNAUTHENTICATED", good)
    assert fault("INTERNAL", good)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes(direct: DirectServer, data: bytes) -> None:
    code, told = direct.fuse(data)
    assert code in {"INVALID_ARGUMENT", "NOT_FOUND"}
    assert "valid: " in told


def test_the_same_seed_makes_the_same_messages() -> None:
    one, other = calls(5, TOKEN), calls(5, TOKEN)
    assert [next(one) for _ in range(50)] == [next(other) for _ in range(50)]

"""When free memory goes back to the system. That it does: test_robustness.py."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from crossfuse_server import memory


class CLibrary:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.trims = 0
        self.options: dict[int, int] = {}

    def malloc_trim(self, _: int) -> None:
        self.trims += 1

    def mallopt(self, name: int, value: int) -> None:
        self.options[name] = value


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> CLibrary:
    made = CLibrary()
    monkeypatch.setattr(memory, "_libc", lambda: made)
    return made


def test_memory_goes_back_once_after_calls(library: CLibrary) -> None:
    """Never while a call is under way (None), and not again before there were new calls."""
    moments: list[tuple[int | None, int]] = [(0, 0), (None, 0), (3, 1), (3, 1), (None, 1), (4, 2)]
    trims: list[int] = []

    class Ended:
        def wait(self, _: float) -> bool:
            trims.append(library.trims)
            return len(trims) > len(moments)

    memory.give_back_when_idle(
        lambda: moments[len(trims) - 1][0], cast(threading.Event, cast(Any, Ended()))
    )
    assert trims[1:] == [expected for _, expected in moments]


def test_the_allocator_keeps_what_a_call_frees(library: CLibrary) -> None:
    memory.tune_allocator()
    assert library.options == {-8: 1, -3: 2**25, -1: 2**26}


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_libc", lambda: None)
    memory.tune_allocator()
    memory.give_back_when_idle(lambda: 1, threading.Event())

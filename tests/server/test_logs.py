"""The lines of the log: whole, readable by machines, in nobody's way, and without secrets."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server import logs
from crossfuse_server.logs import told, written

Serve = Callable[..., Any]
FUSE = "/crossfuse.v1.FusionService/Fuse"


@contextmanager
def lines_of(form: str, level: str) -> Iterator[list[str]]:
    """The lines that are written meanwhile; there when the block has ended."""
    stream = io.StringIO()
    lines: list[str] = []
    with written(form, level, stream):
        yield lines
    lines.extend(stream.getvalue().splitlines())


@pytest.fixture
def running(serve: Serve, stand_in: Any) -> Any:
    def action(ir: Any, vis: Any) -> Any:
        if ir[0, 0] == 13:
            raise ZeroDivisionError("a fault\nERROR forged: line")
        return vis

    return serve(stand_in(action))


def asked(running: Any, make: Any) -> None:
    """One good call, one of each kind of bad one, one stream with a fault in it."""
    good = make.ir()
    good[0, 0] = 1
    bad = good.copy()
    bad[0, 0] = 13
    running.fuse(make.request(good, request_id="good one"))
    running.refusal(make.request(good, model=pb.ModelRef(name="nope"), request_id="a\nERROR b"))
    running.refusal(make.request(bad, request_id="broken"))
    stream = running.stream()
    stream.frame(3, make.raw(good), make.raw(make.vis()))
    stream.frame(4, make.raw(bad), make.raw(make.vis()))
    stream.half_close()
    stream.rest()


def test_json_lines_parse_and_name_their_call(running: Any, make: Any) -> None:
    with lines_of("json", "debug") as lines:
        asked(running, make)
    entries = [json.loads(line) for line in lines]
    assert all({"time", "level", "logger", "message"} <= entry.keys() for entry in entries)
    calls = [entry for entry in entries if entry.get("method") == FUSE]
    assert [(entry["request_id"], entry["status"], entry["level"]) for entry in calls] == [
        ("good one", "OK", "DEBUG"),
        ("a\nERROR b", "NOT_FOUND", "INFO"),
        ("broken", "INTERNAL", "INFO"),
    ]
    ((fault_id, text), (frame_id, _)) = [
        (entry["request_id"], entry["traceback"]) for entry in entries if entry["level"] == "ERROR"
    ]
    assert fault_id == "broken"
    assert "ZeroDivisionError" in text
    (ended,) = [entry for entry in entries if "a stream ended" in entry["message"]]
    assert frame_id == ended["request_id"] != ""
    frames = [e["message"] for e in entries if e["message"].startswith("stream ")]
    assert [message.partition(":")[0] for message in frames] == [
        f"stream '{frame_id}#3'",
        f"stream '{frame_id}#4'",
    ]


def test_text_lines_are_whole(running: Any, make: Any) -> None:
    with lines_of("text", "info") as lines:
        asked(running, make)
    heads = [line for line in lines if not line.startswith("    ")]
    assert all(line.startswith(("INFO crossfuse", "ERROR crossfuse")) for line in heads)
    assert (
        rf"INFO crossfuse_server.logs: {FUSE} 'a\nERROR b': NOT_FOUND: model: got (withheld)"
        in (heads)
    )
    assert not any("good one" in line for line in lines)
    assert "    ERROR forged: line" in lines


def test_by_default_only_faults_are_told(running: Any, make: Any) -> None:
    with lines_of("text", "warning") as lines:
        asked(running, make)
    heads = [line for line in lines if not line.startswith("    ")]
    assert len(heads) == 2
    assert all(line.startswith("ERROR crossfuse_server.statuses: incident ") for line in heads)
    assert " [request '" in heads[1]


def test_a_caller_may_name_its_stream(running: Any, make: Any) -> None:
    with lines_of("json", "info") as lines:
        call = running.stub.FuseStream(
            iter([pb.FuseStreamRequest(config=pb.StreamConfig())]),
            metadata=[("x-request-id", "camera 7")],
        )
        list(call)
    (ended,) = [json.loads(line) for line in lines if "a stream ended" in line]
    assert ended["request_id"] == "camera 7"


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("model: got '/etc/passwd'; valid: mean:1", "model: got (withheld)"),
        ("model: no bundle 'a\\'b'; installed: x", "model: no bundle (withheld); installed: x"),
        ('model: got "it\'s"; valid: mean:1', "model: got (withheld)"),
        ("ir.data: got 0 bytes; valid: more", "ir.data: got 0 bytes"),
        ("a client's 'a; valid: b' is there", "a client's (withheld) is there"),
        ("calls: got more than this client's share", "calls: got more than this client's share"),
    ],
)
def test_what_a_caller_chose_is_not_told(message: str, kept: str) -> None:
    assert told(message) == kept


@given(st.text())
def test_no_name_gets_through(name: str) -> None:
    message = f"this client's model: got {name!r}; valid: mean:1"
    assert told(message) == "this client's model: got (withheld)"


def test_nobody_waits_for_the_reader_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            opened.wait()
            return super().write(text)

    monkeypatch.setattr(logs, "MOST_WAITING", 3)
    opened, stream = threading.Event(), Stuck()
    log = logging.getLogger("crossfuse_server.test")
    with written("text", "info", stream) as handler:
        for number in range(10):
            log.info("line %d", number)
        opened.set()
        while not handler.is_idle:
            threading.Event().wait(0.001)
        log.info("the last line")
    lines = stream.getvalue().splitlines()
    kept = sum(": line " in line for line in lines)
    assert 3 <= kept <= 4
    assert any(f"{10 - kept} lines of this log were lost" in line for line in lines)
    assert lines[-1].endswith("the last line")


def test_a_reader_that_goes_away_ends_nothing() -> None:
    stream = io.StringIO()
    with written("text", "info", stream):
        stream.close()
        logging.getLogger("crossfuse_server.test").info("into the void")


def test_loggers_are_left_as_they_were() -> None:
    root, ours = logging.getLogger(), logging.getLogger("crossfuse_server")
    before = root.handlers, root.level, ours.level
    with written("json", "debug", io.StringIO()):
        assert ours.level == logging.DEBUG
    assert (root.handlers, root.level, ours.level) == before

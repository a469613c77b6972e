"""What the server writes: lines for people, or JSON for machines, and never in the way of a call.

A record is one line, or, with a traceback, one line and lines that are indented. What a caller sent
stands in it as a literal at most, and what a caller chose freely, such as the name of a model that
is not there, does not stand in it at all: it may be a path, or a token in the wrong place.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TextIO

import grpc

from crossfuse_server.observations import OK
from crossfuse_server.recorder import current_request_id

log = logging.getLogger(__name__)

LONGEST_REQUEST_ID = 128

LOGGERS = ("crossfuse", "crossfuse_server")

# Lines that wait for a reader of the log who does not read; more are counted instead of kept.
MOST_WAITING = 4096
LAST_LINES_SECONDS = 2.0

# What `repr` makes of a string or of bytes, also where a message was cut within it; an apostrophe
# within a word begins none.
LITERAL = re.compile(
    r"""(?<!\w)b?(?:'(?:[^'\\]|\\.)*(?:'|\\?$)|"(?:[^"\\]|\\.)*(?:"|\\?$))""", re.DOTALL
)


def told(message: str) -> str:
    """What of a message to a caller may stand in the log: what is wrong, without what was given."""
    return LITERAL.sub("(withheld)", message).partition("; valid:")[0]


def request_id_of(context: grpc.ServicerContext) -> str:
    """What the caller calls it in its metadata, or a new one."""
    for key, value in context.invocation_metadata():
        if key == "x-request-id":
            return str(value)[:LONGEST_REQUEST_ID]
    return secrets.token_hex(4)


def log_call(method: str, request_id: str, status: str, message: str) -> None:
    """The line of a call that is over: told always when it failed, else on request only."""
    level = logging.DEBUG if status == OK else logging.INFO
    if not log.isEnabledFor(level):
        return
    fields = {"method": method, "status": status, "request_id": request_id}
    # As a literal: what a caller chose must not look like a line of this log.
    line = f"{method} {request_id!r}: {status}"
    log.log(level, "%s", f"{line}: {told(message)}" if message else line, extra={"fields": fields})


class TextFormatter(logging.Formatter):
    """LEVEL logger: message, and the request where the message does not name it."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - named by logging
        """The line without a traceback."""
        request_id = current_request_id()
        if hasattr(record, "is_said"):
            return record.message
        line = super().formatMessage(record)
        named = not request_id or repr(request_id) in line
        return line if named else f"{line} [request {request_id!r}]"

    def format(self, record: logging.LogRecord) -> str:
        """Whatever follows the first line is indented, so that it cannot pass for a record."""
        return super().format(record).replace("\n", "\n    ")


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, and what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := current_request_id():
            entry["request_id"] = request_id
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


class BackgroundHandler(logging.Handler):
    """Writes lines in a thread of its own: nobody who logs waits for the reader of the log."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Let a line wait to be written; `handle` has taken the handler's lock."""
        try:
            if self._lost:
                self._lines.put_nowait(self.format(self._notice()))
                self._lost = 0
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._lost += 1

    @property
    def is_idle(self) -> bool:
        """Whether no line waits."""
        return self._lines.empty()

    def say(self, message: str) -> None:
        """Write what is told at any level; for people a line of its own, without a level."""
        record = logging.LogRecord(__name__, logging.INFO, __file__, 0, message, None, None)
        record.is_said = True
        self.handle(record)

    def close(self) -> None:
        """Write what waits, unless nobody reads it."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=LAST_LINES_SECONDS)
        self._thread.join(LAST_LINES_SECONDS)
        super().close()

    def _notice(self) -> logging.LogRecord:
        message = f"{self._lost} lines of this log were lost: nobody read it"
        return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)

    def _write(self) -> None:
        for line in iter(self._lines.get, None):
            with suppress(OSError, ValueError):  # whoever read the log has gone
                self._stream.write(line + "\n")
                self._stream.flush()


@contextmanager
def written(form: str, level: str, stream: TextIO | None = None) -> Iterator[BackgroundHandler]:
    """While it lasts, all records of the process are written in this form, by default to stderr.

    Of other packages warnings are; with a root logger at DEBUG everything is.
    """
    root = logging.getLogger()
    handler = BackgroundHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    ours = [logging.getLogger(name) for name in LOGGERS]
    handlers, levels = root.handlers, [logger.level for logger in ours]
    root.handlers = [handler]
    for logger in ours:
        logger.setLevel(logging.DEBUG if root.level == logging.DEBUG else level.upper())
    try:
        yield handler
    finally:
        root.handlers = handlers
        for logger, before in zip(ours, levels, strict=True):
            logger.setLevel(before)
        handler.close()

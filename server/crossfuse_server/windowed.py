"""A stream of any protocol: a reader, a dispatcher and the answering handler around a window.

    reader      messages from the client -> window.push (waits for room: back-pressure)
    dispatcher  window.take -> decode -> model queue -> window.settle
    handler     window.answers -> messages to the client

Pictures are decoded when their turn comes, so a frame that is dropped costs next to nothing.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import grpc

from crossfuse.errors import CrossFuseError, NotReady
from crossfuse.streaming import (
    Answer,
    BlockingWindow,
    Counters,
    Failed,
    Frame,
    Outcome,
    StreamRules,
)
from crossfuse_server.admission import Admission, FrameBytes
from crossfuse_server.first_message import DRAINING
from crossfuse_server.recorder import Pair, Recorder

# One frame runs while the next is being decoded and queued. More would only age in the queue,
# where DropPolicy.OLDEST cannot reach them.
FRAMES_IN_ENGINE = 2

log = logging.getLogger(__name__)

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Received(Generic[MessageT]):
    """A message that came, and what is noted of it."""

    message: MessageT
    record: Pair


class Cancellable(Protocol):
    """Work of the model that somebody may no longer want."""

    def cancel(self) -> bool:
        """Leave the queue."""


class WindowedStream(ABC, Generic[MessageT, ResultT]):
    """The work of one call, whose messages hold frames and whose answers come in their order."""

    def __init__(
        self, rules: StreamRules, admission: Admission, recorder: Recorder, client: str
    ) -> None:
        self._recorder = recorder
        self._client = client
        self._bytes = FrameBytes(admission, client, lambda: not self._window.closed)
        self._window: BlockingWindow[Received[MessageT], ResultT] = BlockingWindow(rules)
        self._unanswered: deque[Pair] = deque()
        self._in_engine = threading.Semaphore(FRAMES_IN_ENGINE)
        self._under_way: set[Cancellable] = set()
        self._lock = threading.Lock()
        self._cancelled = False
        self._complete = False
        self._end: Exception | None = None

    @abstractmethod
    def _take_in(self, number: int, message: Any) -> bool:
        """`_hold` the frame of a message; False when the stream has ended."""

    @abstractmethod
    def _submit(self, frame: Frame[Received[MessageT]]) -> None:
        """Decode a frame and queue it, for the model that serves at this moment."""

    @abstractmethod
    def _response(self, answer: Answer[ResultT], record: Pair) -> Any:
        """The message for one answer; ends the record."""

    @property
    def counters(self) -> Counters:
        """What became of the frames so far."""
        return self._window.counters

    def run(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """Answer every frame in order; raises what ended the stream early, after the answers."""
        if not context.add_callback(self._cancel):
            return
        try:
            for work in (self._dispatch, partial(self._read, messages)):
                threading.Thread(target=work, name="stream", daemon=True).start()
            for answer in self._window.answers():
                response = self._response(answer, self._unanswered.popleft())
                del answer  # its picture is not kept while this thread waits for the next
                self._bytes.let_go(1)
                yield response
        finally:
            self._cancel()
            self._bytes.end()
            for record in tuple(self._unanswered):
                self._recorder.end(record, grpc.StatusCode.CANCELLED.name)
            log.info("a stream ended: %s", self.counters)
        if self._end is not None and not self._complete:
            raise self._end

    def drain(self) -> None:
        """Take no more frames; those inside are answered, then the stream ends."""
        self._stop(NotReady(DRAINING))

    def _cancel(self) -> None:
        """Let go of everything; what waits for a model leaves its queue."""
        self._window.cancel()
        with self._lock:
            self._cancelled = True
            under_way = list(self._under_way)
        for work in under_way:
            work.cancel()

    def _stop(self, reason: Exception) -> None:
        self._end = reason
        self._window.close()

    def _read(self, messages: Iterator[Any]) -> None:
        try:
            for number, message in enumerate(messages):
                if not self._take_in(number, message):
                    return
        except CrossFuseError as error:
            self._stop(error)
        except Exception:  # the call is over: cancelled, or past its deadline
            self._cancel()
        else:
            self._complete = True
            self._window.close()

    def _hold(self, frame_id: int, message: MessageT, record: Pair, size: int) -> bool:
        """Wait for room, then put a frame into the window; False when the stream has ended."""
        if not self._bytes.let_in(size):
            return False
        self._unanswered.append(record)
        return self._window.push(frame_id, Received(message, record))

    def _dispatch(self) -> None:
        while True:
            self._in_engine.acquire()
            frame = self._window.take()
            if frame is None:
                return
            try:
                self._submit(frame)
            except Exception as error:
                self._settle(frame, Failed(error))

    def _follow(self, work: Cancellable) -> None:
        """Work for the model has begun; cancel it with the stream."""
        with self._lock:
            self._under_way.add(work)
            cancelled = self._cancelled
        if cancelled:
            work.cancel()

    def _forget(self, work: Cancellable) -> None:
        """It is over."""
        with self._lock:
            self._under_way.discard(work)

    def _settle(self, frame: Frame[Received[MessageT]], outcome: Outcome[ResultT]) -> None:
        self._window.settle(frame, outcome)
        self._in_engine.release()

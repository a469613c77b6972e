"""A thread that decodes one source, and opens it again when it is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum

from crossfuse.errors import CrossFuseError, InvalidInput
from crossfuse.video.frames import CorruptFrame, Source, SourceInfo, SourceLost, VideoFrame
from crossfuse.video.summary import SourceSummary

_log = logging.getLogger(__name__)

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 4.0
# A recording whose clock jumps by more than this, or goes back, is restamped.
LARGEST_GAP = 10_000_000


class State(Enum):
    """What a source is doing."""

    STREAMING = "streaming"
    RECONNECTING = "reconnecting"
    ENDED = "ended"
    LOST = "lost"


class Reader:
    """Hands the frames of one source to `deliver`, which may wait, in a thread of its own.

    A live source that is lost is opened again, with growing pauses, for at most `reconnect`
    seconds in a row. Corrupt frames, and frames of another size than the first, are counted and
    left out.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        deliver: Callable[[VideoFrame], None],
        ended: Callable[[], None],
        *,
        reconnect: float,
    ) -> None:
        self.state = State.STREAMING
        self.frames = 0
        self.corrupt = 0
        self.wrong_size = 0
        self.clock_jumps = 0
        self.reconnects = 0
        self.problem: str | None = None
        """Why the source was lost, or the last thing that was wrong with a frame."""
        self.refused: InvalidInput | None = None
        """What the source gives that it must not, such as false colours."""
        self._open_again = open_source
        self._source: Source = open_source()
        self.info: SourceInfo = self._source.info
        self._deliver = deliver
        self._ended = ended
        self._reconnect = reconnect
        self._paced = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.info.name, daemon=True)
        self._shape: tuple[int, ...] | None = None
        self._shift = 0
        self._last: int | None = None
        self._started_at = 0
        self._interval = round(1e6 / (self.info.fps or 25.0))

    def pace(self, paced: bool) -> None:
        """Whether a recording plays at its own speed, as beside a live source it must."""
        self._paced = paced and not self.info.live

    def start(self) -> None:
        """Begin to read."""
        self._started_at = time.monotonic_ns() // 1000
        self._thread.start()

    def stop(self, wait: float = 2.0) -> None:
        """Read no more; a source that hangs in its driver is left behind after `wait` seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(wait)

    @property
    def summary(self) -> SourceSummary:
        """What became of the source so far."""
        return SourceSummary(
            source=self.info.name,
            decoder=self._source.decoder,
            frames=self.frames,
            expected=self.info.frames,
            corrupt=self.corrupt,
            wrong_size=self.wrong_size,
            clock_jumps=self.clock_jumps,
            reconnects=self.reconnects,
            state=self.state.value,
            problem=self.problem,
        )

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and self._next():
                pass
            self.state = State.ENDED if self.state is State.STREAMING else self.state
        except CrossFuseError as error:
            self.refused = error if isinstance(error, InvalidInput) else None
            self._lose(str(error))
        except Exception as error:  # whatever it is, the other source must hear of the end
            _log.debug("reading %s", self.info.name, exc_info=True)
            self._lose(f"{self.info.name}: {type(error).__name__}: {error}")
        finally:
            self._source.close()
            self._ended()

    def _lose(self, problem: str) -> None:
        self.state, self.problem = State.LOST, problem
        _log.warning("source lost: %s", problem)

    def _next(self) -> bool:
        """Read and deliver one frame; False at the end."""
        try:
            frame = self._source.read()
        except CorruptFrame as error:
            self.corrupt += 1
            self.problem = str(error)
            return True
        except SourceLost as error:
            if not self.info.live or self._stop.is_set():
                raise
            return self._come_back(error)
        if frame is None:
            return False
        shape = frame.pixels.shape
        self._shape = self._shape or shape
        if shape[:2] != self._shape[:2]:
            self.wrong_size += 1
            self.problem = (
                f"{self.info.name}: got a frame of {shape[1]}x{shape[0]}; "
                f"valid: {self._shape[1]}x{self._shape[0]}, the size of the first one"
            )
            return True
        self.frames += 1
        self._deliver(VideoFrame(frame.pixels, self._position(frame.position)))
        return True

    def _position(self, position: int) -> int:
        """The position from the start; a clock that jumps is put right."""
        if self.info.live:
            return position
        if self._last is not None and not self._goes_on(position + self._shift - self._last):
            self.clock_jumps += 1
            self._shift = self._last + self._interval - position
        self._last = position + self._shift
        if not self._paced:
            return self._last
        due = self._started_at + self._last
        self._stop.wait(max(0.0, due / 1e6 - time.monotonic()))
        return due

    def _goes_on(self, step: int) -> bool:
        return 0 < step <= max(LARGEST_GAP, 2 * self._interval)

    def _come_back(self, error: SourceLost) -> bool:
        """Open a live source again; raises its error when the time for that is over."""
        self.state, self.problem = State.RECONNECTING, str(error)
        _log.warning("%s; reconnecting", error)
        self._source.close()
        end = time.monotonic() + self._reconnect
        pause = FIRST_PAUSE
        while time.monotonic() < end and not self._stop.is_set():
            self._stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                self._source = self._open_again()
            except CrossFuseError as failure:
                _log.info("%s", failure)
                continue
            self.reconnects += 1
            self.state = State.STREAMING
            _log.warning("%s is back", self.info.name)
            return True
        if self._stop.is_set():
            return False
        raise SourceLost(f"{error}; not back within {self._reconnect:g} s")

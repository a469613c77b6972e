"""One run: two sources through pairing, alignment and fusing into outputs, and its account."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossfuse.errors import CrossFuseError, InvalidInput
from crossfuse.images import HeldMapping, parse_mapping
from crossfuse.streaming import Answer, Dropped, Failed, Source
from crossfuse.streaming.steady_infrared import SteadyInfrared
from crossfuse.video.flicker import FlickerMeter
from crossfuse.video.fusing import Backend, FusedPair, FusingStream, ReadyPair
from crossfuse.video.latest import Latest
from crossfuse.video.layout import compose
from crossfuse.video.options import VideoOptions
from crossfuse.video.outputs import Outputs
from crossfuse.video.pairing import OVERRUN
from crossfuse.video.plan import Plan
from crossfuse.video.reader import Reader, State
from crossfuse.video.rig import Rig, RigAligner
from crossfuse.video.sources import SourceOptions, open_source
from crossfuse.video.summary import VideoSummary

if TYPE_CHECKING:
    from crossfuse.calibration.drift import DriftCheck

# After being told to stop, seconds in which frames under way may still be finished.
GRACE = 5.0
RATE_OVER = 30
# After so many different problems the others are only counted.
MOST_PROBLEMS = 20


class Session:
    """Runs once."""

    def __init__(
        self,
        ir: str,
        vis: str,
        *,
        backend: Callable[[bool], Backend],
        model: str,
        outputs: Callable[[float, str | None], Outputs],
        rig: Rig | None,
        options: VideoOptions,
        stop: threading.Event,
    ) -> None:
        self._options = options
        self._stop = stop
        self._addresses = {Source.INFRARED: ir, Source.VISIBLE: vis}
        self._aligner = None if rig is None else RigAligner(rig, crop=options.crop)
        mapping = options.ir_mapping
        self._mapping = HeldMapping(
            parse_mapping(mapping) if isinstance(mapping, str) else mapping,
            polarity=options.ir_polarity,
        )
        self._steady = SteadyInfrared()
        self._readers: dict[Source, Reader] = {}
        for source in Source:
            self._readers[source] = self._reader(source)
        plan = Plan([reader.info for reader in self._readers.values()], options)
        plan.check_sizes(self._aligner)
        self.expected = plan.expected
        """How many pairs there will be at most, where that is known."""
        self._pairs = plan.pair_stream(rig)
        self._deliver = {source: self._pairs.sink(source) for source in Source}
        live = plan.live
        for reader in self._readers.values():
            reader.pace(live)
        self._stream = FusingStream(
            backend(live), live=live, deadline=options.deadline if live else None
        )
        self._outputs = outputs(plan.rate, vis if not live and Path(vis).is_file() else None)
        self._flicker = FlickerMeter()
        self._drift = None if rig is None else _drift_check(rig, crop=options.crop)
        self._delays = Latest()
        self._output_times: deque[float] = deque(maxlen=RATE_OVER)
        self.summary = VideoSummary(model=model, live=live, fps=plan.rate)

    def run(self, on_frame: Callable[[FusedPair], None]) -> VideoSummary:
        """Fuse until the sources end, `stop` is set or an output fails."""
        started = time.monotonic()
        watcher = threading.Thread(target=self._watch, name="stop", daemon=True)
        self._done = threading.Event()
        watcher.start()
        for reader in self._readers.values():
            reader.start()
        try:
            for answer in self._stream.answers(self._ready_pairs()):
                self._handle(answer, on_frame)
        except CrossFuseError as error:
            if isinstance(error, InvalidInput) and not self._outputs.written:
                raise  # what cannot work at all
            self.summary.problems.append(str(error))
        finally:
            self._done.set()
            self._pairs.stop()
            self._stream.window.cancel()
            for reader in self._readers.values():
                reader.stop()
            self.summary.outputs = self._outputs.descriptions
            self.summary.problems += map(str, self._outputs.close())
        for reader in self._readers.values():
            if reader.refused is not None and not self._outputs.written:
                raise reader.refused
        self._account(time.monotonic() - started)
        return self.summary

    def _watch(self) -> None:
        """End the run when it is told to; what hangs on a server or a camera is let go of."""
        while not self._done.is_set():
            if self._stop.wait(0.1):
                self._pairs.stop()
                self._stream.stop()
                if not self._done.wait(GRACE):
                    self._stream.window.cancel()
                return

    def _reader(self, source: Source) -> Reader:
        infrared = source is Source.INFRARED
        options = SourceOptions(
            decoder=self._options.decoder,
            fps=self._options.fps,
            palette=self._options.ir_palette,
            timeout=self._options.timeout,
            hardware=self._options.hardware,
        )
        address = self._addresses[source]
        return Reader(
            lambda: open_source(address, infrared=infrared, options=options),
            lambda frame: self._deliver[source](frame),
            lambda: self._pairs.end(source),
            reconnect=self._options.reconnect,
        )

    def _ready_pairs(self) -> Iterator[ReadyPair]:
        for number, pair in enumerate(self._pairs, start=1):
            ir = self._steady.apply(self._mapping.apply(pair.ir))
            vis = np.asarray(pair.vis, np.uint8)
            if self._aligner is not None:
                ir, vis = self._aligner.align(ir, vis)
                if self._drift is not None:
                    self._drift.add(ir, vis, pair.position)
            yield ReadyPair(ir, vis, pair.position, pair.arrived_at)
            if number == self._options.max_frames:
                self._pairs.stop()
                return

    def _handle(self, answer: Answer[FusedPair], on_frame: Callable[[FusedPair], None]) -> None:
        outcome = answer.outcome
        if isinstance(outcome, Dropped):
            return
        if isinstance(outcome, Failed):
            self._tell(str(outcome.error))
            return
        fused = outcome.result
        self._flicker.add(fused.fused, fused.pair.vis)
        text = self._overlay_text() if self._options.overlay else None
        self._outputs.write(compose(fused, self._options.layout, text), fused.pair.position)
        now = time.monotonic()
        self._delays.add((now - fused.pair.arrived_at) * 1e3)
        self._output_times.append(now)
        on_frame(fused)

    def _tell(self, problem: str) -> None:
        """Of a model or a server that refuses every frame, once."""
        problems = self.summary.problems
        if len(problems) < MOST_PROBLEMS and problem not in problems[-3:]:
            problems.append(problem)

    def _overlay_text(self) -> str:
        times, counters = self._output_times, self._stream.window.counters
        elapsed = times[-1] - times[0] if len(times) > 1 else 0.0
        rate = (len(times) - 1) / elapsed if elapsed else 0.0
        drops = counters.dropped.total() + self._pairs.counts.dropped.total()
        states = [
            f"{source.value} {reader.state.value}"
            for source, reader in self._readers.items()
            if reader.state in (State.RECONNECTING, State.LOST)
        ]
        parts = [
            f"{rate:.1f} fps",
            f"{self._delays.last:.0f} ms",
            f"{drops} dropped",
            self.summary.model,
        ]
        return "  ".join(parts + states)

    def _account(self, seconds: float) -> None:
        summary, counters = self.summary, self._stream.window.counters
        counts = self._pairs.counts
        summary.seconds = seconds
        summary.pairs = counts.pairs
        summary.repeated = counts.repeated
        summary.fused, summary.failed = counters.fused, counters.failed
        summary.written = self._outputs.written
        summary.size = self._outputs.size
        summary.duration = self._outputs.duration
        summary.rate = counters.fused / seconds if seconds else 0.0
        of_pairs = Counter({f"pair: {what.value}": n for what, n in counters.dropped.items()})
        # Also those that never got into the window.
        decided = counters.fused + counters.failed + of_pairs.total() + counts.dropped[OVERRUN]
        early = self._stop.is_set() or summary.problems
        of_pairs[f"pair: {'given up' if early else 'beyond max_frames'}"] = counts.pairs - decided
        summary.dropped = dict(counts.dropped + of_pairs)
        summary.delay_ms = self._delays.spread
        summary.pairing_error_ms = counts.errors.spread
        summary.server_reconnects = self._stream.restarts
        summary.drift_px = None if self._drift is None else self._drift.close()
        summary.flicker = self._flicker.ratio
        summary.interrupted = self._stop.is_set()
        summary.infrared, summary.visible = (reader.summary for reader in self._readers.values())
        lost = [reader for reader in self._readers.values() if reader.state is State.LOST]
        summary.problems += [reader.problem or reader.info.name for reader in lost]


def _drift_check(rig: Rig, *, crop: bool) -> DriftCheck:
    # Not at the top: calibration reads its recordings through this package.
    from crossfuse.calibration.drift import DriftCheck

    x, y, width, height = rig.valid_region
    return DriftCheck((0, 0, width, height) if crop else (x, y, width, height), rig.vis_size[0])

"""What is known of a pair while it is answered, and where it goes when that is over.

Whatever the protocol: a Pair is made when one comes, what becomes known is filled in, and `end` is
called once, with its outcome.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

from crossfuse.bundles import Bundle
from crossfuse_server.jobs import Inference
from crossfuse_server.observations import Observation, Observations
from crossfuse_server.timeline import INFER, QUEUE, Timeline

if TYPE_CHECKING:
    from crossfuse_server.tracing import Tracing

log = logging.getLogger(__name__)

# The outcome of a frame that a rule of its stream decided against.
DROPPED = "DROPPED"


@dataclass(slots=True)
class Pair:
    """One pair on its way through the server."""

    protocol: str
    request_id: str = ""
    """Of the caller; for the log only."""
    model: str = ""
    """Empty until one was found."""
    version: str = ""
    batch_size: int = 0
    timeline: Timeline = field(default_factory=Timeline)
    parent: str = ""
    """The caller's W3C traceparent."""

    def of_model(self, bundle: Bundle) -> None:
        """The model that was found for it."""
        self.model, self.version = bundle.manifest.name, str(bundle.manifest.version)

    def ran(self, inference: Inference) -> None:
        """A model ran for it; what follows is the wait of whoever writes the answer."""
        self.timeline.enter(INFER, inference.started_at)
        self.timeline.enter(QUEUE, inference.ended_at)
        self.batch_size = inference.batch_size


class Recorder:
    """Hands each pair that is over to the counters, to the log and to the traces."""

    def __init__(self, observations: Observations, tracing: Tracing | None = None) -> None:
        self.tracing = tracing
        self._observations = observations

    def parent_of(self, context: grpc.ServicerContext) -> str:
        """The caller's traceparent; looked for only where traces are written."""
        if self.tracing is None:
            return ""
        metadata = dict(context.invocation_metadata())
        return str(metadata.get("traceparent", ""))

    def end(self, pair: Pair, outcome: str, drop_reason: str = "") -> None:
        """A pair was answered or failed; its timeline ends now."""
        timeline = pair.timeline
        timeline.close()
        spent = timeline.spent()
        total = sum(spent.values())
        self._observations.add(
            Observation(
                model=pair.model,
                version=pair.version,
                protocol=pair.protocol,
                outcome=outcome,
                total=total,
                batch_size=pair.batch_size,
                drop_reason=drop_reason,
                **spent,
            )
        )
        if log.isEnabledFor(logging.DEBUG):
            fields = {
                "request_id": pair.request_id,
                "protocol": pair.protocol,
                "outcome": outcome,
                "model": pair.model,
                "version": pair.version,
                "batch_size": pair.batch_size,
                **{f"{phase}_ms": round(seconds * 1e3, 3) for phase, seconds in spent.items()},
            }
            log.debug(
                "%s %r: %s%s in %.1f ms",
                pair.protocol,
                pair.request_id,
                outcome,
                f" ({drop_reason})" if drop_reason else "",
                total * 1e3,
                extra={"fields": fields},
            )
        if self.tracing is not None:
            self.tracing.write(pair, outcome)


_current: ContextVar[Pair | None] = ContextVar("_current", default=None)


def set_current(pair: Pair | None) -> None:
    """The pair, or the stream, that this thread answers from now on."""
    _current.set(pair)


def current_pair() -> Pair:
    """The pair that this thread answers; one that nobody records where none was set."""
    return _current.get() or Pair("")


def current_request_id() -> str:
    """The request id of what this thread answers; empty where it answers nothing."""
    pair = _current.get()
    return pair.request_id if pair else ""

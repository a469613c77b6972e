"""The rules of one stream: how many frames it may hold, which it drops, how long one may wait."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from crossfuse.errors import InvalidInput


class DropPolicy(Enum):
    """What happens to a frame that arrives when the stream holds `max_in_flight` frames."""

    NONE = "none"  # the sender waits until an answer has been delivered
    OLDEST = "oldest"  # the frame that has waited longest is dropped


@dataclass(frozen=True, slots=True)
class StreamRules:
    """Rules that hold for the whole stream."""

    max_in_flight: int = 2
    """Frames the stream may hold at once: waiting, being fused, or fused and not yet delivered."""
    drop_policy: DropPolicy = DropPolicy.NONE
    deadline: float | None = None
    """Seconds after its capture (if known, else arrival) at which a frame is no longer fused."""

    def __post_init__(self) -> None:
        if self.max_in_flight < 1:
            raise InvalidInput("max_in_flight", str(self.max_in_flight), "1 or more, such as 2")
        if self.deadline is not None and not (0 < self.deadline < math.inf):
            raise InvalidInput(
                "deadline", f"{self.deadline} s", "a positive number of seconds, such as 0.2"
            )

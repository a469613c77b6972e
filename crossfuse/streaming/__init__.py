"""The heart of every stream, without transport: the server and the local video share it.

frames.py         what goes in and what comes out
rules.py          how many frames a stream holds, which it drops, how long one may wait
window.py         the frames between arrival and answer; decides, but never waits
blocking.py       the window with waits, for threads
pairing.py        two cameras into one stream of pairs
brightness.py     steady brightness for models that stretch every frame to its own range
"""

from __future__ import annotations

from crossfuse.streaming.blocking import BlockingWindow
from crossfuse.streaming.frames import (
    Answer,
    Counters,
    Dropped,
    DropReason,
    Failed,
    Frame,
    Fused,
    Outcome,
)
from crossfuse.streaming.pairing import Pair, Paired, Pairer, Source, Stamped, Unpaired
from crossfuse.streaming.rules import DropPolicy, StreamRules
from crossfuse.streaming.window import FrameWindow

__all__ = [
    "Answer",
    "BlockingWindow",
    "Counters",
    "DropPolicy",
    "DropReason",
    "Dropped",
    "Failed",
    "Frame",
    "FrameWindow",
    "Fused",
    "Outcome",
    "Pair",
    "Paired",
    "Pairer",
    "Source",
    "Stamped",
    "StreamRules",
    "Unpaired",
]

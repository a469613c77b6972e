"""The streams that are open, of every protocol: how many a client may have, and their end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeAlias

import grpc

from crossfuse.errors import NotReady, Overloaded
from crossfuse_server.first_message import DRAINING
from crossfuse_server.shares import Identify, Shares
from crossfuse_server.streams import FrameStream

# How long the end of a stream that gives its place to another may take.
MAKE_ROOM_SECONDS = 2.0

GivesWay: TypeAlias = Callable[[grpc.ServicerContext], bool]


class OpenStream(Protocol):
    """A stream of any protocol."""

    def drain(self) -> None:
        """Answer what is inside, take nothing more, and end."""


class OpenStreams:
    """Lets streams in, a share for each client, and ends them all when the server goes.

    `limit` streams of one client may be open, of all clients together less than twice as many.
    """

    def __init__(
        self,
        limit: int,
        identify: Identify,
        make_room: Callable[[GivesWay], bool],
        is_draining: Callable[[], bool],
    ) -> None:
        """`make_room` ends one of the streams that wait for their callers; False without any."""
        self._limit = limit
        self._identify = identify
        self._make_room = make_room
        self._is_draining = is_draining
        self._places = Shares(2 * limit)
        self._streams: set[OpenStream] = set()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def frame_streams(self) -> list[FrameStream]:
        """Those of FuseStream that have sent their config, the oldest first."""
        with self._changed:
            found = [stream for stream in self._streams if isinstance(stream, FrameStream)]
        return sorted(found, key=lambda stream: stream.view.number)

    @contextmanager
    def place(self, stream: OpenStream, client: str) -> Iterator[Callable[[OpenStream], None]]:
        """The place of a stream, from its first moment on; `drain` finds it.

        What is yielded gives the place to another stream, which goes on for the first one.
        """
        with self._changed:
            self._check_draining()
            taken = self._places.take(client)
            if not taken and self._make_room(self._gives_way_to(client)):
                take = partial(self._places.take, client)
                taken = self._changed.wait_for(take, MAKE_ROOM_SECONDS)
            if not taken:
                raise Overloaded(
                    f"streams: got one more than this client's share, {self._limit} or less; "
                    "valid: fewer streams at once, or a retry when one has ended",
                    retry_after=1.0,
                )
            self._streams.add(stream)

        def becomes(other: OpenStream) -> None:
            nonlocal stream
            with self._changed:
                self._check_draining()
                self._streams.discard(stream)
                self._streams.add(other)
                stream = other

        try:
            yield becomes
        finally:
            with self._changed:
                self._streams.discard(stream)
                self._places.give_back(client)
                self._changed.notify_all()

    def drain(self) -> None:
        """Let every stream answer what it holds and end."""
        with self._changed:
            streams = list(self._streams)
        for stream in streams:
            stream.drain()

    def _check_draining(self) -> None:
        if self._is_draining():
            raise NotReady(DRAINING)

    def _gives_way_to(self, client: str) -> GivesWay:
        """Which streams may be ended for one more of a client: its own, for its first one any."""
        if not self._places.held_by(client):
            return lambda _: True
        return lambda context: self._identify(context) == client

"""Who a caller is, and how much of something scarce each client may hold."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

import grpc

from crossfuse_server.tokens import digest_of

Identify = Callable[[grpc.ServicerContext], str]


def by_address(context: grpc.ServicerContext) -> str:
    """The client's address without its port: more connections make no second client."""
    peer: str = context.peer()
    return peer if peer.startswith("unix:") else peer.rpartition(":")[0]


def by_token(context: grpc.ServicerContext) -> str:
    """The client's token, which was checked before, as a hash."""
    return digest_of(str(dict(context.invocation_metadata()).get("authorization"))).hex()


class Shares:
    """Divides a limit among clients: each may hold as much as is left free beside it.

    A client alone holds at most half of the limit, two hold a third each, and so on: the more
    clients there are the less each gets, and one that comes later still finds room.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: Counter[str] = Counter()
        self._total = 0
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """How much all clients hold."""
        return self._total

    def held_by(self, client: str) -> int:
        """How much one client holds."""
        return self._held.get(client, 0)

    def has_room(self, client: str) -> bool:
        """Whether a client may hold one more."""
        with self._lock:
            return self._fits(client, 1)

    def take(self, client: str, amount: int = 1) -> bool:
        """Let a client hold so much more, unless that is more than its share."""
        with self._lock:
            if not self._fits(client, amount):
                return False
            self._held[client] += amount
            self._total += amount
            return True

    def give_back(self, client: str, amount: int = 1) -> None:
        """A client holds so much less."""
        with self._lock:
            self._total -= amount
            self._held[client] -= amount
            if not self._held[client]:
                del self._held[client]

    def add(self, client: str, amount: int) -> None:
        """Let a client hold so much more, whatever its share."""
        with self._lock:
            self._held[client] += amount
            self._total += amount

    def _fits(self, client: str, amount: int) -> bool:
        return self._held[client] + amount <= self.limit - self._total - amount


class Held(AbstractContextManager["Held"]):
    """What one call holds of some Shares; given back when the call is over."""

    def __init__(self, shares: Shares, client: str) -> None:
        self._shares = shares
        self._client = client
        self._amount = 0

    def take(self, amount: int) -> bool:
        """Hold so much more, if it is within the client's share."""
        taken = self._shares.take(self._client, amount)
        self._amount += amount if taken else 0
        return taken

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shares.give_back(self._client, self._amount)
        self._amount = 0

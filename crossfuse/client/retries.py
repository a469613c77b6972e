"""When a failed call is tried again: only after errors that pass, never beyond its deadline."""

from __future__ import annotations

import random
from time import monotonic

from crossfuse.client.errors import CallTimeout, ClientError, ServerNotReady

DEFAULT_RETRIES = 3

# For what is tried for as long as the time given.
WITHOUT_END = 2**31

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 1.0


class Attempts:
    """The tries of one call; decides, but neither calls nor waits.

    The time given to the call counts for all its tries and the pauses between them together.
    """

    def __init__(self, retries: int, timeout: float) -> None:
        self._left = retries
        self._timeout = timeout
        self._deadline = monotonic() + timeout
        self._backoff = FIRST_BACKOFF

    def remaining(self) -> float:
        """Seconds that the next try may take."""
        remaining = self._deadline - monotonic()
        if remaining <= 0:
            raise CallTimeout(f"timeout: no answer within {self._timeout:g} s")
        return remaining

    def pause_after(self, error: ClientError) -> float:
        """Seconds to wait before the next try; raises the error where there is none.

        The server's own time to come back is waited out in full. The backoff on top of it is
        random, so that clients refused at the same moment do not come back at the same moment.
        """
        if self._left == 0 or not error.retryable:
            raise error
        if not isinstance(error, ServerNotReady):  # one that is loading is worth all the time given
            self._left -= 1
        pause = (error.retry_after or 0.0) + self._backoff * random.uniform(0.5, 1)  # noqa: S311
        if monotonic() + pause >= self._deadline:
            raise error
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
        return pause

"""What the blocking and the asynchronous client have in common: settings and their checks."""

from __future__ import annotations

import math

from crossfuse.client.connection import Connection, TlsOptions
from crossfuse.client.frames import StreamLedger
from crossfuse.client.oip_options import (
    CROSSFUSE,
    OIP,
    check_call,
    check_protocol,
    check_stream,
)
from crossfuse.client.requests import CallOptions, Homography, stream_config, write_options
from crossfuse.client.retries import Attempts
from crossfuse.errors import InvalidInput
from crossfuse.images import IrMapping

DEFAULT_TIMEOUT = 30.0


class BaseClient:
    """Settings of a client; turns what a caller gives into checked options."""

    def __init__(
        self,
        target: str,
        *,
        timeout: float,
        retries: int,
        token: str | None,
        tls: TlsOptions | bool,
        max_pixels: int,
        protocol: str,
        replaced: bool,
    ) -> None:
        if retries < 0:
            raise InvalidInput("retries", str(retries), "0 or more")
        check_protocol(protocol)
        if replaced and (token is not None or tls or protocol != CROSSFUSE):
            raise InvalidInput(
                "transport",
                "one beside token or tls or protocol",
                "either: a transport brings its own",
            )
        _check_timeout(timeout)
        self._timeout = timeout
        self._retries = retries
        self._protocol = protocol
        self._closed = False
        self._connection = Connection(
            target=target,
            token=token,
            tls=TlsOptions() if tls is True else tls or None,
            max_pixels=max_pixels,
        )

    def __repr__(self) -> str:
        connection = self._connection
        token = "" if connection.token is None else ", token='***'"
        tls = "" if connection.tls is None else f", tls={connection.tls}"
        protocol = "" if self._protocol == CROSSFUSE else f", protocol={self._protocol!r}"
        return f"<{type(self).__module__}.FusionClient {connection.target!r}{token}{tls}{protocol}>"

    def _options(
        self,
        model: str | None,
        homography: Homography | None,
        ir_mapping: str | IrMapping,
        ir_polarity: str,
        encoding: str,
    ) -> CallOptions:
        options = write_options(
            model=model,
            homography=homography,
            ir_mapping=ir_mapping,
            ir_polarity=ir_polarity,
            encoding=encoding,
            max_pixels=self._connection.max_pixels,
        )
        if self._protocol == OIP:
            check_call(options.message)
        return options

    def _ledger(
        self,
        options: CallOptions,
        max_in_flight: int | None,
        drop: str,
        frame_deadline: float | None,
        reconnect: float,
    ) -> StreamLedger:
        if not 0 <= reconnect < math.inf:
            raise InvalidInput("reconnect", f"{reconnect} s", "0 or more seconds, such as 10")
        config = stream_config(
            options, max_in_flight=max_in_flight, drop=drop, frame_deadline=frame_deadline
        )
        if self._protocol == OIP:
            check_stream(config)
        return StreamLedger(options, config, self._connection.target, resumes=reconnect > 0)

    def _attempts(self, timeout: float | None) -> Attempts:
        self._check(timeout)
        return Attempts(self._retries, self._timeout if timeout is None else timeout)

    def _check(self, timeout: float | None) -> None:
        """Refuse a call that cannot be made."""
        if self._closed:
            raise RuntimeError("this client is closed; make a new FusionClient")
        if timeout is not None:
            _check_timeout(timeout)


def _check_timeout(seconds: float) -> None:
    if not 0 < seconds < math.inf:
        raise InvalidInput("timeout", f"{seconds} s", "a positive number of seconds, such as 30")

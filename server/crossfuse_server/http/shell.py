"""Around every request: its id, who may come in, the headers of every answer, the last errors."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossfuse.errors import CrossFuseError, InvalidInput
from crossfuse_server.http.errors import Forbidden, error_answer
from crossfuse_server.logs import LONGEST_REQUEST_ID
from crossfuse_server.tokens import Tokens

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# A caller that is refused may still be sending, and would not read the answer before it is done.
LINGER_SECONDS = 1.0


class Shell:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, open_paths: Collection[str], tokens: Tokens | None) -> None:
        self._app = app
        self._open_paths = open_paths
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # start and end of the server
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        try:
            self._let_in(scope, exchange.headers)
        except CrossFuseError as error:
            answer = error_answer(error, "a request", exchange.request_id)
            await answer(scope, exchange.receive, exchange.send)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:  # was answered, and logged with its incident
            if not exchange.answered:
                raise

    def _let_in(self, scope: Scope, headers: Headers) -> None:
        given = headers.get("x-request-id", "")
        if len(given) > LONGEST_REQUEST_ID or not (given.isascii() and given.isprintable()):
            raise InvalidInput(
                "X-Request-Id",
                f"{len(given)} characters",
                f"at most {LONGEST_REQUEST_ID} printable ASCII characters",
            )
        if scope["path"] in self._open_paths:
            return
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Forbidden(
                "Sec-Fetch-Site: got a call that a page of another site makes; "
                "valid: calls of this server's own page, or of no browser"
            )
        if self._tokens is not None:
            wrong = self._tokens.check(headers.get("authorization"))
            if wrong is not None:
                raise wrong


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers = Headers(scope=scope)
        given = self.headers.get("x-request-id", "")
        fits = 0 < len(given) <= LONGEST_REQUEST_ID and given.isascii() and given.isprintable()
        self.request_id = given if fits else secrets.token_hex(8)
        self.answered = False
        self._receive = receive
        self._send = send
        self._awaited = self.headers.get("expect", "").lower() == "100-continue"
        self._complete = not (
            "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0"
        )

    async def receive(self) -> Message:
        """The next piece of the request."""
        message = await self._receive()
        self._awaited = False
        self._complete = self._complete or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """The next piece of the answer, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.answered = True
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            await self._take_in_the_rest()
            if not self._complete:
                headers["Connection"] = "close"
        await self._send(message)

    async def _take_in_the_rest(self) -> None:
        """What the caller still sends is thrown away for a moment, so that it gets the answer."""
        if self._complete or self._awaited:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._complete:
                    await self.receive()

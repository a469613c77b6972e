"""The output as motion JPEG over HTTP, which browsers and `crossfuse video` itself can show."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput
from crossfuse.images import encode

BOUNDARY = "crossfuse-frame"
# A viewer that does not read for so long is dropped.
VIEWER_TIMEOUT = 10.0


class HttpSink:
    """Serves the newest frame to every viewer; a slow one misses frames and delays nobody."""

    description = "motion JPEG over HTTP"

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        try:
            place = (parts.hostname or "", parts.port if parts.port is not None else 8080)
            self._server = _Server(place, _Handler)
        except (OSError, ValueError) as error:
            raise InvalidInput(
                "output", f"{address} ({error})", "http://HOST:PORT of this machine, free to use"
            ) from error
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True, name="http").start()

    def write(self, picture: UInt8Array, position: int) -> None:
        """Show a frame; encoded only where somebody watches."""
        self._server.show(picture)

    def close(self) -> None:
        """Send every viewer away."""
        self._server.end()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._changed = threading.Condition()
        self._number = 0
        self._picture: UInt8Array | None = None
        self._ended = False

    def show(self, picture: UInt8Array) -> None:
        with self._changed:
            self._number += 1
            self._picture = picture
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def frame_after(self, number: int) -> tuple[int, UInt8Array] | None:
        """The newest frame, once it is newer than `number`; None when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._number > number)
            if self._ended or self._picture is None:
                return None
            return self._number, self._picture


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = VIEWER_TIMEOUT

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number = 0
        try:
            while (frame := self.server.frame_after(number)) is not None:
                number, picture = frame
                data = encode(picture, "jpeg")
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")
        except OSError:
            self.close_connection = True  # the viewer has gone

    def log_message(self, format: str, *arguments: Any) -> None:
        """Viewers come and go without a line each."""

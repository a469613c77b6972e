"""A connection that speaks HTTP/2 by hand: calls that promise more bytes than ever come."""

from __future__ import annotations

import socket
import struct

from crossfuse_bench.closing import Closing

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_HEADERS = 4

# Two bytes of a message that should have a hundred.
HALF = b"\0" + (100).to_bytes(4, "big") + b"\x0a\x05"


class HalfMessages(Closing):
    """As many calls as are begun, none of which gets on."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, b""))
        self._stream = 1

    def begin(self, method: str) -> None:
        """One more call: its head and half of its message."""
        head = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": "localhost",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        fields = b"".join(b"\0" + _text(name) + _text(value) for name, value in head.items())
        self._socket.sendall(
            _frame(HEADERS, END_HEADERS, self._stream, fields) + _frame(DATA, 0, self._stream, HALF)
        )
        self._stream += 2

    def crash(self) -> None:
        """Go without a word, as a process that is killed by a lost network does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Go in the usual way."""
        self._socket.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def _text(value: str) -> bytes:
    """A string of HPACK, as it is."""
    return bytes([len(value)]) + value.encode("ascii")

"""An RTSP camera, which is also a relay: what it is sent it sends on to those who ask."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

FPS = 25.0
CLOCK = 90_000
PACKET = 1400
SDP = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:0\r\n"


class RtspServer:
    """A camera that sends pictures as motion JPEG in RTP (RFC 2435), or a relay of what is sent.

    Pictures go over the RTSP connection alone: as behind a firewall, UDP is refused. `silent` keeps
    connections open and says nothing; `cut` closes them, and takes no new ones.
    """

    def __init__(self, picture: Callable[[int], NDArray[np.uint8]] | None) -> None:
        self.picture = picture
        self.sent = 0
        self.sdp = SDP
        self.players: list[Callable[[bytes], None]] = []
        self.transports: list[str] = []
        """What clients asked for."""
        self.cut, self.silent, self.ended = threading.Event(), threading.Event(), threading.Event()

        class Handler(Connection):
            rtsp = self

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.place = f"127.0.0.1:{self._server.server_address[1]}/live"
        self.address = f"rtsp://{self.place}"

    def relay(self, packet: bytes) -> None:
        for send in list(self.players):
            try:
                send(packet)
            except (OSError, ValueError):
                self.players.remove(send)  # it has gone

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


class Connection(socketserver.StreamRequestHandler):
    """One client of an RtspServer."""

    rtsp: RtspServer

    def handle(self) -> None:
        sending = threading.Lock()

        def send(packet: bytes) -> None:
            with sending:
                self.wfile.write(b"$\x00" + struct.pack(">H", len(packet)) + packet)

        while not (self.rtsp.cut.is_set() or self.rtsp.silent.is_set()):
            request = self._request()
            if request is None:
                return
            method, headers, body = request
            status, extra, content = "200 OK", "Session: 1\r\n", b""
            if method == "ANNOUNCE":
                self.rtsp.sdp = body
            elif method == "DESCRIBE":
                content = self.rtsp.sdp
                extra = f"Content-Type: application/sdp\r\nContent-Length: {len(content)}\r\n"
            elif method == "SETUP":
                self.rtsp.transports.append(headers["transport"])
                extra += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                if "/tcp" not in headers["transport"]:
                    status = "461 Unsupported Transport"
            head = f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\n{extra}\r\n"
            with sending:
                self.wfile.write(head.encode() + content)
            if method == "PLAY" and self.rtsp.picture is None:
                self.rtsp.players.append(send)
            elif method == "PLAY":
                threading.Thread(target=self._film, args=(send,), daemon=True).start()
        while self.rtsp.silent.is_set():
            if self.rtsp.ended.wait(0.02):
                return

    def _request(self) -> tuple[str, dict[str, str], bytes] | None:
        """Method, headers and body of the next request; the packets between them are relayed."""
        lines: list[str] = []
        try:
            while first := self.rfile.read(1):
                if first == b"$" and not lines:
                    channel, size = struct.unpack(">BH", self.rfile.read(3))
                    packet = self.rfile.read(size)
                    if channel == 0:
                        self.rtsp.relay(packet)
                    continue
                lines.append((first + self.rfile.readline()).decode().strip())
                if not lines[-1]:
                    headers = dict(line.lower().split(": ", 1) for line in lines[1:-1])
                    body = self.rfile.read(int(headers.get("content-length", 0)))
                    return lines[0].split(" ")[0], headers, body
        except OSError:
            pass
        return None

    def _film(self, send: Callable[[bytes], None]) -> None:
        rtsp, sequence = self.rtsp, 0
        assert rtsp.picture is not None
        try:
            while not (rtsp.cut.is_set() or rtsp.ended.is_set()):
                if not rtsp.silent.is_set():
                    stamp = round(rtsp.sent * CLOCK / FPS)
                    for packet in jpeg_packets(rtsp.picture(rtsp.sent), sequence, stamp):
                        send(packet)
                        sequence += 1
                    rtsp.sent += 1
                time.sleep(1 / FPS)
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client has gone


def jpeg_packets(picture: NDArray[np.uint8], sequence: int, stamp: int) -> Iterator[bytes]:
    """The RTP packets of one picture, uint8 HxW with sides that 8 divides."""
    data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))[1].tobytes()
    tables, at = b"", 2
    while data[at + 1] != 0xDA:  # the scan
        end = at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        if data[at + 1] == 0xDB:  # quantisation tables, each after its number
            tables += b"".join(data[start + 1 : start + 65] for start in range(at + 4, end, 65))
        at = end
    scan = data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] : -2]
    for offset in range(0, len(scan), PACKET):
        last = offset + PACKET >= len(scan)
        head = struct.pack(">BBHII", 0x80, 26 | last << 7, (sequence) & 0xFFFF, stamp, 1)
        head += struct.pack(">IBB", offset, 1, 255)
        head += bytes((picture.shape[1] // 8, picture.shape[0] // 8))
        if offset == 0:
            head += struct.pack(">HH", 0, len(tables)) + tables
        sequence += 1
        yield head + scan[offset : offset + PACKET]


@pytest.fixture
def rtsp(picture: Callable[[int], NDArray[np.uint8]]) -> Iterator[Callable[..., RtspServer]]:
    """Starts cameras, or relays, that end with the test."""
    started: list[RtspServer] = []

    def start(*, relay: bool = False) -> RtspServer:
        started.append(RtspServer(None if relay else picture))
        return started[-1]

    yield start
    for one in started:
        one.close()

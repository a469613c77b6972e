"""The output as a stream to an RTSP server, sent by a process of its own.

FFmpeg waits for a server that takes nothing more for as long as it lives, and nothing else in its
process gets a turn meanwhile. Here it may be ended.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import selectors
import struct
import subprocess
import sys
from typing import IO

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.errors import MissingDependency, OutputError
from crossfuse.video.address import shown
from crossfuse.video.av_sink import AvSink, best_encoder

# In which the server must take the stream, and then every frame.
TIMEOUT = 10.0
SETUP = struct.Struct("<IId")
POSITION = struct.Struct("<q")


class RtspSink:
    """Sends frames of one size to an rtsp:// address as H.264 over TCP."""

    def __init__(self, address: str, size: tuple[int, int], fps: float) -> None:
        if importlib.util.find_spec("av") is None:
            raise MissingDependency("av", f"sending to {shown(address)}", "video")
        encoder = best_encoder()
        self.description = f"{'H.264' if '264' in encoder else encoder} ({encoder})"
        self._address = address
        # The address goes through the pipe: who sees the list of processes sees no password.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crossfuse.video.rtsp_sink"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the parent, which ends it in time
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        os.set_blocking(self._to.fileno(), False)
        self._send(SETUP.pack(*size, fps) + address.encode() + b"\n")

    def write(self, picture: UInt8Array, position: int) -> None:
        """Send a frame; returns when the server has taken it."""
        colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        self._send(POSITION.pack(position) + np.ascontiguousarray(colour).tobytes())
        self._wait(self._from, selectors.EVENT_READ)
        answer = self._from.readline()
        if answer != b"\n":
            raise self._failure(answer.decode(errors="replace").strip() or "the sender's end")

    def close(self) -> None:
        """End the stream."""
        self._to.close()
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._from.close()

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._to, selectors.EVENT_WRITE)
            try:
                view = view[os.write(self._to.fileno(), view) :]
            except BrokenPipeError as error:
                raise self._failure("the sender's end") from error

    def _wait(self, pipe: IO[bytes], event: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if not selector.select(TIMEOUT):
                self._process.kill()
                raise self._failure(f"nothing for {TIMEOUT:g} s")

    def _failure(self, got: str) -> OutputError:
        return OutputError(
            f"{shown(self._address)}: could not be sent to: got {got}; "
            "valid: an RTSP server that takes the stream"
        )


def main() -> None:
    """The process that sends: frames on stdin; a line for each on stdout, empty if it went well."""
    source = sys.stdin.buffer
    width, height, fps = SETUP.unpack(source.read(SETUP.size))
    address = source.readline().decode().removesuffix("\n")
    sink: AvSink | None = None
    while head := source.read(POSITION.size):
        pixels = source.read(width * height * 3)
        if len(pixels) < width * height * 3:
            break
        try:
            sink = sink or AvSink(address, (width, height), fps)
            picture = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
            sink.write(picture, *POSITION.unpack(head))
        except OutputError as error:
            reason = getattr(error.__cause__, "strerror", None) or error.__cause__
            sys.stdout.write(f"{reason}\n")
            sys.stdout.flush()
            os._exit(1)  # FFmpeg's own end would wait for the server once more
        sys.stdout.write("\n")
        sys.stdout.flush()
    if sink is not None:
        with contextlib.suppress(OutputError):
            sink.close()


if __name__ == "__main__":
    main()

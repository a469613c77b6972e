"""Short videos and folders of frames made of counted pictures, and a model that costs nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.fuser import Fuser, load
from crossfuse.video import VideoSummary, fuse_streams
from crossfuse.video.opencv_sink import OpenCvSink

PATIENCE = 60.0
WIDTH, HEIGHT = 64, 48


def numbered(number: int, width: int = WIDTH) -> NDArray[np.uint8]:
    """A grey picture with a bright bar whose width says its number, up to 30; codecs keep it."""
    picture = np.full((HEIGHT, width), 20, np.uint8)
    picture[:, : 2 * (number + 1)] = 220
    return picture


def number_of(picture: NDArray[np.uint8]) -> int:
    """The number of a picture."""
    levels = picture.reshape(HEIGHT, picture.shape[1], -1).mean(axis=(0, 2))
    return round(float((levels > 120).sum()) / 2) - 1


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """The file of a picture."""
    return cv2.imencode(".jpg", picture)[1].tobytes()


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """Writes an .mp4 of numbered pictures."""

    def make(
        path: Path, frames: int = 20, fps: float = 25.0, *, first: int = 0, width: int = WIDTH
    ) -> Path:
        sink = OpenCvSink(path, (width, HEIGHT), fps)
        for number in range(frames):
            sink.write(numbered(first + number, width), round(number * 1e6 / fps))
        sink.close()
        return path

    return make


@pytest.fixture(scope="session")
def make_folder() -> Callable[..., Path]:
    """Writes flat pictures, each 8 levels lighter; their names sort naturally, not as text."""

    def make(folder: Path, frames: int = 12, *, dtype: str = "uint8") -> Path:
        folder.mkdir()
        for number in range(frames):
            picture = np.full((HEIGHT, WIDTH), 8 + 8 * number, dtype)
            if dtype == "uint16":
                picture = picture * 16 + np.arange(WIDTH, dtype=np.uint16)
            cv2.imwrite(str(folder / f"f{number}.png"), picture)
        return folder

    return make


@pytest.fixture(scope="session")
def numbers_of() -> Callable[[Path], list[int]]:
    """The numbers of the pictures in a video."""

    def read(path: Path) -> list[int]:
        capture = cv2.VideoCapture(str(path))
        numbers: list[int] = []
        while True:
            good, frame = capture.read()
            if not good:
                return numbers
            numbers.append(number_of(np.asarray(frame, np.uint8)))

    return read


@pytest.fixture(scope="session")
def picture() -> Callable[[int], NDArray[np.uint8]]:
    """The picture of a number; as few have one, they come again and again."""
    return lambda number: numbered(number % 28)


@pytest.fixture(scope="session")
def number() -> Callable[[NDArray[np.uint8]], int]:
    """The number of a picture."""
    return number_of


@pytest.fixture
def fuser(mean_bundle: Path) -> Iterator[Fuser]:
    """A model that averages its two pictures."""
    with load(mean_bundle, device="cpu", threads=1) as loaded:
        yield loaded


class Running:
    """fuse_streams in a thread, with what came out of it so far."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.stop = threading.Event()
        self.positions: list[int] = []
        self.summary: VideoSummary | None = None
        self.error: BaseException | None = None

        def run() -> None:
            try:
                self.summary = fuse_streams(
                    *arguments,
                    **settings,
                    stop=self.stop,
                    on_frame=lambda pair: self.positions.append(pair.pair.position),
                )
            except BaseException as error:
                self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def wait_for(self, frames: int) -> None:
        """Until so many have come out since the start."""
        end = time.monotonic() + PATIENCE
        while len(self.positions) < frames:
            assert self.error is None, self.error
            assert self.summary is None, self.summary
            assert time.monotonic() < end, f"{len(self.positions)} of {frames} frames"
            time.sleep(0.01)

    def wait_for_more(self, frames: int) -> None:
        """Until so many more have come out."""
        self.wait_for(len(self.positions) + frames)

    def wait_for_the_end(self) -> VideoSummary:
        """Until it ends by itself."""
        self._thread.join(PATIENCE)
        assert self.error is None, self.error
        assert self.summary is not None, "it hangs"
        return self.summary

    def finish(self) -> VideoSummary:
        """End it."""
        self.stop.set()
        return self.wait_for_the_end()


@pytest.fixture
def running() -> Iterator[Callable[..., Running]]:
    """Starts fuse_streams in a thread; it ends with the test."""
    started: list[Running] = []

    def start(*arguments: Any, **settings: Any) -> Running:
        started.append(Running(*arguments, **settings))
        return started[-1]

    yield start
    for one in started:
        one.stop.set()


class Camera:
    """A network camera: motion JPEG over HTTP, that can be cut and come back."""

    def __init__(self, fps: float = 25.0, first: int = 0) -> None:
        self.fps = fps
        self.cut = threading.Event()
        self.ended = threading.Event()
        self.sent = 0
        self.encode = jpeg
        """Makes the file of a picture; replace it for broken ones."""
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if camera.cut.is_set():
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not (camera.cut.is_set() or camera.ended.is_set()):
                        data = camera.encode(numbered(first + camera.sent % 28))
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                        self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")
                        camera.sent += 1
                        time.sleep(1 / camera.fps)
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *arguments: Any) -> None:
                """Nothing on the test's output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/stream.mjpg"

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def camera() -> Iterator[Callable[..., Camera]]:
    """Starts cameras that end with the test."""
    started: list[Camera] = []

    def start(**settings: Any) -> Camera:
        started.append(Camera(**settings))
        return started[-1]

    yield start
    for one in started:
        one.close()

"""Servers with an HTTP port, and requests to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import httpx
import pytest

PATIENCE = 60.0


def png(pixels: Any) -> bytes:
    """A file of an array, HxW or HxWx3 RGB."""
    stored = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    return cv2.imencode(".png", stored)[1].tobytes()


class Http:
    """A running server, a client of its HTTP port, and a pair of files to send."""

    def __init__(self, running: Any, pictures: tuple[bytes, bytes]) -> None:
        self.running = running
        self.ir, self.vis = pictures
        self.url = f"http://127.0.0.1:{running.server.http_port}"
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for something."""
        return self.client.get(path, headers=headers)

    def fuse(
        self,
        ir: bytes | None = None,
        vis: bytes | None = None,
        headers: dict[str, str] | None = None,
        **fields: str,
    ) -> httpx.Response:
        """Send a form; the pair at hand where no files are given."""
        files = {"ir": self.ir if ir is None else ir, "vis": self.vis if vis is None else vis}
        return self.client.post("/v1/fuse", files=files, data=fields, headers=headers)

    def outcomes(self) -> dict[str, int]:
        """How many requests to fuse ended how."""
        return {
            status: count
            for (method, status), count in self.running.server.calls.ended().items()
            if method == "POST /v1/fuse"
        }


@pytest.fixture(scope="session", name="png")
def png_fixture() -> Callable[[Any], bytes]:
    """Makes a PNG file of an array."""
    return png


@pytest.fixture(scope="session")
def pictures(make: Any) -> tuple[bytes, bytes]:
    """An infrared and a visible file."""
    return png(make.ir()), png(make.vis())


@pytest.fixture
def serve_http(
    serve: Callable[..., Any], pictures: tuple[bytes, bytes]
) -> Iterator[Callable[..., Http]]:
    """Starts servers with an HTTP port; they end with the test."""
    started: list[Http] = []

    def start(*args: Any, **settings: Any) -> Http:
        started.append(Http(serve(*args, http_port=0, **settings), pictures))
        return started[-1]

    yield start
    for http in started:
        http.client.close()


@pytest.fixture(scope="module")
def http(start_server: Callable[..., Any], pictures: tuple[bytes, bytes]) -> Iterator[Http]:
    """One server with real engines, for tests that leave it as it was."""
    running = start_server(http_port=0, max_pixels=256 * 256, max_in_flight=4)
    found = Http(running, pictures)
    yield found
    found.client.close()
    running.end()

"""The pictures of the page in docs/, made by `make web`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import crossfuse
from crossfuse.images import read_infrared, read_visible
from crossfuse_server.app import FusionServer

FOLDER = os.environ.get("CROSSFUSE_SCREENSHOTS", "")
SAMPLE = Path(crossfuse.__file__).parent / "assets" / "sample"

LARGEST_FILE = 400_000
FREQUENT, RARE = 64, 48

# So that the curves show something.
SAMPLES_OF_HISTORY = 20

pytestmark = pytest.mark.skipif(not FOLDER, reason="only `make web` makes screenshots")


def in_few_colours(shot: Image.Image) -> Image.Image:
    """Photographs make a lossless file large; 256 colours do, if those of the page are kept."""
    counts = shot.getcolors(shot.width * shot.height)
    assert counts is not None
    frequent = [colour for _, colour in sorted(counts, reverse=True)[:FREQUENT]]
    rare = shot.quantize(RARE, Image.Quantize.MAXCOVERAGE).getpalette() or []
    others = shot.quantize(256 - FREQUENT - RARE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*np.array(frequent, np.uint8).ravel().tolist(), *rare[: 3 * RARE], *others])
    return shot.quantize(palette=palette, dither=Image.Dither.NONE)


@pytest.fixture
def camera(gateway: FusionServer) -> Iterator[None]:
    """A stream of frames that move over the sample pair."""
    ir, vis = read_infrared(SAMPLE / "ir.png"), read_visible(SAMPLE / "vis.png")
    over = threading.Event()

    def pairs() -> Iterator[tuple[Any, Any]]:
        at = 0
        while not over.wait(0.1):
            at = (at + 2) % 160
            window = np.s_[60:420, at : at + 480]
            yield np.ascontiguousarray(ir[window]), np.ascontiguousarray(vis[window])

    def send() -> None:
        with crossfuse.FusionClient(f"127.0.0.1:{gateway.port}") as client:
            for _ in client.stream(pairs(), drop="oldest"):
                pass

    sender = threading.Thread(target=send)
    sender.start()
    yield
    over.set()
    sender.join()


@pytest.mark.parametrize(
    ("name", "width", "height", "dark"),
    [("web-desktop", 1280, 900, False), ("web-phone", 390, 844, True)],
)
def test_screenshot(
    name: str,
    width: int,
    height: int,
    dark: bool,
    gateway: FusionServer,
    camera: None,
    open_page: Callable[..., Any],
    tmp_path: Path,
) -> None:
    page = open_page(f"http://127.0.0.1:{gateway.http_port}/", width, height, dark=dark)
    page.wait_for("document.querySelector('#samples button')")
    page.wait_for("document.querySelector('#streams button')")
    page.wait_for(
        "fetch('/v1/state').then(a => a.json())"
        f".then(s => s.history.times.length > {SAMPLES_OF_HISTORY})"
    )
    page.click("#try-sample")
    page.wait_for("!document.getElementById('phases').hidden")
    page.click("#streams button")
    page.wait_for("document.getElementById('screen-tag').textContent.startsWith('frame')")
    page.value("document.activeElement.blur(), window.scrollTo(0, 0)")
    page.value("new Promise(done => setTimeout(done, 2500))")  # so that the curves have it
    page.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as shot:
        in_few_colours(shot.convert("RGB")).save(Path(FOLDER) / f"{name}.png", optimize=True)
    assert (Path(FOLDER) / f"{name}.png").stat().st_size < LARGEST_FILE
    assert page.complaints() == []

"""The web page in a real Chromium."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import crossfuse
from crossfuse.images import map_infrared, read_infrared, read_visible
from crossfuse_server.app import FusionServer

SAMPLE = Path(crossfuse.__file__).parent / "assets" / "sample"
FUSED = "!document.getElementById('phases').hidden"


def url_of(server: FusionServer, path: str = "/") -> str:
    return f"http://127.0.0.1:{server.http_port}{path}"


def ready(page: Any) -> Any:
    """Wait until the page knows the server."""
    page.wait_for("document.querySelector('#samples button')")
    return page


def check_quiet(page: Any, server: FusionServer) -> None:
    """Nothing was asked of another host, and the console shows nothing."""
    assert page.complaints() == []
    hosts = {
        url.split("/")[2] for url in page.requested() if not url.startswith(("data:", "blob:"))
    }
    assert hosts == {f"127.0.0.1:{server.http_port}"}


def at(page: Any, handle: str) -> int:
    return int(page.value(f"document.getElementById('{handle}').getAttribute('aria-valuenow')"))


def text_of(page: Any, name: str) -> str:
    return str(page.value(f"document.getElementById('{name}').textContent"))


def colour_at(page: Any, role: str) -> list[int]:
    """The pixel in the middle of one of the three pictures."""
    found: list[int] = page.value(
        f"(() => {{ const c = document.querySelector('.layer[data-role={role}] canvas');"
        "return [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]; })()"
    )
    return found[:3]


@pytest.mark.parametrize("width", [1280, 390])
def test_fusing_the_sample_pair(
    width: int, gateway: FusionServer, open_page: Callable[..., Any]
) -> None:
    page = ready(open_page(url_of(gateway), width))
    page.click("#try-sample")
    page.wait_for(FUSED)
    assert text_of(page, "caption").startswith("crossfuse-rt:1 · fp32 · 640\u00d7480 · ")
    phases = page.value("[...document.querySelectorAll('#phase-list dt')].map(e => e.textContent)")
    assert phases == ["Decode", "Queue", "Model", "Encode", "Network and page"]
    ir, vis = read_infrared(SAMPLE / "ir.png"), read_visible(SAMPLE / "vis.png")
    fused = crossfuse.load("crossfuse-rt", device="cpu").fuse(ir, vis)
    assert colour_at(page, "fused") == fused[240, 320].tolist()
    assert colour_at(page, "ir") == [int(ir[240, 320])] * 3
    assert colour_at(page, "vis") == vis[240, 320].tolist()
    assert page.value("document.documentElement.scrollWidth") == width
    check_quiet(page, gateway)


def test_the_slider(gateway: FusionServer, open_page: Callable[..., Any]) -> None:
    page = ready(open_page(url_of(gateway)))
    page.click("#try-sample")
    page.wait_for(FUSED)
    assert (at(page, "handle-left"), at(page, "handle-right")) == (33, 67)
    page.value("document.getElementById('handle-left').focus()")
    page.press("ArrowRight", 5)
    assert at(page, "handle-left") == 38
    page.press("ArrowLeft", 2, shift=True)
    assert at(page, "handle-left") == 18
    page.press("End")
    assert at(page, "handle-left") == 67, "it stops at the other one"
    page.press("Home")
    assert at(page, "handle-left") == 0
    clip = "getComputedStyle(document.querySelector('.layer[data-role=fused]')).clipPath"
    assert page.value(clip).endswith(" 0%)")
    page.mouse("mousePressed", "#handle-right")
    page.mouse("mouseMoved", "#stage", right=page.value("stage.clientWidth * 0.3"))
    page.mouse("mouseReleased", "#stage")
    assert at(page, "handle-right") == pytest.approx(80, abs=1)
    said = page.value("document.getElementById('handle-right').getAttribute('aria-valuetext')")
    assert said.startswith("Fused up to ")
    check_quiet(page, gateway)


def test_zoom_pan_and_side_by_side(gateway: FusionServer, open_page: Callable[..., Any]) -> None:
    page = ready(open_page(url_of(gateway)))
    page.click("#try-sample")
    page.wait_for(FUSED)
    page.value("document.getElementById('stage').focus()")
    page.press("+", 2)
    assert text_of(page, "zoom-level") == "225 %"
    where = "document.querySelector('.layer[data-role=fused] canvas').style.transform"
    before = page.value(where)
    page.press("ArrowRight")
    assert page.value(where) != before
    page.press("0")
    assert text_of(page, "zoom-level") == "100 %"
    page.click("input[value=side] + span")
    widths = page.value("[...document.querySelectorAll('.layer')].map(e => e.clientWidth)")
    order = page.value("[...document.querySelectorAll('.layer')].map(e => e.dataset.role)")
    assert order == ["ir", "vis", "fused"]
    assert len(set(widths)) == 1
    assert 3 * widths[0] < page.value("stage.clientWidth")
    check_quiet(page, gateway)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Files of one pair, of different sizes."""
    files = tmp_path / "scene_ir.png", tmp_path / "scene_vis.png"
    cv2.imwrite(str(files[0]), np.full((48, 64), 90, np.uint8))
    cv2.imwrite(str(files[1]), np.full((40, 64, 3), 90, np.uint8))
    return str(files[0]), str(files[1])


def test_own_files_and_an_error_in_plain_words(
    gateway: FusionServer, open_page: Callable[..., Any], pair: tuple[str, str]
) -> None:
    page = ready(open_page(url_of(gateway)))
    page.choose("#drop-vis input", *reversed(pair))  # both at once: told apart by their names
    page.wait_for("!document.getElementById('fuse-button').disabled")
    assert "64\u00d748 · scene_ir.png" in text_of(page, "drop-ir")
    page.click("#fuse-button")
    page.wait_for("!document.getElementById('fuse-error').hidden")
    said = text_of(page, "fuse-error")
    assert said.startswith("The server cannot take this")
    assert "64x48" in said
    assert "64x40" in said


def test_sixteen_bits_are_shown_as_the_server_maps_them(
    gateway: FusionServer, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    """A browser alone would show the upper eight bits, here a flat grey."""
    levels = np.random.default_rng(1).integers(7000, 7400, (48, 64), np.uint16)
    levels[10:20, 10:40] = np.arange(7000, 7300, 10, dtype=np.uint16)
    files = str(tmp_path / "ir.png"), str(tmp_path / "vis.png")
    cv2.imwrite(files[0], levels)
    cv2.imwrite(files[1], np.full((48, 64, 3), 90, np.uint8))
    page = ready(open_page(url_of(gateway)))
    page.choose("#drop-ir input", *files)
    page.wait_for("!document.getElementById('fuse-button').disabled")
    page.click("#fuse-button")
    page.wait_for(FUSED)
    shown = page.value(
        "(() => { const c = document.querySelector('.layer[data-role=ir] canvas');"
        "return [...c.getContext('2d').getImageData(0, 0, 64, 48).data]; })()"
    )
    found = np.array(shown).reshape(48, 64, 4)[..., 0]
    assert np.abs(found - map_infrared(levels).astype(int)).max() <= 2
    check_quiet(page, gateway)


def test_the_state_of_the_server(gateway: FusionServer, open_page: Callable[..., Any]) -> None:
    page = ready(open_page(url_of(gateway), dark=True))
    page.click("#try-sample")
    page.wait_for(FUSED)
    assert text_of(page, "server-state") == "serving"
    (row,) = page.value("[...document.querySelectorAll('#models tr')].map(e => e.textContent)")
    assert row.startswith("crossfuse-rt:1defaultservingfp32cpu · CPUExecutionProvider")
    page.wait_for("document.querySelector('#chart-latency .s-p50')")
    assert "p50: last " in page.value(
        "document.querySelector('#chart-latency svg').getAttribute('aria-label')"
    )
    check_quiet(page, gateway)


@pytest.fixture
def stream(gateway: FusionServer) -> Iterator[None]:
    """A stream that runs as long as the test."""
    over = threading.Event()
    ir, vis = np.zeros((96, 128), np.uint8), np.full((96, 128, 3), 200, np.uint8)

    def pairs() -> Iterator[tuple[Any, Any]]:
        while not over.wait(0.02):
            yield ir, vis

    def send() -> None:
        with crossfuse.FusionClient(f"127.0.0.1:{gateway.port}") as client:
            for _ in client.stream(pairs()):
                pass

    sender = threading.Thread(target=send)
    sender.start()
    yield
    over.set()
    sender.join()


def test_the_live_view(gateway: FusionServer, stream: None, open_page: Callable[..., Any]) -> None:
    page = ready(open_page(url_of(gateway)))
    page.wait_for("document.querySelector('#streams button')")
    page.click("#streams button")
    page.wait_for("document.getElementById('screen-canvas').width === 128")
    page.wait_for("/^frame \\d+ · /.test(document.getElementById('screen-tag').textContent)")
    page.click("#screen-stop")
    page.wait_for("document.getElementById('screen').hidden")
    check_quiet(page, gateway)


def test_the_token(
    start_gateway: Callable[..., FusionServer], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("right-token\n", encoding="utf-8")
    tokens.chmod(0o600)
    server = start_gateway(token_file=tokens)
    page = open_page(url_of(server))
    page.wait_for("!document.getElementById('token').hidden")
    for token, known in (("wrong", False), ("right-token", True)):
        page.value("document.getElementById('token-field').focus()")
        page.send("Input.insertText", text=token)
        page.click("#token button")
        page.wait_for(
            "document.querySelector('#samples button')"
            if known
            else "document.getElementById('token-hint').textContent.includes('does not know')"
        )
    assert page.value("document.getElementById('token').hidden")
    page.click("#try-sample")
    page.wait_for(FUSED)
    assert not [url for url in page.requested() if "token" in url.replace("/page/token.js", "")]
    assert page.value("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_the_page_of_the_api(gateway: FusionServer, open_page: Callable[..., Any]) -> None:
    page = open_page(url_of(gateway, "/docs"), 390)
    page.wait_for("document.querySelector('.operation')")
    listed = page.value("[...document.querySelectorAll('.operation h2')].map(e => e.textContent)")
    assert "POST/v1/fuse" in listed
    assert f"127.0.0.1:{gateway.http_port}/v1/fuse" in text_of(page, "example")
    assert page.value("document.documentElement.scrollWidth") == 390
    check_quiet(page, gateway)

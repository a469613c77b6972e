"""A real server, and a real Chromium that is driven through its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crossfuse.bundles import store
from crossfuse_server.app import FusionServer
from crossfuse_server.settings import ServerSettings

# For what must happen soon; long, because shared machines stall.
PATIENCE = 60.0

# Chromium reads commands from descriptor 3 and writes to 4: no port, and no library is needed.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
FLAGS = [
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--hide-scrollbars", "--force-color-profile=srgb"),
    "about:blank",
]


class Chromium:
    """One browser with pages, seen through the DevTools protocol."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out), program]
        self._process = subprocess.Popen(
            [*command, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers = itertools.count(1)
        self._held = b""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Run one command; what happens meanwhile is in `events`."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            piece = os.read(self._in, 1 << 20)
            assert piece, "Chromium has ended"
            self._held += piece
        line, _, self._held = self._held.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


class Page:
    """One page of the browser, as a person with a keyboard sees it."""

    def __init__(self, chromium: Chromium, width: int, height: int, *, dark: bool) -> None:
        self._chromium = chromium
        context = chromium.send("Target.createBrowserContext")["browserContextId"]
        target = chromium.send("Target.createTarget", url="about:blank", browserContextId=context)
        self._target = target["targetId"]
        attached = chromium.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        phone = width < 600
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Run one command in this page."""
        return self._chromium.send(method, self._session, **params)

    def open(self, url: str) -> None:
        """Go there."""
        self.send("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives; promises are waited for."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Return when a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.value(f"Promise.resolve({condition}).then(Boolean)"):
            assert time.monotonic() < end, f"never happened: {condition}; {self.complaints()}"
            time.sleep(0.05)

    def press(self, key: str, times: int = 1, *, shift: bool = False) -> None:
        """Press a key on the keyboard."""
        modifiers = 8 if shift else 0
        text = {"text": key} if len(key) == 1 else {}
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.send("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers, **text)
                text = {}

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        self.mouse("mousePressed", selector)
        self.mouse("mouseReleased", selector)

    def mouse(self, kind: str, selector: str, right: float = 0.0) -> None:
        """One event of the mouse on the middle of an element, or so many pixels right of it."""
        box = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        buttons = {"button": "left", "buttons": 1, "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=kind, x=box[0] + right, y=box[1], **buttons)

    def choose(self, selector: str, *files: str) -> None:
        """Choose files in the dialog of an input."""
        found = self.send("Runtime.evaluate", expression=f"document.querySelector('{selector}')")
        self.send("DOM.setFileInputFiles", files=files, objectId=found["result"]["objectId"])

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page as a PNG file."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    def requested(self) -> list[str]:
        """Every address that was asked for."""
        return [
            event["params"]["request"]["url"] for event in self._events("Network.requestWillBeSent")
        ]

    def complaints(self) -> list[str]:
        """What the console shows as wrong, errors of scripts and of the security policy with it."""
        self.value("0")  # take in what has come
        logged = [event["params"]["entry"] for event in self._events("Log.entryAdded")]
        thrown = self._events("Runtime.exceptionThrown")
        called = self._events("Runtime.consoleAPICalled")
        return [
            *(entry["text"] for entry in logged if entry["level"] in ("error", "warning")),
            *(json.dumps(event["params"]["exceptionDetails"]) for event in thrown),
            *(json.dumps(event["params"]["args"]) for event in called),
        ]

    def close(self) -> None:
        """Close the page."""
        self._chromium.send("Target.closeTarget", targetId=self._target)

    def _events(self, method: str) -> list[dict[str, Any]]:
        return [
            event
            for event in self._chromium.events
            if event.get("sessionId") == self._session and event["method"] == method
        ]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """The browser."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("the page cannot be looked at: no chromium on the PATH")
    browser = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def open_page(chromium: Chromium) -> Iterator[Callable[..., Page]]:
    """Opens pages that are closed with the test."""
    pages: list[Page] = []

    def start(url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> Page:
        pages.append(Page(chromium, width, height, dark=dark))
        pages[-1].open(url)
        return pages[-1]

    yield start
    for page in pages:
        page.close()


@pytest.fixture(scope="module", autouse=True)
def only_the_embedded_model() -> Iterator[None]:
    """No bundle of this machine is served beside it."""
    whole = store.search_path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "search_path", lambda models=None: whole(models)[-1:])
        yield


@pytest.fixture(scope="module")
def start_gateway(
    until_serving: Callable[[FusionServer], None],
) -> Iterator[Callable[..., FusionServer]]:
    """Starts servers with the embedded model and an HTTP port."""
    started: list[FusionServer] = []

    def start(**settings: Any) -> FusionServer:
        server = FusionServer(ServerSettings(port=0, http_port=0, threads=1, **settings))
        started.append(server)
        server.start()
        until_serving(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., FusionServer]) -> FusionServer:
    """One server without tokens."""
    return start_gateway()

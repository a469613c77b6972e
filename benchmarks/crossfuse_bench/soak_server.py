"""The server under a soak, in a process of its own: it tells what it holds, and reloads."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import shutil
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from crossfuse_bench.closing import Closing
from crossfuse_bench.reload import Blend, share_of, write_version
from crossfuse_bench.stand_ins import NoEngine

# Threads of these are kept once they were needed; their number is bounded by the settings.
POOLS = ("call_", "control_", "stream-call_", "health-watch_", "reflection_")

# Threads that gRPC makes when many connections come at once, and ends when they were idle for half
# a minute; in a soak they hardly ever are.
EVENT_ENGINE = "event_engine"


class Holds(NamedTuple):
    """What the server holds at one moment."""

    memory_mb: float
    threads: int
    """All but those of the next two."""
    pooled: int
    event_engine: int
    descriptors: int


class SoakServer(Closing):
    """Serves bundles of a folder, which `reload` changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version = 1
        write_version(folder, 1, share_of(1))
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._lock = threading.Lock()
        self._process = context.Process(target=_serve, args=(folder, remote), daemon=True)
        self._process.start()
        self.address = f"127.0.0.1:{self._connection.recv()}"

    def holds(self) -> Holds:
        """What it holds now."""
        held: Holds = self._ask("holds")
        return held

    def reload(self, *, broken: bool) -> None:
        """A new version in, the last one out; or a broken one, which changes nothing."""
        self._version += 1
        write_version(self._folder, self._version, share_of(self._version))
        new = self._folder / "blend" / str(self._version)
        if broken:
            (new / "manifest.json").write_text("{", encoding="utf-8")
            self._ask("reload")
            shutil.rmtree(new)
            return
        for old in new.parent.iterdir():
            if old != new:
                shutil.rmtree(old)
        self._ask("reload")

    def close(self) -> None:
        """Kill the server."""
        self._process.kill()
        self._process.join()

    def _ask(self, what: str) -> Any:
        with self._lock:
            self._connection.send(what)
            return self._connection.recv()


def _serve(folder: Path, connection: Connection) -> None:
    logging.disable(logging.CRITICAL)  # broken bundles are part of it
    # By name: this package must be usable where the server is not installed.
    app: Any = importlib.import_module("crossfuse_server.app")
    settings: Any = importlib.import_module("crossfuse_server.settings")
    server = app.FusionServer(
        settings.ServerSettings(port=0, models=folder, default_model="blend", max_queue=32),
        lambda bundle: [Blend(bundle) if bundle.manifest.name == "blend" else NoEngine()],
    )
    server.start()
    while server.state.value == "loading":
        time.sleep(0.01)
    connection.send(server.port)
    while True:
        if connection.recv() == "reload":
            server.host.reload()
            connection.send(None)
        else:
            connection.send(_held())


def _held() -> Holds:
    status = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    )
    pooled = sum(thread.name.startswith(POOLS) for thread in threading.enumerate())
    names = [_name(task) for task in Path("/proc/self/task").iterdir()]
    event_engine = names.count(EVENT_ENGINE)
    return Holds(
        memory_mb=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]) - pooled - event_engine,
        pooled=pooled,
        event_engine=event_engine,
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
    )


def _name(task: Path) -> str:
    try:
        return (task / "comm").read_text(encoding="ascii").strip()
    except OSError:  # it has ended
        return ""

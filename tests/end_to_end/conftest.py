from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from crossfuse.client import FusionClient
from crossfuse_server.app import FusionServer
from crossfuse_server.settings import load_settings


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server of the shipped models, ready."""
    running = FusionServer(load_settings({"port": 0}, environment={}))
    running.start()
    address = f"127.0.0.1:{running.port}"
    with FusionClient(address) as client:
        while client.health() == "loading":
            time.sleep(0.05)
    yield address
    running.stop()

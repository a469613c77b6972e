"""A name that stands for several servers: calls take turns, and go on where one is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from crossfuse.client import FusionClient
from crossfuse_server.app import FusionServer
from crossfuse_server.settings import load_settings

PATIENCE = 60.0
PAIR = (np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.uint8))


@pytest.fixture
def servers(
    tmp_path: Path,
    write_bundle: Callable[..., Path],
    until_serving: Callable[[FusionServer], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[list[FusionServer]]:
    """Two servers that are ready."""
    models = tmp_path / "bundles"
    write_bundle(models)
    monkeypatch.chdir(tmp_path)  # away from the shipped models, which nobody asks for here
    settings = {"port": 0, "models": models, "default_model": "mean"}
    started = [FusionServer(load_settings(settings, environment={})) for _ in range(2)]
    for server in started:
        server.start()
    for server in started:
        until_serving(server)
    yield started
    for server in started:
        server.stop()


def fused_by(server: FusionServer) -> int:
    return sum(total.succeeded for total in server.observations.totals().values())


def test_calls_take_turns_and_go_on_where_one_is_gone(servers: list[FusionServer]) -> None:
    addresses = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    with FusionClient(f"ipv4:{addresses}") as client:
        for _ in range(20):
            client.fuse(*PAIR, timeout=PATIENCE)
        assert min(map(fused_by, servers)) >= 5, "one server does it all"
        servers[0].stop()
        before = fused_by(servers[1])
        for _ in range(5):
            client.fuse(*PAIR, timeout=PATIENCE)
        assert fused_by(servers[1]) == before + 5

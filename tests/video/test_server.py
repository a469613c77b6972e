"""Videos fused by a server, one that goes away and comes back too."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from crossfuse.client import FusionClient
from crossfuse.video import FusedPair, VideoOptions, fuse_streams
from crossfuse_server.app import FusionServer
from crossfuse_server.settings import load_settings


@pytest.fixture
def start_server(mean_bundle: Path) -> Callable[[int], FusionServer]:
    def start(port: int) -> FusionServer:
        settings = {
            "port": port,
            "models": mean_bundle.parent.parent,
            "default_model": "mean:1",
            "threads": 1,
            "warm_up": "32x32",
            "drain_seconds": 0.2,
        }
        server = FusionServer(load_settings(settings, environment={}))
        server.start()
        return server

    return start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_server_fuses_what_this_process_fuses(
    tmp_path: Path,
    mean_bundle: Path,
    make_folder: Callable[..., Path],
    start_server: Callable[[int], FusionServer],
    until_serving: Callable[[FusionServer], None],
) -> None:
    ir = make_folder(tmp_path / "ir", dtype="uint16")
    vis = make_folder(tmp_path / "vis")
    server = start_server(free_port())
    until_serving(server)
    try:
        with FusionClient(f"127.0.0.1:{server.port}") as client:
            fuse_streams(ir, vis, tmp_path / "remote", client=client)
    finally:
        server.stop()
    fuse_streams(ir, vis, tmp_path / "local", model=str(mean_bundle))
    remote, local = (sorted((tmp_path / name).iterdir()) for name in ("remote", "local"))
    assert [path.read_bytes() for path in remote] == [path.read_bytes() for path in local]
    assert len(remote) == 12


def test_a_server_that_restarts_costs_no_frame_of_a_recording(
    tmp_path: Path, make_video: Callable[..., Path], start_server: Callable[[int], FusionServer]
) -> None:
    ir, vis = (make_video(tmp_path / f"{name}.mp4", 60) for name in ("ir", "vis"))
    port = free_port()
    servers = [start_server(port)]
    seen: list[int] = []

    def restart_once(pair: FusedPair) -> None:
        seen.append(pair.pair.position)
        if len(seen) == 10:
            servers[0].stop()
            servers.append(start_server(port))

    with FusionClient(f"127.0.0.1:{port}") as client:
        summary = fuse_streams(
            ir,
            vis,
            client=client,
            options=VideoOptions(decoder="opencv", reconnect=60),
            on_frame=restart_once,
        )
    servers[-1].stop()
    assert summary.problems == []
    assert summary.fused == 60
    assert seen == sorted(set(seen))
    assert summary.server_reconnects == 1


@contextmanager
def server_process(models: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`crossfuse serve` in a process of its own."""
    program = "from crossfuse.cli import main; import sys; sys.exit(main())"
    place = ["--models", str(models), "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-c", program, "serve", *place, "--warm-up", "32x32"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_server_that_is_killed_and_comes_back_goes_on_with_live_sources(
    tmp_path: Path,
    mean_bundle: Path,
    camera: Callable[..., Any],
    running: Callable[..., Any],
) -> None:
    ir, vis, port, models = camera(), camera(), free_port(), mean_bundle.parent.parent
    options = VideoOptions(
        encoder="opencv", max_wait=0.5, tolerance_ms=100.0, timeout=5.0, reconnect=60.0
    )
    output = tmp_path / "out.mp4"
    with FusionClient(f"127.0.0.1:{port}") as client:
        run = running(ir.address, vis.address, output, client=client, model="mean", options=options)
        with server_process(models, port) as server:
            run.wait_for(10)
            server.kill()
            server.wait()
            time.sleep(1.0)
        before = len(run.positions)
        with server_process(models, port):
            run.wait_for(before + 20)
            summary = run.finish()
    assert summary.server_reconnects == 1
    assert [source.state for source in (summary.infrared, summary.visible)] == ["ended"] * 2
    # The count of pairs goes on over the gap, and each is fused, failed or given up once.
    assert run.positions == sorted(set(run.positions))
    assert run.positions[before] - run.positions[before - 1] > 1_000_000
    assert summary.fused == summary.written == len(run.positions)
    assert summary.pairs == summary.fused + summary.failed + sum(
        count for reason, count in summary.dropped.items() if reason.startswith("pair: ")
    )
    # Nothing that waited while the server was away is fused late.
    assert summary.delay_ms.largest < 2000


def test_a_server_that_is_not_there_is_a_problem(
    tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    ir, vis = (make_video(tmp_path / f"{name}.mp4", 5) for name in ("ir", "vis"))
    with FusionClient(f"127.0.0.1:{free_port()}", retries=0) as client:
        summary = fuse_streams(
            ir, vis, client=client, options=VideoOptions(decoder="opencv", reconnect=0.3)
        )
    assert summary.fused == 0
    assert "could not be reached" in summary.problems[0]

"""One Ray cluster on this machine, with more processors than there are, and the service on it."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse.client import FusionClient
from crossfuse.fuser import Fuser, load

# For what must happen soon; long, because shared machines stall.
PATIENCE = 90.0
APPLICATION = "crossfuse"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """These tests are run when they are asked for, where Ray is installed: `make ray`."""
    asked = "ray" in str(config.getoption("-m"))
    return None if asked and importlib.util.find_spec("ray") else True


class Service:
    """The service on the cluster: deploys, counts and kills its replicas."""

    def __init__(self, address: str, models: Path) -> None:
        self.address = address
        self._models = models

    def deploy(self, *, models_open: int | None = None, engine: Any = None, **options: Any) -> None:
        """Bring the application to this state and wait until it is there."""
        from ray import serve

        from crossfuse_server.ray_serve.application import bind

        settings = {
            "models": str(self._models),
            "default_model": "mean:1",
            "warm_up": "32x32",
            **options.pop("settings", {}),
        }
        quick = {"health_check_period_s": 0.5, "graceful_shutdown_timeout_s": 20.0}
        application = bind(
            settings, models_open=models_open, open_engines=engine, **quick, **options
        )
        serve.run(application, name=APPLICATION)

    def running(self) -> int:
        """How many replicas serve."""
        from ray import serve

        application = serve.status().applications[APPLICATION]
        return int(application.deployments["fusion"].replica_states.get("RUNNING", 0))

    def kill_one(self) -> None:
        """End the process of one replica at once."""
        import ray

        actors = ray.util.list_named_actors(all_namespaces=True)
        replica = next(a for a in actors if a["name"].startswith("SERVE_REPLICA::"))
        ray.kill(ray.get_actor(replica["name"], namespace=replica["namespace"]))


class Load:
    """Callers that fuse one pair after another until told to stop; every outcome is counted."""

    def __init__(self, address: str, callers: int, **client: Any) -> None:
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self._address = address
        self._client = client
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a call hangs"

    def wait_for(self, calls: int) -> None:
        """Return when so many more calls have ended."""
        goal = self.outcomes.total() + calls
        end = time.monotonic() + PATIENCE
        while self.outcomes.total() < goal:
            assert time.monotonic() < end, f"only {self.outcomes} so far"
            time.sleep(0.02)

    def _call(self) -> None:
        ir, vis = np.zeros((64, 64), np.uint8), np.full((64, 64, 3), 100, np.uint8)
        with FusionClient(self._address, timeout=30.0, **self._client) as client:
            while not self._stop.is_set():
                started = time.monotonic()
                try:
                    outcome = f"fused {client.fuse(ir, vis)[0, 0, 0]}"
                except Exception as error:
                    outcome = type(error).__name__
                with self._lock:
                    self.outcomes[outcome] += 1
                    self.slowest = max(self.slowest, time.monotonic() - started)


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """A cluster with the service's door; its address."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ.setdefault("RAY_SERVE_USE_GRPC_BY_DEFAULT", "1")  # as deploy/ray says
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import ray
    from ray import serve
    from ray.serve.config import gRPCOptions

    port = free_port()
    ray.init(
        address="local",  # never one that happens to run here
        num_cpus=8,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    serve.start(
        http_options={"port": free_port()},
        grpc_options=gRPCOptions(
            port=port,
            grpc_servicer_functions=["crossfuse_server.ray_serve.door.add_multiplexed_services"],
        ),
    )
    yield f"127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., Path]) -> Path:
    """Four bundles: mean:1, mean:2 with more infrared, and two others."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder, "mean", 1, 0.5)
    write_bundle(folder, "mean", 2, 0.75)
    write_bundle(folder, "dark", 1, 0.25)
    write_bundle(folder, "warm", 1, 1.0)
    return folder


@pytest.fixture(scope="session")
def service(cluster: str, models: Path) -> Service:
    """The service; each test brings it to the state it needs."""
    return Service(cluster, models)


@pytest.fixture(scope="session")
def under_load() -> type[Load]:
    """Keeps the service busy."""
    return Load


@pytest.fixture(scope="session")
def fuser(models: Path) -> Iterator[Fuser]:
    """The default model in this process."""
    with load(models / "mean" / "1", threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def eventually() -> Callable[..., float]:
    """Waits for something the cluster will do; returns how many seconds it took."""

    def wait(condition: Callable[[], bool], patience: float = PATIENCE) -> float:
        started = time.monotonic()
        while not condition():
            assert time.monotonic() < started + patience, f"never happened: {condition}"
            time.sleep(0.05)
        return time.monotonic() - started

    return wait


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

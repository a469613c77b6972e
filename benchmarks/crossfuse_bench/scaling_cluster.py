"""A Ray cluster of several nodes on this machine, with the service on it, for measurements."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OBJECT_STORE_BYTES = 100_000_000
APPLICATION = "scaling"
TICKS = os.sysconf("SC_CLK_TCK")

# Processes of a cluster by what their command line begins with.
PARTS = {"door": "ray::ProxyActor", "replicas": "ray::ServeReplica", "controller": "ray::ServeCont"}


@contextmanager
def service_cluster(nodes: int) -> Iterator[str]:
    """A head with the only door, and so many nodes of one processor each; the door's address."""
    os.environ["RAY_AUTH_MODE"] = "disabled"  # nobody else reaches it
    # As deploy/ray says: calls go from the door to a replica by gRPC, not by the object store.
    os.environ.setdefault("RAY_SERVE_USE_GRPC_BY_DEFAULT", "1")
    ray: Any = importlib.import_module("ray")
    serve: Any = importlib.import_module("ray.serve")
    utils: Any = importlib.import_module("ray.cluster_utils")
    config: Any = importlib.import_module("ray.serve.config")
    cluster = utils.Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_dashboard": False,
        },
    )
    for _ in range(nodes):
        cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    port = _free_port()
    serve.start(
        proxy_location="HeadOnly",
        http_options={"port": _free_port()},
        grpc_options=config.gRPCOptions(
            port=port, grpc_servicer_functions=["crossfuse_server.ray_serve.door.add_services"]
        ),
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()


def deploy(replicas: int, settings: dict[str, Any], open_engines: Any) -> None:
    """Bring the service to so many replicas, each on a node of its own."""
    # By name: this package must be usable where the server is not installed.
    application: Any = importlib.import_module("crossfuse_server.ray_serve.application")
    serve: Any = importlib.import_module("ray.serve")
    bound = application.bind(
        settings,
        open_engines=open_engines,
        num_replicas=replicas,
        ray_actor_options={"num_cpus": 1},
        max_ongoing_requests=64,
        max_queued_requests=-1,
        health_check_period_s=1.0,
        graceful_shutdown_timeout_s=5.0,
    )
    serve.run(bound, name=APPLICATION)


def processor_seconds() -> dict[str, float]:
    """What the parts of the cluster, and this process, have used of the processors so far."""
    spent = dict.fromkeys(PARTS, 0.0)
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_text(encoding="utf-8", errors="replace")
            part = next((p for p, start in PARTS.items() if command.startswith(start)), None)
            if part is not None:
                times = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                spent[part] += (int(times[11]) + int(times[12])) / TICKS
        except OSError:  # it has just ended
            continue
    own = os.times()
    return {**spent, "callers": own.user + own.system}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

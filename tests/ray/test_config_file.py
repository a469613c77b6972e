"""deploy/ray/serve.yaml, and what the application takes from it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from crossfuse.client import FusionClient
from crossfuse.errors import CrossFuseError, InvalidInput, UnknownName
from crossfuse.fuser import load

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]

PATIENCE = 240.0


@pytest.fixture(scope="module")
def shipped(root: Path) -> Any:
    """The file."""
    return yaml.safe_load((root / "deploy" / "ray" / "serve.yaml").read_text(encoding="utf-8"))


def test_the_file_keeps_rays_schema_and_our_defaults(shipped: Any) -> None:
    from ray.serve.schema import ServeDeploySchema

    from crossfuse_server.ray_serve.application import DEFAULTS, build

    ServeDeploySchema(**shipped)
    (application,) = shipped["applications"]
    (deployment,) = application["deployments"]
    assert deployment["name"] == build(application["args"])._bound_deployment.name
    assert set(DEFAULTS) <= set(deployment) | {"logging_config"}


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ({"defaultmodel": "x"}, UnknownName, "did you mean 'default_model'"),
        ({"models_open": 0}, InvalidInput, "models_open: got 0; valid: 1 or more"),
        ({"port": 1}, InvalidInput, "Ray's proxies listen"),
        ({"max_batch": 1000}, InvalidInput, "max_batch: got 1000"),
    ],
)
def test_what_is_wrong_is_told_before_a_replica_starts(
    args: dict[str, Any], error: type[CrossFuseError], message: str
) -> None:
    from crossfuse_server.ray_serve.application import build

    with pytest.raises(error, match=message):
        build(args)


def test_the_file_runs(shipped: Any, tmp_path: Path) -> None:
    grpc_port, http_port = free_port(), free_port()
    shipped["grpc_options"]["port"] = grpc_port
    shipped["http_options"]["port"] = http_port
    (deployment,) = shipped["applications"][0]["deployments"]
    deployment["autoscaling_config"]["min_replicas"] = 1
    deployment["ray_actor_options"]["num_cpus"] = 1
    config = tmp_path / "serve.yaml"
    config.write_text(yaml.safe_dump(shipped), encoding="utf-8")
    # A cluster of its own, whatever cluster the other tests have.
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "local"}
    serve = Path(sys.executable).parent / "serve"
    with subprocess.Popen(
        [serve, "run", config],
        env=environment,
        cwd=tmp_path,
        # A shell that runs the tests in the background has it ignored, for all they start too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        try:
            random = np.random.default_rng(3)
            ir = random.integers(0, 256, (64, 64), np.uint8)
            vis = random.integers(0, 256, (64, 64, 3), np.uint8)
            end = time.monotonic() + PATIENCE
            with FusionClient(f"127.0.0.1:{grpc_port}", timeout=30) as client:
                while True:
                    assert running.poll() is None, "serve run ended"
                    try:
                        fused = client.fuse(ir, vis)
                        break
                    except CrossFuseError:
                        assert time.monotonic() < end, "it never served"
                        time.sleep(0.5)
            with load("crossfuse-rt", threads=1) as here:
                np.testing.assert_array_equal(fused, here.fuse(ir, vis))
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(60)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

"""Throughput and latency of the service on a Ray cluster against its replicas.

    python -m crossfuse_bench.scaling --engine waiting -o scaling-waiting-cpu2.json
    python -m crossfuse_bench.scaling --engine rt -o scaling-rt-cpu2.json

Each node of the cluster counts as one processor, whatever the machine has. An engine that waits
takes no processor, so what grows with the replicas is the service; the real model shares the
processors with everything else, the callers included. Under two minutes each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import crossfuse
from crossfuse.images import encode, read_infrared, read_visible
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.load import raw_request
from crossfuse_bench.machine import commit, describe_machine
from crossfuse_bench.machine import versions as library_versions
from crossfuse_bench.scaling_cluster import deploy, processor_seconds, service_cluster
from crossfuse_bench.scaling_load import Run, as_many_as_fit, at_random
from crossfuse_bench.waiting_engine import waiting

SAMPLE = Path(crossfuse.__file__).parent / "assets" / "sample"
REPLICAS = (1, 2, 3, 4)
LOADS = (0.3, 0.6, 0.8)
CALLERS_PER_REPLICA = 4

WAIT = 0.020
ENGINES: dict[str, dict[str, Any]] = {
    "waiting": {"label": "an engine that waits 20 ms", "size": (64, 64), "opener": waiting(WAIT)},
    "rt": {"label": "crossfuse-rt, one thread", "size": (240, 320), "opener": None},
}


def main(words: list[str] | None = None) -> int:
    """Measure one engine and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="waiting")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args(words)
    engine = ENGINES[args.engine]
    before = describe_machine()
    started = time.perf_counter()
    document = {
        "engine": engine["label"],
        "size": list(engine["size"]),
        "seconds_per_run": args.seconds,
        "replicas": measure(engine, args.seconds),
        "picture_bytes": sample_bytes(),
        "machine": before,
        "load_after": describe_machine()["load"],
        "versions": {**library_versions(), "ray": version("ray")},
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "took_seconds": round(time.perf_counter() - started, 1),
        "command": f"python -m crossfuse_bench.scaling --engine {args.engine} "
        f"--seconds {args.seconds:g} -o FILE.json",
    }
    args.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(engine: dict[str, Any], seconds: float) -> list[dict[str, Any]]:
    """For each number of replicas: the most they do, and the latency at shares of it."""
    request = raw_request(*engine["size"])
    height, width = engine["size"]
    settings = {"warm_up": f"{height}x{width}"}
    found = []
    with service_cluster(max(REPLICAS)) as address:
        for replicas in REPLICAS:
            deploy(replicas, settings, engine["opener"])
            row = _one(address, request, replicas, seconds)
            print(json.dumps(row), file=sys.stderr)
            found.append(row)
    return found


def sample_bytes() -> dict[str, Any]:
    """What the pictures of the bundled sample pair are as JPEG: to the server, and back."""
    ir = read_infrared(SAMPLE / "ir.png").astype(np.uint8, casting="safe")
    vis = read_visible(SAMPLE / "vis.png")
    height, width = ir.shape
    with crossfuse.load("crossfuse-rt", threads=1) as fuser:
        fused = fuser.fuse(ir, vis)
    return {
        "size": f"{height}x{width}",
        "there": len(encode(ir, "jpeg")) + len(encode(vis, "jpeg")),
        "back": len(encode(fused, "jpeg")),
    }


def _one(address: str, request: pb.FuseRequest, replicas: int, seconds: float) -> dict[str, Any]:
    callers = CALLERS_PER_REPLICA * replicas
    as_many_as_fit(address, request, callers, 1.0)  # connections, threads and memory of the start
    before = processor_seconds()
    most = as_many_as_fit(address, request, callers, seconds)
    after = processor_seconds()
    loads = []
    for share in LOADS:
        rate = share * len(most.latencies) / most.seconds
        run = at_random(address, request, rate, seconds, seed=replicas)
        loads.append({"share": share, "offered": round(rate, 2), **run.row()})
    return {
        "replicas": replicas,
        "callers": callers,
        "most": most.row(),
        "processor_ms_per_pair": _per_pair(before, after, most),
        "loads": loads,
    }


def _per_pair(before: dict[str, float], after: dict[str, float], run: Run) -> dict[str, float]:
    pairs = max(len(run.latencies), 1)
    return {part: round(1e3 * (after[part] - before[part]) / pairs, 3) for part in after}


if __name__ == "__main__":
    sys.exit(main())

"""The machine of a measurement: what it is, how busy it is, and the most it can do just now.

    python -m crossfuse_bench.machine

prints the measured peak as JSON, with as many threads as OPENBLAS_NUM_THREADS says.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from crossfuse_bench.conditions import processor
from crossfuse_bench.device.energy import gpu_identity

SIDE, PRODUCTS = 1024, 25
COPY_BYTES, COPIES = 2**26, 15
"""Enough of them that one falls into a moment in which the machine does nothing else."""
PACKAGES = ("crossfuse", "numpy", "opencv-python-headless", "onnxruntime", "torch", "grpcio")
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
CLOCKS = Path("/proc/cpuinfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def describe_machine() -> dict[str, Any]:
    """Processor, system, load and clock governor of this moment."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": processor(),
        "processors": len(affinity(0)) if affinity else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": [round(value, 2) for value in os.getloadavg()],
        "clock": _clock(),
        "governor": _first_line(GOVERNOR) or "unknown: the system does not tell",
        "gpu": gpu_identity() if Path("/dev/nvidia0").exists() else "none",
    }


def versions() -> dict[str, str]:
    """Of the interpreter and of what is installed of the libraries that matter."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def measured_peak(threads: int) -> dict[str, Any]:
    """GFLOP/s of a matrix product and GB/s of a copy, in a process with so many threads."""
    limited = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    command = [sys.executable, "-m", "crossfuse_bench.machine"]
    done = subprocess.run(command, env=limited, capture_output=True, text=True, check=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def commit() -> str:
    """Of the checkout this package lies in, `+changes` where files differ; or `unknown`."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a git checkout"


def _peak() -> dict[str, float]:
    factors = np.random.default_rng(0).random((2, SIDE, SIDE), np.float32)
    source = np.ones(COPY_BYTES // 8)
    target = np.empty_like(source)
    products, copies = [], []
    for _ in range(PRODUCTS):
        started = time.perf_counter()
        np.matmul(*factors)
        products.append(time.perf_counter() - started)
    for _ in range(COPIES):
        started = time.perf_counter()
        np.copyto(target, source)
        copies.append(time.perf_counter() - started)
    return {
        "gflops": 2 * SIDE**3 / min(products) / 1e9,
        # Each byte is read once and written once.
        "copy_gbytes": 2 * COPY_BYTES / min(copies) / 1e9,
    }


def _clock() -> str:
    """What the system says of the processors' clocks just now."""
    try:
        lines = CLOCKS.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    if not clocks:
        return "unknown: the system does not tell"
    return f"{min(clocks):.0f} to {max(clocks):.0f} MHz"


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


if __name__ == "__main__":
    print(json.dumps(_peak()))

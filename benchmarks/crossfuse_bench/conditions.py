"""The conditions a measurement was made under, as lines of Markdown."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def conditions(*packages: str) -> list[str]:
    """Machine, interpreter, packages and load of this moment."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"- Machine: {cpus} processors of {processor()}, {platform.system()} {platform.machine()}",
        f"- Python {platform.python_version()}, {versions}",
        f"- Load average when it was written (1, 5, 15 minutes): {load}. A machine that is shared "
        "with other work is noisy: trust ratios within this run more than times.",
    ]


def processor() -> str:
    """Name of the processor, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "an unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

"""A thousand cameras on paper: what the measured times make of replicas, doors and network."""

from __future__ import annotations

import math
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

from crossfuse_bench.scaling_model import wait_below

CAMERAS = 1000
FPS = 25
# Above it waits grow faster than what is saved, and one lost node overloads the others.
UTILISATION = 0.7

CPU_COLUMN = "CPU ms a pair in process"


@dataclass(frozen=True, slots=True)
class Plan:
    """For pairs that take a replica `service` seconds each, every camera always at one replica."""

    service: float
    cameras: int = CAMERAS
    fps: float = FPS

    @property
    def rate(self) -> float:
        """Pairs a second of all cameras."""
        return self.cameras * self.fps

    @property
    def cameras_per_replica(self) -> int:
        """Whole cameras, since a camera is not divided."""
        return math.floor(UTILISATION / (self.fps * self.service))

    @property
    def replicas(self) -> int | None:
        """How many; None where one replica cannot keep up with one camera."""
        each = self.cameras_per_replica
        return math.ceil(self.cameras / each) if each else None

    @property
    def wait99(self) -> float:
        """Seconds that 99 of 100 pairs wait less than, were arrivals as random as they can be."""
        return wait_below(self.cameras_per_replica * self.fps, self.service, 0.99)


def doors(processor_seconds_per_pair: float, rate: float) -> int:
    """Processors that Ray's proxies take at so many pairs a second."""
    return math.ceil(rate * processor_seconds_per_pair / UTILISATION)


def raw_bytes(height: int, width: int) -> tuple[int, int]:
    """Of a RAW pair to the server and of the picture back."""
    return height * width * (1 + 3), height * width * 3


def gigabits(bytes_per_pair: float, rate: float) -> float:
    """Per second."""
    return 8 * bytes_per_pair * rate / 1e9


def processor_time_of_a_pair(results: Path) -> float:
    """Seconds of one processor that crossfuse-rt takes for 480x640, from the kept measurement."""
    lines = (results / "throughput-rt-cpu2.md").read_text(encoding="utf-8").splitlines()
    header = next(number for number, line in enumerate(lines) if CPU_COLUMN in line)
    column = [cell.strip() for cell in lines[header].split("|")].index(CPU_COLUMN)
    rows = (line.split("|") for line in lines[header + 2 :])
    values = [float(row[column]) for row in rows if len(row) > column and re.search(r"\d", row[1])]
    return statistics.median(values) / 1e3

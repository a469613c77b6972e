"""The tables of docs/scaling.md, from the kept measurements."""

from __future__ import annotations

import math
from typing import Any

from crossfuse_bench.scaling_model import fit_of
from crossfuse_bench.scaling_plan import (
    CAMERAS,
    FPS,
    UTILISATION,
    Plan,
    doors,
    gigabits,
    raw_bytes,
)

SIZES = ((480, 640), (720, 1280), (1080, 1920))

# Load average for each processor, before it began, above which a measurement was not alone.
BUSY = 0.5


def blocks(found: dict[str, Any], rt_seconds: float) -> dict[str, str]:
    """By name of the marks: the Markdown between them."""
    tables = {name: _measured(document) for name, document in found.items()}
    return {
        **{f"measured-{name}": table for name, table in tables.items()},
        "model": _model(found["waiting"]),
        "cost": _cost(found),
        "replicas": _replicas(rt_seconds),
        "network": _network(found["waiting"]["picture_bytes"]),
        "doors": _doors(found["waiting"]),
    }


def _measured(document: dict[str, Any]) -> str:
    height, width = document["size"]
    machine = document["machine"]
    first = document["replicas"][0]["most"]["throughput"]
    lines = [
        f"{document['engine']}, RAW pictures of {height}x{width}, "
        f"{document['seconds_per_run']:g} s a run; {machine['processors']} processors of "
        f"{machine['processor']}, load average before {machine['load'][0]} and after "
        f"{document['load_after'][0]}, ray {document['versions']['ray']}, {document['date']}.",
        *_warning(machine),
        "",
        "| replicas | most, pairs/s | times one | at 30 % load: mean, p50, p90 ms | at 60 % | "
        "at 80 % | failed |",
        "| --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in document["replicas"]:
        most = row["most"]["throughput"]
        cells = [
            ", ".join(_number(load[name]) for name in ("mean", "p50", "p90"))
            for load in row["loads"]
        ]
        failed = row["most"]["failures"] + sum(load["failures"] for load in row["loads"])
        lines.append(
            f"| {row['replicas']} | {most:.1f} | {most / first:.2f} | {' | '.join(cells)} "
            f"| {failed} |"
        )
    return "\n".join(lines)


def _warning(machine: dict[str, Any]) -> list[str]:
    """What is told where other work had the processors."""
    if machine["load"][0] <= BUSY * machine["processors"]:
        return []
    return [
        "",
        "**Other work had the processors of this machine meanwhile**, so rates and latencies say "
        "little about replicas, and the queue below little about the service; processor times per "
        "pair stand. Measure again on a quiet machine: `make scaling`.",
    ]


def _model(document: dict[str, Any]) -> str:
    fit = fit_of(document)
    lines = [
        f"Service time {1e3 * fit.service:.1f} ms (from what one replica did at most), overhead "
        f"{1e3 * fit.overhead:.1f} ms (median over all loads):",
        "",
        "| replicas | offered, pairs/s | measured mean, ms | model, ms | difference |",
        "| --: | --: | --: | --: | --: |",
    ]
    for row in document["replicas"]:
        for load in row["loads"]:
            model = 1e3 * fit.latency(row["replicas"], load["offered"])
            said = (
                f"{model:.1f} | {load['mean'] / model - 1:+.0%}"
                if math.isfinite(model)
                else "more than they can do |"
            )
            lines.append(
                f"| {row['replicas']} | {load['offered']:.1f} | {load['mean']:.1f} | {said} |"
            )
    return "\n".join(lines)


def _cost(found: dict[str, Any]) -> str:
    parts = ("door", "replicas", "controller", "callers")
    lines = [
        f"| engine | replicas | {' | '.join(f'{part}, ms a pair' for part in parts)} |",
        f"| --- | --: |{' --: |' * len(parts)}",
    ]
    for document in found.values():
        for row in document["replicas"]:
            spent = row["processor_ms_per_pair"]
            cells = " | ".join(f"{spent[part]:.2f}" for part in parts)
            lines.append(f"| {document['engine']} | {row['replicas']} | {cells} |")
    return "\n".join(lines)


def _replicas(rt_seconds: float) -> str:
    plan = Plan(rt_seconds)
    return "\n".join(
        [
            "| model and device | time of a pair, 480x640 | cameras per replica | replicas for "
            f"{CAMERAS:,} | 99 % wait less than |",
            "| --- | --: | --: | --: | --: |",
            f"| crossfuse-rt, one processor | {1e3 * rt_seconds:.1f} ms (throughput-rt-cpu2.md) | "
            f"{plan.cameras_per_replica} | {plan.replicas or 'none is fast enough'} | "
            f"{1e3 * plan.wait99:.0f} ms |",
            "| crossfuse-rt, a GPU | S: not measured | floor(U / (F S)) | ceil(C / that) | "
            "formula above |",
            "| crossfuse-base, a GPU | S: not measured | floor(U / (F S)) | ceil(C / that) | "
            "formula above |",
            "",
            f"Read backwards: for k cameras on a GPU a pair may take {1e3 * UTILISATION / FPS:.0f} "
            f"ms / k; {_budget(10)}, {_budget(50)}, {_budget(100)}.",
        ]
    )


def _budget(cameras: int) -> str:
    gpus = -(-CAMERAS // cameras)
    return f"{cameras} cameras ({gpus} GPUs): {1e3 * UTILISATION / (FPS * cameras):.2f} ms"


def _network(sample: dict[str, Any]) -> str:
    rate = CAMERAS * FPS
    lines = [
        f"| size | RAW there and back, bytes a pair | one camera, Mbit/s | {CAMERAS:,} cameras, "
        "Gbit/s |",
        "| --- | --: | --: | --: |",
    ]
    for height, width in SIZES:
        there, back = raw_bytes(height, width)
        lines.append(_network_row(f"{height}x{width}, RAW", there, back, rate))
    lines.append(
        _network_row(f"{sample['size']}, JPEG of the sample", sample["there"], sample["back"], rate)
    )
    return "\n".join(lines)


def _network_row(name: str, there: int, back: int, rate: float) -> str:
    one = 1e3 * gigabits(there + back, FPS)
    return (
        f"| {name} | {there:,} + {back:,} | {one:.1f} | {gigabits(there, rate):.1f} there, "
        f"{gigabits(back, rate):.1f} back |"
    )


def _doors(document: dict[str, Any]) -> str:
    height, width = document["size"]
    spent = document["replicas"][-1]["processor_ms_per_pair"]["door"] / 1e3
    rate = CAMERAS * FPS
    return (
        f"A call of {height}x{width} took a door {1e3 * spent:.1f} ms of a processor, so "
        f"{rate:,} calls a second would take {doors(spent, rate):,} processors for the doors alone "
        f"(ceil({rate:,} x {1e3 * spent:.1f} ms / {UTILISATION}))."
    )


def _number(value: float | None) -> str:
    return "too few" if value is None else f"{value:.1f}"

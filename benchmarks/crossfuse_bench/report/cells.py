"""Values of a report as short texts, the same on the page, in Markdown and on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]

GPU_TIMES = ("upload", "compute", "download", "wall")
GPU_HEADS = (
    "what", "conditions", "n", "host to device", "compute", "device to host", "these calls' wall",
    "energy of a pair",
)  # fmt: skip
GPU_NOTE = (
    "On the GPU, p50 / p95 / p99 in ms by CUDA events in calls of their own, beside the wall time "
    "of the same calls; a dash: too few calls, or no split. Energy is that of the whole board."
)


def model_sentence(part: Mapping[str, Any]) -> str:
    """What was measured, down to the bytes of the model and where its nodes ran."""
    identity = part["identity"]
    counts = identity.get("nodes_by_provider") or {}
    nodes = ", ".join(f"{count} nodes on {name}" for name, count in counts.items())
    return (
        f"{identity['name']}:{identity['version']}, {identity['precision'] or 'no'} precision, "
        f"sha256 {part['sha256']}, {identity['provider']}" + (f" ({nodes})" if nodes else "")
    )


def machine_sentence(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    load = ", ".join(f"{value:g}" for value in machine["load"])
    return (
        f"{machine['processors']} processors of {machine['processor']}, {machine['system']}, "
        f"GPU {machine['gpu']}, clock {machine['clock']}, governor {machine['governor']}, "
        f"load {load}"
    )


def machine_name(machine: Mapping[str, Any]) -> str:
    """What stays the same of a machine from one run to the next."""
    gpu = machine["gpu"].partition(", clock")[0]
    return (
        f"{machine['processors']} processors of {machine['processor']}, {machine['system']}, "
        f"GPU {gpu}"
    )


def latency(row: Row, name: str) -> str:
    """A percentile with its interval, or a dash."""
    value = row[name]
    if value is None:
        return "-"
    low, high = row["intervals"][name]
    return f"{value:.4g} ({low:.4g} to {high:.4g})"


def conditions(row: Row) -> str:
    """What tells one row from another, in few words."""
    parts = [row["size"]]
    if row.get("batch", 1) != 1:
        parts.append(f"batch {row['batch']}")
    if "threads" in row:
        parts.append(f"{row['threads']} threads")
    named = (row.get(name) for name in ("precision", "provider", "launch", "mode", "encoding"))
    parts.extend(str(value) for value in named if value and value != "none")
    if row.get("rate") is not None:
        parts.append(f"{row['rate']:.4g}/s {row['arrivals']}")
    if row.get("concurrency") is not None:
        parts.append(f"concurrency {row['concurrency']}")
    return ", ".join(parts)


def remarks(row: Row) -> str:
    """Stability, what it took and what failed."""
    parts = []
    if row.get("label"):
        parts.append(str(row["label"]))
    if row.get("search"):
        parts.append("tried by the search")
    if row.get("stable") is False:
        parts.append("UNSTABLE")
    if row.get("run_to_run") is not None:
        parts.append(f"run-to-run {row['run_to_run']:.1%}")
    if row.get("lateness_ms") is not None:
        parts.append(f"loader late by {row['lateness_ms']:.1f} ms (p99)")
    if row.get("jitter_ms") is not None:
        parts.append(f"every {row['interval_ms']:.1f} ms, jitter {row['jitter_ms']:.1f} ms (p90)")
    if row.get("load_s") is not None:
        parts.append(f"loaded in {row['load_s']:.2f} s, first call {row['first_ms']:.4g} ms")
    if row.get("share_of_peak"):
        # Of as many threads as the row has, which the other rows need not have.
        peak = row["gflops"] / row["share_of_peak"]
        share = f"{row['share_of_peak']:.0%} of a peak of {peak:.0f}"
        parts.append(f"{row['gflops']:.0f} GFLOP/s, {share}")
    if row.get("memory_mb") is not None:
        parts.append(f"{row['memory_mb']:.0f} MB")
    parts.extend(f"{count} {name}" for name, count in row.get("failures", {}).items())
    parts.extend(f"{count} dropped: {name}" for name, count in row.get("dropped", {}).items())
    return "; ".join(parts)


def quality(row: Row) -> str:
    """Distance to fp32."""
    found = row.get("quality")
    if not found:
        return "-"
    if found["psnr"] is None:
        return "= fp32" if found["ssim"] == 1.0 else "-"
    ssim = "no SSIM" if found["ssim"] is None else f"SSIM {found['ssim']:.4f}"
    return f"{found['psnr']:.1f} dB, {ssim}"


def on_gpu(rows: Iterable[Row]) -> list[Row]:
    """Those of which phases or energy were measured, or tried to be."""
    return [row for row in rows if row["measured"] and "device_times" in row]


def gpu_cells(row: Row) -> list[str]:
    """Phases of a call on the GPU as p50 / p95 / p99, its wall time, and energy of a pair."""
    times, energy = row["device_times"], row["energy"]
    joules = energy["joules_per_pair"]
    used = energy["reason"] if joules is None else f"{joules:.4g} J ({energy['how']})"
    phases = [_phase(times[name]) if times["n"] else "-" for name in GPU_TIMES]
    if not times["n"]:
        phases[0] = times["reason"]
    return [row["name"], conditions(row), str(times["n"]), *phases, used]


def _phase(found: Mapping[str, Any]) -> str:
    values = (found[name] for name in ("p50", "p95", "p99"))
    return " / ".join("-" if value is None else f"{value:.4g}" for value in values)


def statistics_cells(row: Row) -> list[str]:
    """What the server counted of a row, beside what the client did."""
    server = row["server"]
    names = ("queue", "compute_input", "compute_infer", "compute_output", "overhead")
    parts = " + ".join(f"{server[f'{name}_ms']:.3g}" for name in names)
    mean = f"{row['mean']:.4g}" if row["n"] else "-"
    return [
        conditions(row),
        f"{row['n']} / {server['n']}",
        str(server["executions"]),
        mean,
        f"{server['request_ms']:.4g}",
        parts,
    ]

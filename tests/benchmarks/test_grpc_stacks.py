"""The two measurements of the transport run to their end and write what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfuse_bench import grpc_stacks, server_overhead


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_grpc_stacks(tmp_path: Path) -> None:
    report = tmp_path / "stacks.md"
    grpc_stacks.main(["-o", str(report), "--rounds", "1", "--calls", "3"])
    text = report.read_text(encoding="utf-8")
    rows = [cells(line) for line in text.splitlines() if line.startswith(("| threads", "| aio"))]
    assert [row[0] for row in rows] == ["threads", "aio", "threads, round 1", "aio, round 1"]
    assert all(len(row) == 7 and min(map(float, row[1:])) >= 0 for row in rows)
    assert float(rows[0][1]) > 0
    assert "grpcio 1." in text
    assert "3 calls or frames for every number; 1 rounds" in text


def test_the_server_s_overhead(tmp_path: Path) -> None:
    report = tmp_path / "overhead.md"
    server_overhead.main(["-o", str(report), "--rounds", "1", "--calls", "5"])
    text = report.read_text(encoding="utf-8")
    table = [cells(line) for line in text.splitlines() if line.startswith("|")]
    rows = {row[0].partition(":")[0]: row[1] for row in table}
    assert {"decode", "queue", "infer", "encode", "total"} < set(rows)
    assert float(rows["CPU time of the server process, all threads"]) >= 0
    assert float(rows["total"]) > float(rows["decode"]) > 0


@pytest.mark.parametrize(("cpu", "word"), [(2.9, "**kept**"), (3.1, "**NOT kept**")])
def test_the_verdict(cpu: float, word: str) -> None:
    found = dict.fromkeys((*server_overhead.PHASES, "client"), 1.0)
    assert word in server_overhead.report([{**found, "cpu": cpu}], calls=1)

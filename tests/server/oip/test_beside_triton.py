"""The answers that were compared with real Triton's (`make oip-triton`) are still ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossfuse_bench.oip_cases import CASES, NAME, Case
from crossfuse_bench.oip_triton import Server, stream_case

TOKEN = "a-token"  # noqa: S105


@pytest.fixture(scope="module")
def compared(root: Path) -> dict[str, str]:
    """What the report says of us, by case."""
    lines = (root / "benchmarks" / "results" / "oip-triton.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("|")]
    return {row[1]: row[3] for row in cells}


@pytest.fixture(scope="module")
def ours(
    start_server: Callable[..., Any],
    write_bundle: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    folder = tmp_path_factory.mktemp("named")
    write_bundle(folder, NAME, 1, 0.5)
    (folder / "tokens").write_text(TOKEN)
    (folder / "tokens").chmod(0o600)
    running = start_server(models=folder, default_model=NAME, token_file=folder / "tokens")
    server = Server(running.address, TOKEN)
    yield server
    server.channel.close()
    running.end()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_call(case: Case, ours: Server, compared: dict[str, str]) -> None:
    assert ours.answer(case) == compared[case.name]


def test_stream(ours: Server, compared: dict[str, str]) -> None:
    assert ours.stream(stream_case()) == compared["a stream of four, two of them wrong"]

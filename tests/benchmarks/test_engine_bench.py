"""A short run of `bench engine` on a small model, from processes to rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossfuse.errors import UnknownName
from crossfuse_bench.engine_bench import EngineBench, run_bench
from crossfuse_bench.engine_case import EngineCase
from crossfuse_bench.engine_runs import in_process, measure
from crossfuse_bench.percentiles import merged
from crossfuse_bench.report.document import write_report


def quiet(_: str) -> None:
    """No progress."""


@pytest.fixture
def asked(mean_bundle: Path) -> EngineBench:
    """Two processes of a model that is a weighted mean."""
    return EngineBench(
        model=str(mean_bundle), device="cpu", sizes=[(64, 96)], batches=[2], precisions=["fp32"],
        threads=[1], rivals=["average"], processes=2, seconds=0.6,
    )  # fmt: skip


def test_a_run_gives_a_report(asked: EngineBench, tmp_path: Path) -> None:
    document = write_report(run_bench(asked, "crossfuse bench engine", quiet), tmp_path)
    model, rival, *absent = document["rows"]
    assert document["provider"] == "CPUExecutionProvider"
    assert len(document["sha256"]) == 64
    assert document["identity"]["nodes_by_provider"] == {"CPUExecutionProvider": 8}
    assert document["extra"]["peak"]["gflops"] > 0
    assert document["p50"] == model["p50"] > 0
    assert model["batch"] == 2
    assert model["sha256"] == document["sha256"]
    assert rival["sha256"] == ""
    assert model["n"] == merged([model["histogram"]]).get_total_count()
    assert model["throughput"] == pytest.approx(2e3 / model["mean"], rel=1e-6)
    assert {block["process"] for block in model["blocks"]} == {0, 1}
    assert model["quality"]["note"] == "the same bytes as fp32 on the CPU"
    assert (rival["name"], rival["kind"], rival["batch"]) == ("average", "rival", 1)
    assert 20 < rival["quality"]["psnr"] <= 100
    assert absent
    for row in absent:
        assert not row["measured"]
        assert row["p50"] is row["throughput"] is None
        assert row["reason"].startswith("not measured: this onnxruntime has no ")
        assert row["device_times"] == {"n": 0, "reason": row["reason"]}
        assert row["energy"] == {"joules_per_pair": None, "reason": row["reason"]}
    assert [row.get("launch") for row in absent] == [None, "cuda-graph"] * (len(absent) // 2)
    # Where no GPU was measured, nothing is shown of what only a GPU has.
    assert not {"device_times", "energy", "launch"} & model.keys()
    assert "joules" not in (tmp_path / "report.csv").read_text(encoding="utf-8")
    for name in ("report.md", "report.html"):
        assert "On the GPU" not in (tmp_path / name).read_text(encoding="utf-8")


def test_pictures_rotate_and_the_rest_is_noted(mean_bundle: Path) -> None:
    run = measure(EngineCase(str(mean_bundle), 64, 64), 0.1)
    assert len(run.fused) == 2
    assert not np.array_equal(run.fused[0], run.fused[1])
    assert run.memory_mb > 10
    assert run.first_ms > 0
    assert run.load_s > 0
    assert all(block.reference_ms > 0 for block in run.blocks)


def test_a_rival_that_fails_is_a_row_with_its_reason(asked: EngineBench, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    document = run_bench(replace(asked, rivals=[str(broken)], processes=1), "", quiet).as_json()
    model, rival, *_ = document["rows"]
    assert model["p50"] > 0
    assert (rival["kind"], rival["measured"], rival["p50"]) == ("rival", False, None)
    assert rival["reason"].startswith("not measured: ")


def test_an_unknown_rival_is_refused(asked: EngineBench) -> None:
    with pytest.raises(UnknownName, match=r"--rivals: got 'averge'; valid: .*average"):
        run_bench(replace(asked, rivals=["averge"]), "", quiet)


SPUN = """[
    clock := __import__("time"),
    runs := __import__("importlib").import_module("crossfuse_bench.engine_runs"),
    runs._reference_work()(),
    before := clock.process_time(),
    clock.sleep(0.05),
    clock.process_time() - before,
][-1]"""


def test_no_thread_of_the_fixed_work_spins_beside_the_calls_behind_it() -> None:
    """It took 30 ms of a processor, so that one call of ten took twice its time."""
    assert in_process(2, eval, SPUN) < 0.01

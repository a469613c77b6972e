"""The speedup measurement: who is called how often, and what the report says of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from crossfuse import synthetic
from crossfuse.arrays import UInt8Array
from crossfuse.bundles import resolve_model
from crossfuse.engines import EngineDescription
from crossfuse_bench import speedup
from crossfuse_bench.operator_times import OperatorTime, gflop_of, operator_times, summed
from crossfuse_bench.speedup import Round, matrix_gflops, measure, report

DESCRIBED = EngineDescription(
    "crossfuse-rt", 1, "fp32", "ab" * 32, "cpu", "CPUExecutionProvider", "onnxruntime 1", 2, 32
)


def kernel(
    name: str, duration: int, inputs: list[list[int]], output: list[int]
) -> dict[str, object]:
    """One event of a profile."""
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "dur": duration,
        "args": {
            "op_name": name,
            "input_type_shape": [{"float": shape} for shape in inputs],
            "output_type_shape": [{"float": output}],
        },
    }


def test_both_are_called_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speedup, "LEAST_SECONDS", 0.0)
    called: list[str] = []

    def model(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        called.append("model")
        time.sleep(0.001)
        return vis

    def baseline(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        called.append("baseline")
        time.sleep(0.02)
        return vis

    rounds = measure(model, baseline, lambda: 7.0, synthetic.pair(0, 32, 32), rounds=2)
    three = ["model"] * 3
    assert called == ["model", "baseline", *three, "baseline", "baseline", *three]
    assert [entry.calls for entry in rounds] == [3, 3]
    assert all(entry.ratio == entry.baseline / entry.model for entry in rounds)
    assert {entry.gflops for entry in rounds} == {7.0}


def test_the_fastest_run_of_a_profile_counts_but_the_first_does_not() -> None:
    run = [
        kernel("Conv", 2000, [[1, 3, 8, 8], [4, 3, 3, 3]], [1, 4, 8, 8]),
        kernel("Conv", 1000, [[1, 4, 8, 8], [2, 4, 1, 1]], [1, 2, 8, 8]),
        kernel("MatMul", 500, [[2, 5, 6], [6, 7]], [2, 5, 7]),
        kernel("Add", 4000, [[8], [8]], [8]),
    ]
    first, slow = ([{**event, "dur": duration} for event in run] for duration in (1, 10**9))
    other = {"cat": "Session", "name": "model_run", "dur": 10**9, "args": {}}
    add, conv, product = summed([other, *first, *slow, *slow, *run, *slow, *slow])
    assert add == OperatorTime("Add", 1, 4.0, 0.0)
    assert (conv.operator, conv.nodes, conv.milliseconds) == ("Conv", 2, 3.0)
    assert conv.gflop == pytest.approx(2 * (4 * 64 * 27 + 2 * 64 * 4) / 1e9)
    assert product.gflop == pytest.approx(2 * 2 * 5 * 6 * 7 / 1e9)


def test_a_real_model_is_profiled(mean_bundle: Path) -> None:
    ir, vis = synthetic.pair(0, 32, 40)
    times = operator_times(
        (mean_bundle / "model.fp32.onnx").read_bytes(), ir[None], vis[None], threads=1
    )
    assert {"Round", "Mul"} <= {entry.operator for entry in times}
    assert min(entry.milliseconds for entry in times) >= 0
    order = [entry.milliseconds for entry in times]
    assert order == sorted(order, reverse=True)


def test_the_work_of_a_quantised_model_is_that_of_the_others() -> None:
    ir, vis = synthetic.pair(0, 480, 640)
    models = (resolve_model("crossfuse-rt:1", (name,)) for name in ("fp32", "int8"))
    fp32, int8 = (gflop_of(model.read(), ir[None], vis[None], threads=1) for model in models)
    assert int8 == pytest.approx(fp32, rel=0.01)
    # As docs/networks.md tells.
    assert fp32 == pytest.approx(1.91, rel=0.01)


@pytest.mark.parametrize(("factor", "word"), [(130.0, "**reached**"), (110.0, "**MISSED**")])
def test_the_report(factor: float, word: str) -> None:
    rounds = [Round(0.02, 50, 0.02 * (factor + shift), 40.0) for shift in (-1.0, 0.0, 5.0)]
    operators = [OperatorTime("Conv", 9, 15.0, 1.5), OperatorTime("Round", 1, 5.0, 0.0)]
    text = report(DESCRIBED, (480, 640), rounds, operators)
    assert text.startswith(f"# crossfuse-rt:1 is {factor:.1f} times faster")
    assert f"Bar: at least 120 times, {word}; goal: 200 times, not reached" in text
    assert f"| ratio | {factor:.1f} | {factor - 1:.1f} | {factor + 5:.1f} |" in text
    assert "| Conv | 9 | 15.00 | 75.0% | 1.50 | 100.0 |" in text
    assert "| Round | 1 | 5.00 | 25.0% | - | - |" in text
    assert "1.50 GFLOP in 15.0 ms, 100.0 GFLOP/s. At the limit they take 37.5 ms" in text
    assert f"nothing else would be {0.02 * factor * 40 / 1.5:.1f} times faster" in text
    assert "Threads of each: 2" in text
    assert f"ratios from {factor - 1:.1f} to {factor + 5:.1f}, stable" in text


def test_disturbed_rounds_are_called_so() -> None:
    rounds = [Round(0.02, 50, 0.02 * factor, 40.0) for factor in (100.0, 160.0, 170.0)]
    text = report(DESCRIBED, (480, 640), rounds, [OperatorTime("Conv", 9, 15.0, 1.5)])
    assert "ratios from 100.0 to 170.0, **UNSTABLE**" in text


def test_the_machine_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speedup, "MATRIX_SIDE", 64)
    assert matrix_gflops() > 0


@pytest.mark.parametrize("options", [["--size", "480"], ["--rounds", "0"]])
def test_bad_usage(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        speedup.main(["--model", "crossfuse-rt", "-o", "x.md", *options])
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_both_sides_run(mean_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command to the file, at the smallest size that the baseline takes."""
    monkeypatch.setattr(speedup, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(speedup, "MATRIX_SIDE", 64)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    path = tmp_path / "speedup.md"
    options = ["--model", str(mean_bundle), "--size", "136x136", "--rounds", "1", "-o", str(path)]
    assert speedup.main(options) == 0
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# mean:1 is ")
    assert "Bar:" not in text
    assert "136x136" in text

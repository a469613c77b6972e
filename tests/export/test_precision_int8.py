"""The int8 file: what is quantised and how, what stays in float, and when it is not shipped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from crossfuse import synthetic
from crossfuse.arrays import UInt8Array
from crossfuse.bundles import FileQuality
from crossfuse_export import precisions
from crossfuse_export.banding import Steps, check_banding, ramps, steps
from crossfuse_export.calibration import Calibration, Pair
from crossfuse_export.errors import QualityMissed
from crossfuse_export.onnx_files import parse_onnx
from crossfuse_export.precision_int8 import (
    BESIDE,
    ENDS,
    Quantised,
    end_convolutions,
    neighbours,
    quantise,
    to_int8,
)
from crossfuse_export.precisions import Proof, make_int8
from crossfuse_export.quality import Runner, onnx_runner
from crossfuse_export.reference import Reference
from crossfuse_export.speed import Comparison, side_by_side

MEASURED = FileQuality("none", None, 1.0, 0.0, 0.0)
SIZE = (33, 47)


class Few(Calibration):
    """Two small synthetic scenes: tests need ranges, not good ones."""

    def __iter__(self) -> Iterator[Pair]:
        yield from (synthetic.pair(seed, 64, 80) for seed in range(2))


CALIBRATION = Few("2 synthetic scenes", ())


@pytest.fixture(scope="module")
def quantised(student_model: onnx.ModelProto) -> onnx.ModelProto:
    return to_int8(student_model, CALIBRATION, end_convolutions(student_model))


def test_first_and_last_convolutions_are_found(student_model: onnx.ModelProto) -> None:
    assert {name.partition("/")[0] for name in end_convolutions(student_model)} == {
        "network.ir_stem",
        "network.vis_stem",
        "network.mean_stem",
        "network.ir_gain",
        "network.vis_gain",
        "network.offset",
        "network.local_contrast",
    }


def test_symmetric_with_a_scale_for_each_channel(
    student_model: onnx.ModelProto, quantised: onnx.ModelProto
) -> None:
    parse_onnx(quantised.SerializeToString(), "int8")
    stored = {t.name: numpy_helper.to_array(t) for t in quantised.graph.initializer}
    maker = {name: node for node in quantised.graph.node for name in node.output}
    ends = end_convolutions(student_model)
    for node in quantised.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = stored[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
        if node.op_type != "Conv":
            continue
        if node.name in ends:
            assert stored[node.input[1]].dtype == np.float32
            continue
        weights = maker[node.input[1]]
        assert stored[weights.input[0]].dtype == np.int8
        assert stored[weights.input[1]].shape == stored[weights.input[0]].shape[:1]
        assert stored[node.input[2]].dtype == np.float32
    assert not any(tensor.external_data for tensor in quantised.graph.initializer)


def test_residual_sums_stay_in_float(quantised: onnx.ModelProto) -> None:
    """Their inputs are the float tensors, or results of quantised convolutions."""
    maker = {name: node for node in quantised.graph.node for name in node.output}
    sums = [node for node in quantised.graph.node if node.name.startswith("network/add")]
    assert sums
    for node in sums:
        for name in node.input:
            pair = maker.get(name)
            if pair is not None and pair.op_type == "DequantizeLinear":
                assert maker[maker[pair.input[0]].input[0]].op_type == "Conv"


def test_the_given_model_is_left_as_it_was(student_model: onnx.ModelProto) -> None:
    before = student_model.SerializeToString()
    to_int8(student_model, CALIBRATION, end_convolutions(student_model))
    assert student_model.SerializeToString() == before


def test_the_file_is_near_the_network(student: nn.Module, quantised: onnx.ModelProto) -> None:
    run = onnx_runner(quantised.SerializeToString())
    reference = Reference(student).run
    for seed in (1, 2):
        ir, vis = (image[None] for image in synthetic.pair(seed, *SIZE))
        # Measured: 1.8 and 2.3, of pictures whose grey levels deviate by 68 and 73.
        assert np.abs(run(ir, vis).astype(int) - reference(ir, vis)).mean() < 3


def test_a_missed_bar_is_refused(student_model: onnx.ModelProto) -> None:
    def measured(content: bytes) -> FileQuality:
        raise QualityMissed("int8: scene 1: got psnr 31")

    with pytest.raises(QualityMissed, match="psnr 31"):
        quantise(student_model, CALIBRATION, measured)


def test_convolutions_next_to_the_ends_stay_in_float_where_that_helps(
    student_model: onnx.ModelProto,
) -> None:
    ends = end_convolutions(student_model)
    beside = neighbours(student_model, ends)
    assert {name.partition("/")[0] for name in beside} == {
        "network.quarter",
        "network.merge_quarter",
    }

    def measured(content: bytes) -> FileQuality:
        stored = {t.name: t.data_type for t in onnx.load_from_string(content).graph.initializer}
        convs = [n for n in onnx.load_from_string(content).graph.node if n.op_type == "Conv"]
        in_float = {n.name for n in convs if stored.get(n.input[1]) == onnx.TensorProto.FLOAT}
        if in_float != ends | beside:
            raise QualityMissed("int8: a ramp: got 30 grey levels")
        return MEASURED

    assert quantise(student_model, CALIBRATION, measured).float_parts == (ENDS, BESIDE)


def step_runner(step: int) -> Runner:
    """Rounds the visible picture down to multiples of a step."""

    def run(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        return np.asarray(vis // step * step, np.uint8)

    return run


def test_steps_of_a_row() -> None:
    assert steps(np.array([1, 1, 2, 2, 2, 5], np.uint8)) == Steps(levels=3, longest_run=3)
    assert steps(np.full(9, 4, np.uint8)) == Steps(levels=1, longest_run=9)


def test_banding_is_caught() -> None:
    check_banding(step_runner(1), step_runner(1))
    with pytest.raises(QualityMissed, match=r"ramp 0 to 255: got 128 grey levels; valid: at least"):
        check_banding(step_runner(1), step_runner(2))


def test_a_long_stretch_of_one_level_is_caught() -> None:
    def clogged(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        return np.where((vis > 100) & (vis < 112), np.uint8(100), vis)

    with pytest.raises(QualityMissed, match=r"got one grey level for .* pixels; valid: at most"):
        check_banding(step_runner(1), clogged)


def test_ramps_rise_in_one_picture_or_both() -> None:
    found = {name: (bool(np.ptp(ir)), bool(np.ptp(vis))) for name, ir, vis in ramps()}
    assert found["infrared ramp 0 to 255"] == (True, False)
    assert found["visible ramp 80 to 160"] == (False, True)
    assert found["both ramp 0 to 255"] == (True, True)


def test_two_models_are_timed_in_turns(student_model: onnx.ModelProto) -> None:
    content = student_model.SerializeToString()
    timed = side_by_side(content, content, size=(32, 48))
    assert min(timed.first_ms, timed.second_ms, timed.ratio) > 0
    assert "32x48, one thread" in timed.conditions


@pytest.mark.parametrize("ratio", [0.9, 1.3])
def test_shipped_only_where_it_is_faster(
    student: nn.Module,
    student_model: onnx.ModelProto,
    quantised: onnx.ModelProto,
    monkeypatch: pytest.MonkeyPatch,
    ratio: float,
) -> None:
    quality = FileQuality("2 scenes", 48.0, 0.99, 9, 0.5)
    timed = Comparison(10.0, 10.0 / ratio, ratio, "a machine")
    monkeypatch.setattr(precisions, "quantise", lambda *_: Quantised(quantised, (ENDS,), quality))
    monkeypatch.setattr(precisions, "check_banding", lambda *_: None)
    monkeypatch.setattr(precisions, "side_by_side", lambda *_: timed)
    proof = Proof(student, student_model, [], (SIZE,), None, ())
    if ratio < 1:
        with pytest.raises(QualityMissed, match=r"0\.90 times as fast .* PSNR 48\.0 dB.*; valid"):
            make_int8(proof)
        return
    made = make_int8(proof)
    assert made.entry.speedup == ratio
    assert made.entry.calibration == "24 synthetic scenes at 480x640"
    assert made.entry.fp32_islands == (ENDS,)
    assert "1.30 times as fast as fp32" in made.remarks[0]

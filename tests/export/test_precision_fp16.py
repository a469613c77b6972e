"""The fp16 file: every type stated, islands where they are asked for, chosen by measurement."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper
from torch import nn

from crossfuse.bundles import FileQuality
from crossfuse_export import fp32_islands
from crossfuse_export.errors import QualityMissed
from crossfuse_export.fp32_islands import TRIED, Island, choose_islands, island_nodes
from crossfuse_export.onnx_files import parse_onnx
from crossfuse_export.precision_fp16 import float_tensors, rounded_as_fp16, to_fp16
from crossfuse_export.quality import expectations, measure, onnx_runner
from crossfuse_training.fusion_graph import FusionGraph

MEASURED = FileQuality("none", None, 1.0, 0.0, 0.0)
SIZES = ((33, 47),)


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    return {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}


def test_everything_is_half_without_islands(student_model: onnx.ModelProto) -> None:
    half = to_fp16(student_model, ())
    parse_onnx(half.SerializeToString(), "fp16")
    assert TensorProto.FLOAT not in types(half).values()
    single = [t for t in half.graph.initializer if t.data_type == TensorProto.FLOAT]
    # A Resize takes its scales in single precision, whatever it resizes.
    resizes = [node for node in half.graph.node if node.op_type == "Resize"]
    scales = {node.input[2] for node in resizes if node.input[2]}
    assert {tensor.name for tensor in single} == scales
    assert half.ByteSize() < student_model.ByteSize()


def test_an_island_stays_single_and_shares_weights_with_its_neighbours(
    student: nn.Module, student_model: onnx.ModelProto
) -> None:
    colour = next(island for island in TRIED if island.name == "colour")
    nodes = island_nodes(colour, FusionGraph(student), student_model)
    assert "./round_1" in nodes
    assert not any(name.startswith("network") for name in nodes)
    model = to_fp16(student_model, nodes)
    parse_onnx(model.SerializeToString(), "fp16")
    found = types(model)
    for node in model.graph.node:
        kinds = {found[name] for name in node.output if name in found}
        if node.name in nodes:
            assert TensorProto.FLOAT16 not in kinds, node.name
        elif node.op_type == "Conv":
            assert kinds == {TensorProto.FLOAT16}, node.name


def test_the_file_computes_what_the_network_does(
    student: nn.Module, student_model: onnx.ModelProto
) -> None:
    expected = expectations(student, SIZES)
    run = onnx_runner(to_fp16(student_model, ()).SerializeToString())
    quality = measure(expected, run, "fp16")
    assert quality.psnr is not None
    assert quality.psnr > 50
    assert quality.max_abs <= 4


def sum_model() -> onnx.ModelProto:
    """A uint8 goes in, 2048 is added and taken away; half precision cannot count that far."""
    make = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            make("Cast", ["in"], ["single"], "cast", to=TensorProto.FLOAT),
            make("Add", ["single", "large"], ["sum"], "part/add"),
            make("Sub", ["sum", "large"], ["out"], "part/sub"),
        ],
        "a test",
        [onnx.helper.make_tensor_value_info("in", TensorProto.UINT8, ["n"])],
        [onnx.helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.array(2048, np.float32), "large")],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )


@pytest.mark.parametrize(
    ("islands", "expected"), [(set(), [0, 0, 4]), ({"part/add", "part/sub"}, [0, 1, 3])]
)
def test_the_stand_in_rounds_every_result(islands: set[str], expected: list[int]) -> None:
    model = rounded_as_fp16(sum_model(), islands)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (out,) = session.run(None, {"in": np.array([0, 1, 3], np.uint8)})
    assert out.tolist() == expected


def is_rounded(content: bytes, node: str) -> bool:
    """Whether the result of a node is rounded to half in a stand-in."""
    model = onnx.ModelProto.FromString(content)
    (found,) = (entry for entry in model.graph.node if entry.name == node)
    return found.output[0].endswith(".exact")


def means_of(student: nn.Module, model: onnx.ModelProto) -> frozenset[str]:
    """The nodes of the student's means, which are in single precision whatever is measured."""
    (means,) = (island for island in fp32_islands.ALWAYS if island.name == "means")
    nodes = island_nodes(means, FusionGraph(student), model)
    assert nodes
    return nodes


def test_no_island_beside_the_means_where_none_is_needed(
    student: nn.Module, student_model: onnx.ModelProto
) -> None:
    choice = choose_islands(FusionGraph(student), student_model, lambda content: MEASURED)
    assert choice.islands == ("means",)
    assert choice.nodes == means_of(student, student_model)


def test_the_island_that_is_needed_and_no_other(
    student: nn.Module, student_model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurement objects to rounded gains; what was tried before them turns out useless."""
    tried = tuple(Island(name, operators=frozenset({name})) for name in ("Resize", "HardSigmoid"))
    monkeypatch.setattr(fp32_islands, "TRIED", tried)
    graph = FusionGraph(student)
    gains = island_nodes(tried[1], graph, student_model)

    def measured(content: bytes) -> FileQuality:
        if is_rounded(content, min(gains)):
            raise QualityMissed("too far")
        return MEASURED

    choice = choose_islands(graph, student_model, measured)
    assert choice.islands == ("means", "HardSigmoid")
    assert choice.nodes == gains | means_of(student, student_model)


def test_refused_when_no_island_helps(student: nn.Module, student_model: onnx.ModelProto) -> None:
    def measured(content: bytes) -> FileQuality:
        raise QualityMissed("too far, always")

    with pytest.raises(QualityMissed, match="too far, always"):
        choose_islands(FusionGraph(student), student_model, measured)


def test_float_tensors_are_the_single_precision_ones() -> None:
    assert float_tensors(sum_model()) == {"single", "sum", "out", "large"}

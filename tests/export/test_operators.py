"""Only what both runtimes have gets out, and what does not is named."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from crossfuse.errors import BundleError
from crossfuse_export.operators import ALLOWED_OPERATORS, check_operators

SIZE = ["batch", "height", "width"]


def graph_of(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A model that takes bytes and starts by casting them."""
    cast = helper.make_node("Cast", ["ir"], ["single"], "input/cast", to=TensorProto.FLOAT)
    graph = helper.make_graph(
        [cast, *nodes],
        "a test",
        [helper.make_tensor_value_info("ir", TensorProto.UINT8, SIZE)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, SIZE)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def test_allowed_operators_pass() -> None:
    check_operators(graph_of(helper.make_node("Abs", ["single"], ["out"], "head/abs")), "a model")


@pytest.mark.parametrize(
    "operator", ["Loop", "If", "Scan", "ScatterND", "SequenceAt", "BatchNormalization", "Dropout"]
)
def test_an_operator_outside_the_list_is_named(operator: str) -> None:
    assert operator not in ALLOWED_OPERATORS
    model = graph_of(helper.make_node(operator, ["single"], ["out"], "network.head/odd"))
    with pytest.raises(
        BundleError, match=rf"a model: node 'network.head/odd': got the operator {operator}; valid"
    ):
        check_operators(model, "a model")


def test_a_custom_operator_is_named() -> None:
    node = helper.make_node("Relu", ["single"], ["out"], "plugin", domain="com.example")
    with pytest.raises(BundleError, match=r"'plugin': got the custom operator com\.example\.Relu"):
        check_operators(graph_of(node), "a model")


def test_bytes_go_into_a_cast_only() -> None:
    node = helper.make_node("Shape", ["ir"], ["out"], "sizes")
    with pytest.raises(BundleError, match=r"'sizes': got uint8 \(ir\) into Shape; valid: into"):
        check_operators(graph_of(node), "a model")


def test_bytes_made_inside_go_nowhere_else_either() -> None:
    back = helper.make_node("Cast", ["single"], ["again"], "back", to=TensorProto.UINT8)
    node = helper.make_node("Transpose", ["again"], ["out"], "turn")
    with pytest.raises(BundleError, match=r"'turn': got uint8 \(again\) into Transpose"):
        check_operators(graph_of(back, node), "a model")

"""Files that are damaged, or made to harm: refused with what came and what is valid."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from crossfuse.errors import BundleError
from crossfuse_export.onnx_files import parse_onnx

SIZE = ["batch", "height", "width"]


def small_model(**changes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """A model that keeps the contract: twice the visible picture."""
    nodes = [
        helper.make_node("Cast", ["vis"], ["single"], "vis/cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["single", "factor"], ["product"], "product"),
        helper.make_node("Cast", ["product"], ["fused"], "fused/cast", to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        changes.get("nodes", nodes),
        "a test",
        [
            helper.make_tensor_value_info("ir", TensorProto.UINT8, SIZE),
            helper.make_tensor_value_info("vis", TensorProto.UINT8, [*SIZE, 3]),
        ],
        [helper.make_tensor_value_info("fused", TensorProto.UINT8, [*SIZE, 3])],
        [numpy_helper.from_array(np.array(2, np.float32), "factor")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


CONTENT = small_model().SerializeToString()


def test_a_whole_file_is_read() -> None:
    assert parse_onnx(CONTENT, "model.onnx").graph.name == "a test"


@given(st.integers(0, len(CONTENT) - 1))
@settings(max_examples=60)
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx: .*got .*valid: "):
        parse_onnx(CONTENT[:length], "model.onnx")


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="valid: "):
        parse_onnx(content, "model.onnx")


@pytest.mark.parametrize("place", ["../../secrets", "/etc/passwd", "weights.bin", ""])
def test_data_outside_of_the_file_is_refused(place: str) -> None:
    model = small_model()
    (factor,) = model.graph.initializer
    factor.ClearField("raw_data")
    factor.data_location = TensorProto.EXTERNAL
    factor.external_data.append(onnx.StringStringEntryProto(key="location", value=place))
    with pytest.raises(BundleError, match=f"tensor 'factor': got data outside of .*{place}.*valid"):
        parse_onnx(model.SerializeToString(), "model.onnx")


def test_data_outside_of_the_file_in_a_constant_is_refused() -> None:
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value="../w.bin"))
    nodes = [helper.make_node("Constant", [], ["factor"], value=tensor)]
    with pytest.raises(BundleError, match=r"tensor 'hidden': got data outside of .*\.\./w\.bin"):
        parse_onnx(small_model(nodes=nodes).SerializeToString(), "model.onnx")


def test_a_custom_operator_is_refused() -> None:
    nodes = [helper.make_node("Fuse", ["ir", "vis"], ["fused"], "all", domain="com.example")]
    with pytest.raises(BundleError, match=r"'all': got the custom operator com\.example\.Fuse"):
        parse_onnx(small_model(nodes=nodes).SerializeToString(), "model.onnx")


def test_a_graph_that_does_not_compute_is_refused() -> None:
    nodes = [helper.make_node("Cast", ["nothing"], ["fused"], "odd", to=TensorProto.UINT8)]
    with pytest.raises(BundleError, match=r"not valid .*nothing.*; valid: an \.onnx file"):
        parse_onnx(small_model(nodes=nodes).SerializeToString(), "model.onnx")


def test_another_contract_is_refused() -> None:
    model = small_model()
    model.graph.input[0].name = "infrared"
    with pytest.raises(
        BundleError,
        match=r"inputs: got infrared uint8 \[any,any,any\], vis .*; valid: ir uint8 \[any,any",
    ):
        parse_onnx(model.SerializeToString(), "model.onnx")


def test_a_fixed_size_is_refused() -> None:
    model = small_model()
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 480
    with pytest.raises(BundleError, match=r"outputs: got fused uint8 \[any,480,any,3\]; valid"):
        parse_onnx(model.SerializeToString(), "model.onnx")

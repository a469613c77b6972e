"""The look through a message, against the decoder of protobuf itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfuse import oip
from crossfuse.errors import InvalidInput
from crossfuse_server.oip.message import MOST_BESIDE_TENSORS, InferMessage

ORDINARY = oip.ModelInferRequest(
    model_name="mean",
    id="é1",
    parameters={"priority": {"uint64_param": 1}, "score": {"double_param": 0.5}},
    outputs=[{"name": "fused"}],
)
for _name in ("ir", "vis"):
    _tensor = ORDINARY.inputs.add(name=_name, datatype="UINT8", shape=[1, 2, 300])
    _tensor.contents.uint_contents.extend(range(300))
    _tensor.contents.fp32_contents.extend([1.0, 2.0])


def test_an_ordinary_message() -> None:
    message = InferMessage(ORDINARY.SerializeToString())
    assert message.request_id == "é1"
    # 128 values of one byte and 172 of two, and two of four, for each of two tensors.
    assert message.growth == 8 * 2 * (128 + 2 * 172 + 8)
    assert message.decode() == ORDINARY


def test_raw_tensors_do_not_grow() -> None:
    request = oip.ModelInferRequest(raw_input_contents=[bytes(10**6), bytes(3 * 10**6)])
    message = InferMessage(request.SerializeToString())
    assert message.growth == 0
    assert message.weight > 4 * 10**6


def small(count: int) -> dict[str, Any]:
    contents = oip.ModelInferRequest.InferInputTensor().contents
    contents.bytes_contents.extend([b""] * count)
    return {
        "inputs": oip.ModelInferRequest(inputs=[{}] * count),
        "raw": oip.ModelInferRequest(raw_input_contents=[b""] * count),
        "parameters": oip.ModelInferRequest(parameters={str(n): {} for n in range(count)}),
        "shape": oip.ModelInferRequest(inputs=[{"shape": [1] * 2 * count}]),
        "strings": oip.ModelInferRequest(inputs=[{"contents": contents}]),
    }


@pytest.mark.parametrize("kind", small(0))
def test_everything_but_numbers_of_tensors_is_bounded(kind: str) -> None:
    InferMessage(small(100)[kind].SerializeToString())
    with pytest.raises(InvalidInput, match=f"more than {MOST_BESIDE_TENSORS} bytes beside"):
        InferMessage(small(MOST_BESIDE_TENSORS)[kind].SerializeToString())


@settings(max_examples=300)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    cut=st.floats(0, 1),
)
def test_damaged_messages(flips: list[tuple[float, int]], cut: float) -> None:
    """What it takes for the id and for values is what protobuf does."""
    data = bytearray(ORDINARY.SerializeToString())
    for where, value in flips:
        data[int(where * len(data))] = value
    try:
        message = InferMessage(bytes(data[: int(2 * cut * len(data))]))
        decoded = message.decode()
    except InvalidInput:
        return
    assert message.request_id == decoded.id
    contents = [tensor.contents for tensor in decoded.inputs]
    packed = ("bool", "int", "int64", "uint", "uint64", "fp32", "fp64")
    values = sum(len(getattr(each, f"{kind}_contents")) for each in contents for kind in packed)
    assert values <= message.growth / 8 + MOST_BESIDE_TENSORS / 2

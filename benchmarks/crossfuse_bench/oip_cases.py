"""Calls of the Open Inference Protocol, right and wrong, that any server of our tensors can take.

The mistakes are those whose codes Triton was measured to give. Not among them are some that end
Triton's Python backend, such as a negative size; ours answers them all (tests/server/oip).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossfuse import oip

NAME = "crossfuse-rt"
HEIGHT, WIDTH = 48, 64

Change = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One call; `change` spoils a good ModelInferRequest, `fields` fill in another message."""

    name: str
    method: str = "ModelInfer"
    change: Change = lambda request: None
    fields: tuple[tuple[str, str], ...] = ()
    look: Callable[[Any], str] = lambda answer: ""
    """What of the answer is compared, beside the status."""
    timeout: float = 30.0
    with_token: bool = True
    ours: str = ""
    """Our status, where it is not meant to be Triton's; with `why`."""
    why: str = ""

    def request(self) -> Any:
        """The message to send."""
        if self.method != "ModelInfer":
            return oip.request_class(self.method)(**dict(self.fields))
        request = infer_request()
        self.change(request)
        return request


def infer_request(count: int = 1) -> Any:
    """Pairs of small smooth pictures."""
    ramp = np.linspace(0, 255, HEIGHT * WIDTH, dtype=np.uint8).reshape(1, HEIGHT, WIDTH)
    ir = np.repeat(ramp, count, axis=0)
    request = oip.ModelInferRequest(model_name=NAME, id="7")
    for name, array in (("ir", ir), ("vis", np.repeat(ir[..., None], 3, axis=3))):
        request.inputs.add(name=name, datatype="UINT8", shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request


def _batch(count: int) -> Change:
    return lambda request: request.CopyFrom(infer_request(count))


def _as_typed(request: Any) -> None:
    for tensor, data in zip(request.inputs, request.raw_input_contents, strict=True):
        tensor.contents.uint_contents.extend(data)
    del request.raw_input_contents[:]


def _set(field: str, value: str) -> Change:
    return lambda request: setattr(request, field, value)


def _shape(*sizes: int) -> Change:
    def change(request: Any) -> None:
        request.inputs[1].shape[:] = sizes

    return change


def _type(request: Any) -> None:
    request.inputs[0].datatype = "FP32"


def _missing(request: Any) -> None:
    del request.inputs[1], request.raw_input_contents[1]


def _extra(request: Any) -> None:
    request.inputs.add(name="depth", datatype="UINT8", shape=[1, 1])
    request.raw_input_contents.append(b"1")


def _output(request: Any) -> None:
    request.outputs.add(name="other")


def _short(request: Any) -> None:
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]


def _both(request: Any) -> None:
    request.inputs[0].contents.uint_contents.append(1)


def _timeout(request: Any) -> None:
    request.parameters["timeout"].string_param = "soon"


def _shapes(answer: Any) -> str:
    return ", ".join(
        f"{t.name} {t.datatype} {list(t.shape)}" for t in (*answer.inputs, *answer.outputs)
    )


def _tensors(answer: Any) -> str:
    tensors = (*answer.config.input, *answer.config.output)
    return ", ".join(f"{t.name} {t.data_type} {list(t.dims)}" for t in tensors)


def _fused(answer: Any) -> str:
    (tensor,), (data,) = answer.outputs, answer.raw_output_contents
    return f"{answer.id} {tensor.name} {tensor.datatype} {list(tensor.shape)} {len(data)} bytes"


MODEL = (("name", NAME),)
UNKNOWN = (("name", "nope"),)

CASES = (
    Case("live", "ServerLive", look=lambda answer: str(answer.live)),
    Case("ready", "ServerReady", look=lambda answer: str(answer.ready)),
    Case("a model is ready", "ModelReady", fields=MODEL, look=lambda answer: str(answer.ready)),
    Case("an unknown one is", "ModelReady", fields=UNKNOWN, look=lambda answer: str(answer.ready)),
    Case("metadata of the server", "ServerMetadata"),
    Case("metadata of a model", "ModelMetadata", fields=MODEL, look=_shapes),
    Case("metadata of an unknown one", "ModelMetadata", fields=UNKNOWN),
    Case("configuration", "ModelConfig", fields=MODEL, look=_tensors),
    Case("configuration of an unknown one", "ModelConfig", fields=UNKNOWN),
    Case("statistics", "ModelStatistics", fields=MODEL, look=lambda a: str(len(a.model_stats))),
    Case(
        "statistics of an unknown one",
        "ModelStatistics",
        fields=UNKNOWN,
        ours="NOT_FOUND",
        why="as in every other call",
    ),
    Case("index", "RepositoryIndex"),
    Case("one pair, raw", look=_fused),
    Case("one pair, typed", change=_as_typed, look=_fused),
    Case("a batch of four", change=_batch(4), look=_fused),
    # The twelve mistakes.
    Case("an unknown model", change=_set("model_name", "nope")),
    Case("an unknown version", change=_set("model_version", "3")),
    Case("a missing input", change=_missing),
    Case("an extra input", change=_extra),
    Case("a wrong datatype", change=_type),
    Case("a wrong rank", change=_shape(HEIGHT, WIDTH, 3)),
    Case("a batch above the largest", change=_batch(9)),
    Case("an unknown output", change=_output),
    Case("a short buffer", change=_short),
    Case("raw and typed values", change=_both),
    Case("no time", timeout=-1.0),
    Case(
        "no token",
        "ModelStatistics",
        fields=MODEL,
        with_token=False,
        ours="UNAUTHENTICATED",
        why="it says what is wrong, and nobody tries again",
    ),
    # And some more.
    Case("four channels", change=_shape(1, HEIGHT, WIDTH, 4)),
    Case("a timeout in words", change=_timeout),
)

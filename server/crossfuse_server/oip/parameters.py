"""What a request may ask for beside its tensors: how long it may wait, and how urgent it is.

Parameters of other names are for other models, and change nothing here as they change nothing in
Triton. Only those are refused without which the answer would be another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from crossfuse.errors import CrossFuseError, InvalidInput
from crossfuse_server.jobs import NORMAL_PRIORITY

SHARED_MEMORY = "shared_memory_region"
CLASSIFICATION = "classification"

# As Triton counts: 1 comes first, and 0 is the default one. With our own priority of each.
PRIORITIES = {0: NORMAL_PRIORITY, 1: 2, 2: NORMAL_PRIORITY, 3: 0}
PRIORITY_LEVELS = max(PRIORITIES)
DEFAULT_PRIORITY_LEVEL = 2

LONGEST_TIMEOUT_US = 86_400 * 10**6

# As Triton takes them.
TIMEOUT_KINDS = ("int64_param",)
PRIORITY_KINDS = ("int64_param", "uint64_param")


class NotOffered(CrossFuseError):
    """A part of the protocol that this server does not offer."""

    grpc_status: ClassVar[str] = "UNIMPLEMENTED"


@dataclass(frozen=True, slots=True)
class Wishes:
    """The parameters of a request, checked."""

    timeout: float
    """Seconds in which it must have begun to run; infinite without one."""
    priority: int


def read_wishes(request: Any) -> Wishes:
    """Of a ModelInferRequest."""
    for tensor in (*request.inputs, *request.outputs):
        if SHARED_MEMORY in tensor.parameters:
            raise NotOffered(
                f"tensor {tensor.name}: got the parameter {SHARED_MEMORY}; valid: its values in "
                "the message: this server offers no shared memory"
            )
        if CLASSIFICATION in tensor.parameters:
            raise NotOffered(
                f"tensor {tensor.name}: got the parameter {CLASSIFICATION}; valid: none: a fused "
                "picture has no classes"
            )
    timeout = _number(request.parameters, "timeout", TIMEOUT_KINDS, LONGEST_TIMEOUT_US)
    priority = _number(request.parameters, "priority", PRIORITY_KINDS, PRIORITY_LEVELS)
    return Wishes(timeout / 1e6 if timeout else math.inf, PRIORITIES[priority])


def _number(parameters: Mapping[str, Any], name: str, kinds: tuple[str, ...], most: int) -> int:
    """A parameter; 0, which stands for the default, where it is not given."""
    if name not in parameters:
        return 0
    parameter = parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    if kind in kinds:
        value: int = getattr(parameter, kind)
        if 0 <= value <= most:
            return value
    came = "nothing" if kind is None else f"{kind} {str(getattr(parameter, kind))[:40]}"
    raise InvalidInput(
        f"parameter {name}", came, f"{' or '.join(kinds)} of 0 (the default) to {most}"
    )

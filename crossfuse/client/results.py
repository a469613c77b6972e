"""What calls give back: plain values, nothing of protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import CrossFuseError


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the server's time for one pair went, in microseconds; every moment is of one phase."""

    decode_us: int
    """Reading the pictures out of the request: decoding, mapping, aligning."""
    queue_us: int
    """Waiting: for a decoder, an engine or a processor, on a stream for the frames before."""
    infer_us: int
    """Running the model."""
    encode_us: int
    """Writing the answer: encoding the fused picture, building the message."""
    total_us: int
    """The sum of the phases; not the way to the server and back."""
    batch_size: int
    """How many pairs ran through the model together."""


@dataclass(frozen=True, slots=True, eq=False)
class FuseResult:
    """A fused picture and how it came about."""

    image: NDArray[np.uint8]
    """HxWx3 RGB where the visible picture has colour, else HxW."""
    model: str
    """The model that was used, as name:version."""
    timings: Timings
    request_id: str
    """The id under which the server knows the call."""


@dataclass(frozen=True, slots=True, eq=False)
class StreamResult:
    """The answer to one frame: exactly one of `image`, `dropped` and `error` is not None."""

    frame_id: int
    capture_time_us: int
    """As in the frame."""
    image: NDArray[np.uint8] | None = None
    """HxWx3 RGB where the visible picture has colour, else HxW."""
    model: str | None = None
    """The model that was used, as name:version; None unless fused."""
    timings: Timings | None = None
    """None unless fused."""
    dropped: str | None = None
    """Why it was not fused: begins with `overrun` or `deadline`, the stream's own rules, or with
    `reconnect`, where the connection broke and newer pictures were sent in its place."""
    error: CrossFuseError | None = None
    """What is wrong with this frame alone."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model of a server."""

    name: str
    version: int
    state: str
    """loading, serving, draining or failed."""
    message: str
    """The reason where the state is failed; else what is wrong beside, such as a newer bundle that
    could not be loaded in its place."""
    is_default: bool
    """Whether calls that name no model get this one."""
    architecture: str
    precision: str
    """fp32, fp16 or int8; empty until the model is loaded, as are the three below."""
    sha256: str
    """Of the ONNX file, in hexadecimal."""
    devices: tuple[str, ...]
    """Devices it runs on, like `cpu` or `cuda:0`."""
    provider: str
    """Execution provider the runtime reported, like `CPUExecutionProvider`."""
    minimum_size: int
    """Least height and width in pixels."""
    quality: Mapping[str, float]
    """Fusion metrics on the held-out pictures that its manifest states."""
    max_batch: int
    """Most pairs that run through it together; 1 where calls are not batched."""

    @property
    def reference(self) -> str:
        """`name:version`, as calls take it."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a server takes."""

    max_pixels: int
    """Most pixels of one picture."""
    max_message_bytes: int
    """Most bytes of one message."""
    max_queue: int
    """Most calls that wait for one model."""
    max_in_flight: int
    """Most frames one stream may have in flight."""
    max_queue_bytes: int
    """Most bytes of messages and pictures that calls of all clients may hold together."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server is."""

    version: str
    state: str
    """loading, serving, draining or failed."""
    limits: ServerLimits
    models: tuple[ModelInfo, ...]
    """The default one first."""
    uptime_s: float
    runtime: str
    """What runs the models, like `onnxruntime 1.31.1`."""
    warnings: tuple[str, ...] = ()
    """What is wrong although it serves, such as a bundle that could not be loaded."""

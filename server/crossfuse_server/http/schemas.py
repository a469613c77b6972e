"""What the JSON answers hold, and what /openapi.json says of the form of POST /v1/fuse."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from crossfuse.images import ENCODINGS
from crossfuse.images.infrared import POLARITIES

STATES = "loading, serving, draining or failed"


class ErrorBody(BaseModel):
    """What was wrong."""

    code: str = Field(description="Name of the gRPC status, like INVALID_ARGUMENT")
    message: str = Field(description="The rule, what came and what is valid")
    request_id: str = Field(description="As in the X-Request-Id header")


class Error(BaseModel):
    """The answer to every request that failed."""

    error: ErrorBody


class Model(BaseModel):
    """One served model."""

    name: str
    version: str
    is_default: bool = Field(description="Whether a request that names no model gets this one")
    state: str = Field(description=STATES)
    message: str = Field(description="Why it failed, or what else is wrong; mostly empty")
    architecture: str
    precision: str = Field(description="fp32, fp16 or int8; empty before it is loaded")
    sha256: str = Field(description="Of the ONNX file; empty before it is loaded")
    provider: str = Field(description="Execution provider the runtime reported")
    devices: list[str]
    minimum_size: int = Field(description="Least height and width in pixels")
    max_batch: int
    waiting: int = Field(description="Pairs in its queue at this moment")


class Models(BaseModel):
    """The models, the default one first."""

    models: list[Model]


class Limits(BaseModel):
    """What the server takes."""

    max_pixels: int
    max_message_bytes: int
    max_queue: int
    max_in_flight: int


class Curves(BaseModel):
    """One model over the last minutes; every list has one entry per time, null without a pair."""

    pairs_per_second: list[float]
    failed_per_second: list[float]
    dropped_per_second: list[float] = Field(description="Frames, by the rules of their streams")
    p50_ms: list[float | None] = Field(description="Of the total time in the server")
    p99_ms: list[float | None]
    decode_ms: list[float | None] = Field(description="Mean; so are the next three")
    queue_ms: list[float | None]
    infer_ms: list[float | None]
    encode_ms: list[float | None]


class History(BaseModel):
    """What the server did, sampled regularly."""

    seconds: float = Field(description="Between two samples")
    times: list[float] = Field(description="End of each sample, in seconds since 1970")
    models: dict[str, Curves] = Field(description="By NAME:VERSION; models that had pairs")


class ServerState(BaseModel):
    """The server at this moment."""

    version: str
    state: str = Field(description=STATES)
    uptime_s: float
    runtime: str
    warnings: list[str]
    waiting: int = Field(description="Pairs in the queues of all models")
    limits: Limits
    models: list[Model]
    history: History


class Sample(BaseModel):
    """A pair of pictures to try."""

    name: str
    title: str
    ir: str = Field(description="Path of the infrared picture")
    vis: str = Field(description="Path of the visible picture")


class Samples(BaseModel):
    """The bundled pairs."""

    samples: list[Sample]


class Stream(BaseModel):
    """A FuseStream call that is under way."""

    id: int
    model: str = Field(description="As its caller named it; empty for the default one")
    received: int
    fused: int
    dropped: int
    failed: int
    seconds: float = Field(description="Since it began")
    view: str = Field(description="Path of its live view")


class Streams(BaseModel):
    """The running streams, the oldest first."""

    streams: list[Stream]


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def refused(description: str) -> dict[str, Any]:
    """An answer that is an error."""
    return {"model": Error, "description": description}


_PICTURE = {"type": "string", "format": "binary"}

FUSE_OPENAPI: dict[str, Any] = {
    "responses": {
        200: {
            "description": "The fused picture",
            "content": {
                kind: {"schema": _PICTURE} for kind in ("image/png", "image/jpeg", "image/webp")
            },
            "headers": {
                "X-Request-Id": {"schema": _text("As sent, or one of the server's")},
                "X-CrossFuse-Model": {"schema": _text("NAME:VERSION that was used")},
                "Server-Timing": {
                    "schema": _text("Milliseconds: decode, queue, infer, encode, total")
                },
            },
        },
        400: refused("A picture or an option that breaks a rule; the message names the field"),
        404: refused("No such model; the message lists the installed ones"),
        408: refused("The body did not arrive in time"),
        413: refused("The body is larger than the server takes"),
        415: refused("The body is no multipart/form-data"),
        429: refused("The queue is full; Retry-After says when to come back"),
        500: refused("A fault in the server; the message holds an incident id"),
        503: refused("Still loading, or draining"),
        504: refused("X-Request-Timeout passed"),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "X-Request-Id",
                "in": "header",
                "schema": _text("Echoed, and found in the log; at most 128 ASCII characters"),
            },
            {
                "name": "X-Request-Timeout",
                "in": "header",
                "schema": {"type": "number", "description": "Seconds the answer is worth"},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["ir", "vis"],
                        "properties": {
                            "ir": {**_PICTURE, "description": "Infrared file, 8 or 16 bits"},
                            "vis": {**_PICTURE, "description": "Visible file, colour or grey"},
                            "model": _text("Name of a model; default: the server's"),
                            "version": _text("Version of the model; default: the highest"),
                            "encoding": _text("Of the answer", enum=[*ENCODINGS], default="png"),
                            "quality": {
                                "type": "integer",
                                "minimum": 1,
                                "maximum": 100,
                                "default": 90,
                                "description": "Of JPEG and WebP",
                            },
                            "ir_mapping": _text(
                                "How 16-bit infrared becomes 8 bits: linear:LO:HI, "
                                "percentile:LO:HI or none",
                                default="percentile:1:99",
                            ),
                            "polarity": _text(
                                "Whether hot is white", enum=[*POLARITIES], default="white-hot"
                            ),
                            "homography": _text(
                                "Nine numbers, row by row: infrared to visible pixel positions"
                            ),
                            "output_color": _text(
                                "Of the fused picture",
                                enum=["auto", "gray", "color"],
                                default="auto",
                            ),
                        },
                    }
                }
            },
        },
    },
}

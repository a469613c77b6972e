"""Between our messages and those of the Open Inference Protocol.

Tensors there are 8-bit infrared and colour, so the infrared is mapped on this side, and a grey
visible picture travels as three equal channels and its answer comes back as their luma.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfuse.client.errors import IncompatibleServer
from crossfuse.client.pictures import read_picture, write_picture
from crossfuse.client.requests import read_mapping
from crossfuse.client.statuses import STATUS_CODES
from crossfuse.errors import CrossFuseError
from crossfuse.fuser import luma
from crossfuse.images import HeldMapping, Pixels, map_infrared
from crossfuse.images.infrared import BLACK_HOT, WHITE_HOT
from crossfuse.oip import STATUS_PARAMETER, ModelInferRequest
from crossfuse.v1 import fusion_pb2 as pb

OUR_SERVER = "crossfuse"
"""Whose index begins with the model of requests that name none; Triton has no such model."""
NUMBERS = {status.name: number for number, status in STATUS_CODES.items()}

STATES = {
    "READY": pb.SERVING_STATE_SERVING,
    "LOADING": pb.SERVING_STATE_LOADING,
    "UNLOADING": pb.SERVING_STATE_DRAINING,
    "UNAVAILABLE": pb.SERVING_STATE_FAILED,
}

MapInfrared = Callable[[Pixels], NDArray[np.uint8]]


def mapping_of(options: pb.FuseOptions, *, held: bool = False) -> MapInfrared:
    """How infrared becomes 8 bits; `held` over the frames of a stream."""
    mapping = read_mapping(options.ir_mapping)
    polarity = BLACK_HOT if options.ir_mapping.black_hot else WHITE_HOT
    if held:
        return HeldMapping(mapping, polarity=polarity).apply
    return lambda ir: map_infrared(ir, mapping, polarity=polarity)


def infer_request(
    model: pb.ModelRef,
    request_id: str,
    pair: pb.FuseRequest | pb.StreamFrame,
    map_ir: MapInfrared,
    max_pixels: int,
) -> Any:
    """A ModelInferRequest for one pair of raw pictures."""
    request = ModelInferRequest(model_name=model.name, model_version=model.version, id=request_id)
    ir = map_ir(read_picture(pair.ir, field="ir", max_pixels=max_pixels))
    vis = read_picture(pair.vis, field="vis", max_pixels=max_pixels)
    if vis.ndim == 2:
        vis = np.repeat(vis.astype(np.uint8, copy=False)[..., None], 3, axis=2)
    for name, pixels in (("ir", ir), ("vis", vis)):
        request.inputs.add(name=name, datatype="UINT8", shape=(1, *pixels.shape))
        request.raw_input_contents.append(pixels.tobytes())
    return request


def fuse_response(response: Any, request: pb.FuseRequest) -> pb.FuseResponse:
    """The answer to a Fuse call."""
    message = pb.FuseResponse(request_id=request.request_id)
    _read_fused(response, message.fused, message.model, grey=request.vis.channels == 1)
    return message


def _read_fused(response: Any, message: pb.Image, model: pb.ModelRef, *, grey: bool) -> None:
    """Fill in the picture of a ModelInferResponse, and the model that made it."""
    outputs, raw = response.outputs, response.raw_output_contents
    if len(outputs) != 1 or len(raw) != 1 or outputs[0].name != "fused":
        names = ", ".join(tensor.name for tensor in outputs) or "none"
        raise IncompatibleServer(
            f"outputs: got {names}, {len(raw)} of them raw; valid: fused alone, raw"
        )
    data, shape = raw[0], tuple(outputs[0].shape)
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or len(data) != np.prod(shape):
        raise IncompatibleServer(
            f"fused: got {len(data)} bytes of shape {list(shape)}; valid: [1, height, width, 3]"
        )
    fused = np.frombuffer(data, np.uint8).reshape(shape[1:])
    write_picture(message, luma(fused) if grey else fused, "raw")
    model.name, model.version = response.model_name, response.model_version


@dataclass(frozen=True, slots=True)
class _Sent:
    frame_id: int
    capture_time_us: int
    grey: bool
    fault: CrossFuseError | None


class OipFrames:
    """The frames of one stream: from ours to requests, and from answers to ours, in order."""

    def __init__(self, config: pb.StreamConfig, max_pixels: int) -> None:
        self._model = config.model
        self._map = mapping_of(config.options, held=True)
        self._max_pixels = max_pixels
        self._sent: deque[_Sent] = deque()

    def request(self, message: pb.FuseStreamRequest) -> Any:
        """The request for a frame; one that breaks a rule goes empty, and is answered in turn."""
        frame = message.frame
        frame_id, fault = str(frame.frame_id), None
        try:
            request = infer_request(self._model, frame_id, frame, self._map, self._max_pixels)
        except CrossFuseError as error:
            fault = error
            request = ModelInferRequest(
                model_name=self._model.name, model_version=self._model.version, id=frame_id
            )
        grey = frame.vis.channels == 1
        self._sent.append(_Sent(frame.frame_id, frame.capture_time_us, grey, fault))
        return request

    def response(self, answer: Any) -> pb.FuseStreamResponse:
        """The answer to the frame that has been under way longest."""
        if not self._sent:
            raise IncompatibleServer("stream: got an answer to no frame; valid: one to each")
        sent = self._sent.popleft()
        inferred = answer.infer_response
        if inferred.id not in ("", str(sent.frame_id)):
            raise IncompatibleServer(
                f"id: got the answer to frame {inferred.id}; valid: that to {sent.frame_id}"
            )
        response = pb.FuseStreamResponse(
            frame_id=sent.frame_id, capture_time_us=sent.capture_time_us
        )
        if sent.fault is not None:
            response.error.code = NUMBERS[sent.fault.grpc_status]
            response.error.message = str(sent.fault)
        elif answer.error_message:
            name = inferred.parameters[STATUS_PARAMETER].string_param
            response.error.code = NUMBERS.get(name, NUMBERS["UNKNOWN"])
            response.error.message = answer.error_message
        else:
            fused = response.fused
            _read_fused(inferred, fused.image, fused.model, grey=sent.grey)
        return response


def list_models(index: Any, default: bool) -> pb.ListModelsResponse:
    """The models of a RepositoryIndexResponse; `default` where the first one is the default."""
    response = pb.ListModelsResponse()
    for number, entry in enumerate(index.models):
        response.models.add(
            model=pb.ModelRef(name=entry.name, version=entry.version),
            state=STATES.get(entry.state, pb.SERVING_STATE_UNSPECIFIED),
            message=entry.reason,
            is_default=default and number == 0,
        )
    return response


def server_info(
    metadata: Any, ready: bool, models: pb.ListModelsResponse
) -> pb.GetServerInfoResponse:
    """What the protocol tells of a server; limits and times are not of it."""
    return pb.GetServerInfoResponse(
        version=metadata.version,
        state=pb.SERVING_STATE_SERVING if ready else pb.SERVING_STATE_LOADING,
        models=models.models,
        runtime=f"{metadata.name} {metadata.version}",
    )

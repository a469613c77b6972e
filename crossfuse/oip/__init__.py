"""The messages of the Open Inference Protocol with NVIDIA Triton's additions.

The classes are made at run time from Triton's own definitions (protos/triton, `make proto`), in a
descriptor pool of their own: tritonclient registers the same names in the pool that all of a
process share, and whoever comes second there must bring the same definitions to the byte. So both
can be imported, in either order and whatever the version of tritonclient.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

DESCRIPTORS = "descriptors.binpb"
SERVICE = "inference.GRPCInferenceService"

# The protocol has only a text for what is wrong with one request of a stream; the name of the
# status goes beside it, where clients that do not know it do not look.
STATUS_PARAMETER = "crossfuse_status"


def _load_pool() -> DescriptorPool:
    pool = DescriptorPool()
    data = files("crossfuse.oip").joinpath(DESCRIPTORS).read_bytes()
    for file in FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _message(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))


POOL = _load_pool()
DESCRIPTOR: ServiceDescriptor = POOL.FindServiceByName(SERVICE)

ModelConfigResponse = _message("ModelConfigResponse")
ModelInferRequest = _message("ModelInferRequest")
ModelInferResponse = _message("ModelInferResponse")
ModelMetadataResponse = _message("ModelMetadataResponse")
ModelReadyResponse = _message("ModelReadyResponse")
ModelStatisticsResponse = _message("ModelStatisticsResponse")
ModelStreamInferResponse = _message("ModelStreamInferResponse")
RepositoryIndexRequest = _message("RepositoryIndexRequest")
RepositoryIndexResponse = _message("RepositoryIndexResponse")
ServerLiveResponse = _message("ServerLiveResponse")
ServerMetadataRequest = _message("ServerMetadataRequest")
ServerMetadataResponse = _message("ServerMetadataResponse")
ServerReadyRequest = _message("ServerReadyRequest")
ServerReadyResponse = _message("ServerReadyResponse")


def method_path(name: str) -> str:
    """The path of a method as gRPC wants it."""
    return f"/{SERVICE}/{name}"


def request_class(method: str) -> Any:
    """The class of what a method is asked with."""
    return GetMessageClass(DESCRIPTOR.methods_by_name[method].input_type)


def response_class(method: str) -> Any:
    """The class of a method's answer."""
    return GetMessageClass(DESCRIPTOR.methods_by_name[method].output_type)

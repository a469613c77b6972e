"""The AdminService: changes of the models while calls go on."""

from __future__ import annotations

import re

import grpc

from crossfuse.bundles import DEFAULT_MODEL
from crossfuse.bundles.store import NAME_PATTERN
from crossfuse.errors import InvalidInput
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_server.host import ModelHost
from crossfuse_server.information import write_info

VERSION_PATTERN = re.compile(r"[1-9][0-9]{0,17}")


class AdminServicer(fusion_pb2_grpc.AdminServiceServicer):
    """Answers the calls of crossfuse.v1.AdminService; who may call is decided before."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    def LoadModel(  # noqa: N802 - named by the proto
        self, request: pb.LoadModelRequest, context: grpc.ServicerContext
    ) -> pb.LoadModelResponse:
        """Load one bundle from disk, in the place of the one of its name and version."""
        model = self._host.load_one(*_checked(request.model))
        return pb.LoadModelResponse(model=write_info(model, model is self._host.default))

    def UnloadModel(  # noqa: N802 - named by the proto
        self, request: pb.UnloadModelRequest, context: grpc.ServicerContext
    ) -> pb.UnloadModelResponse:
        """Take one model away."""
        self._host.unload_one(*_checked(request.model))
        return pb.UnloadModelResponse()

    def ReloadModels(  # noqa: N802 - named by the proto
        self, request: pb.ReloadModelsRequest, context: grpc.ServicerContext
    ) -> pb.ReloadModelsResponse:
        """Serve what is on the search path now."""
        changes = self._host.reload()
        return pb.ReloadModelsResponse(
            loaded=map(_reference, changes.loaded),
            unloaded=map(_reference, changes.unloaded),
            failures=changes.failures,
        )


def _checked(model: pb.ModelRef) -> tuple[str, str]:
    """Name and version, either may be empty; what could be a path is refused here already."""
    if model.name and not NAME_PATTERN.fullmatch(model.name):
        raise InvalidInput("model.name", repr(model.name), f"a name like {DEFAULT_MODEL!r}")
    if model.version and not VERSION_PATTERN.fullmatch(model.version):
        raise InvalidInput("model.version", repr(model.version), "a positive integer, like '1'")
    return model.name, model.version


def _reference(text: str) -> pb.ModelRef:
    name, _, version = text.partition(":")
    return pb.ModelRef(name=name, version=version)

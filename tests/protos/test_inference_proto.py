"""Triton's definitions: as they are in tritonclient, and beside it in one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from tritonclient.grpc import model_config_pb2, service_pb2

from crossfuse import oip

FILES = {"grpc_service.proto": service_pb2, "model_config.proto": model_config_pb2}


def test_descriptors_are_up_to_date(root: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "protos/triton"]
    command += ["--include_imports", f"--descriptor_set_out={made}"]
    subprocess.run([*command, "protos/triton/grpc_service.proto"], cwd=root, check=True)
    kept = root / "crossfuse" / "oip" / oip.DESCRIPTORS
    assert made.read_bytes() == kept.read_bytes(), "run `make proto` and commit what it changes"


@pytest.mark.parametrize("name", FILES)
def test_they_are_those_of_tritonclient(name: str) -> None:
    ours = FileDescriptorProto.FromString(oip.POOL.FindFileByName(name).serialized_pb)
    for message in ours.message_type:
        without_json_names(message)
    theirs = FileDescriptorProto.FromString(FILES[name].DESCRIPTOR.serialized_pb)
    assert ours == theirs


def without_json_names(message: object) -> None:
    """protoc writes them into descriptor sets, and not into the stubs it makes."""
    for field in message.field:  # type: ignore[attr-defined]
        field.ClearField("json_name")
    for inner in message.nested_type:  # type: ignore[attr-defined]
        without_json_names(inner)


@pytest.mark.parametrize("modules", [("crossfuse.oip", "tritonclient.grpc"), ()])
def test_both_in_one_process(modules: tuple[str, ...]) -> None:
    """In either order; messages of one are read by the other."""
    order = modules or ("tritonclient.grpc", "crossfuse.oip")
    code = "".join(f"import {module}\n" for module in order)
    code += (
        "from crossfuse import oip\n"
        "from tritonclient.grpc import service_pb2\n"
        "ours = oip.ModelInferRequest(model_name='x', raw_input_contents=[b'12'])\n"
        "theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())\n"
        "assert (theirs.model_name, list(theirs.raw_input_contents)) == ('x', [b'12'])\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_licence_is_beside_every_copy(root: Path) -> None:
    """The wheel holds the descriptors, the checkout the definitions too."""
    notice = (root / "NOTICE").read_text(encoding="utf-8")
    assert "crossfuse/oip/descriptors.binpb" in notice
    texts = [notice, *((root / "protos" / "triton" / name).read_text() for name in FILES)]
    for text in texts:
        assert "NVIDIA CORPORATION & AFFILIATES" in text or "NVIDIA CORPORATION." in text
        assert "Redistributions in binary form must reproduce" in text

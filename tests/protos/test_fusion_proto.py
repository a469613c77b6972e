"""The public API: stubs are up to date, everything is explained, nothing that was there changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import __version__ as protobuf_version
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

PROTO = "crossfuse/v1/fusion.proto"
STUBS = ["fusion_pb2.py", "fusion_pb2.pyi", "fusion_pb2_grpc.py"]
ADVICE = "run `make proto` and commit what it changes"

# What the first release promised. A newer promise replaces it with
#   python -m grpc_tools.protoc -I protos --descriptor_set_out=tests/protos/fusion.v1.binpb \
#       protos/crossfuse/v1/fusion.proto
PROMISED = Path(__file__).with_name("fusion.v1.binpb")


def run_protoc(root: Path, *options: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "protos", *options]
    subprocess.run([*command, f"protos/{PROTO}"], cwd=root, check=True)


@pytest.fixture(scope="module")
def described(root: Path, tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorProto:
    """The proto as it is, with its comments."""
    out = tmp_path_factory.mktemp("protos") / "set.binpb"
    run_protoc(root, "--include_source_info", f"--descriptor_set_out={out}")
    (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    return file


def test_stubs_are_up_to_date(root: Path, tmp_path: Path) -> None:
    out = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    run_protoc(root, *out)
    made = tmp_path / "crossfuse" / "v1"
    assert sorted(path.name for path in made.iterdir()) == sorted(STUBS)
    for name in STUBS:
        committed = root / "crossfuse" / "v1" / name
        assert (made / name).read_bytes() == committed.read_bytes(), f"{committed}: {ADVICE}"


def test_stubs_of_protos_that_are_gone_are_gone(root: Path) -> None:
    kept = {path.name for path in (root / "crossfuse" / "v1").iterdir() if path.is_file()}
    assert kept - {"__init__.py"} == set(STUBS)


# --- comments ---------------------------------------------------------------------------------


def elements(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and path in the descriptor of everything a reader can refer to."""
    for number, message in enumerate(file.message_type):
        yield from _in_message(message, message.name, (4, number))
    for number, enum in enumerate(file.enum_type):
        yield from _in_enum(enum, enum.name, (5, number))
    for number, service in enumerate(file.service):
        yield service.name, (6, number)
        for index, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (6, number, 2, index)


def _in_message(
    message: DescriptorProto, name: str, path: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    if message.options.map_entry:  # made by protoc for a map field
        return
    yield name, path
    for number, field in enumerate(message.field):
        yield f"{name}.{field.name}", (*path, 2, number)
    for number, nested in enumerate(message.nested_type):
        yield from _in_message(nested, f"{name}.{nested.name}", (*path, 3, number))
    for number, enum in enumerate(message.enum_type):
        yield from _in_enum(enum, f"{name}.{enum.name}", (*path, 4, number))
    for number, oneof in enumerate(message.oneof_decl):
        yield f"{name}.{oneof.name}", (*path, 8, number)


def _in_enum(
    enum: EnumDescriptorProto, name: str, path: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield name, path
    for number, value in enumerate(enum.value):
        yield f"{name}.{value.name}", (*path, 2, number)


def test_everything_has_a_comment(described: FileDescriptorProto) -> None:
    commented = {
        tuple(location.path)
        for location in described.source_code_info.location
        if location.leading_comments.strip()
    }
    found = list(elements(described))
    assert len(found) > 100
    assert [name for name, path in found if path not in commented] == []


# --- changes that would break a caller ----------------------------------------------------------


def broken(promised: FileDescriptorProto, current: FileDescriptorProto) -> list[str]:
    """What callers of the promised API would miss in the current one; additions are fine."""
    faults = []
    if current.package != promised.package:
        faults.append(f"package {promised.package}")
    faults += _broken_enums(promised.enum_type, current.enum_type, "")
    faults += _broken_messages(promised.message_type, current.message_type, "")
    services = {service.name: service for service in current.service}
    for service in promised.service:
        methods = (
            {m.name: m for m in services[service.name].method} if (service.name in services) else {}
        )
        for method in service.method:
            found = methods.get(method.name)
            if found is None or _signature(found) != _signature(method):
                faults.append(f"{service.name}.{method.name}")
    return faults


def _broken_messages(promised: Any, current: Any, prefix: str) -> list[str]:
    faults = []
    messages = {message.name: message for message in current}
    for message in promised:
        name = f"{prefix}{message.name}"
        found = messages.get(message.name)
        if found is None:
            faults.append(name)
            continue
        fields = {field.name: field for field in found.field}
        oneofs = [oneof.name for oneof in message.oneof_decl]
        found_oneofs = [oneof.name for oneof in found.oneof_decl]
        for field in message.field:
            now = fields.get(field.name)
            if now is None or _shape(now, found_oneofs) != _shape(field, oneofs):
                faults.append(f"{name}.{field.name}")
        faults += _broken_messages(message.nested_type, found.nested_type, f"{name}.")
        faults += _broken_enums(message.enum_type, found.enum_type, f"{name}.")
    return faults


def _broken_enums(promised: Any, current: Any, prefix: str) -> list[str]:
    enums = {enum.name: {value.name: value.number for value in enum.value} for enum in current}
    return [
        f"{prefix}{enum.name}.{value.name}"
        for enum in promised
        for value in enum.value
        if enums.get(enum.name, {}).get(value.name) != value.number
    ]


def _shape(field: FieldDescriptorProto, oneofs: list[str]) -> tuple[Any, ...]:
    oneof = oneofs[field.oneof_index] if field.HasField("oneof_index") else None
    return field.number, field.type, field.label, field.type_name, oneof


def _signature(method: descriptor_pb2.MethodDescriptorProto) -> tuple[Any, ...]:
    return (
        method.input_type,
        method.output_type,
        method.client_streaming,
        method.server_streaming,
    )


@pytest.fixture
def promised() -> FileDescriptorProto:
    (file,) = FileDescriptorSet.FromString(PROMISED.read_bytes()).file
    return file


def test_what_was_promised_is_still_there(
    promised: FileDescriptorProto, described: FileDescriptorProto
) -> None:
    assert broken(promised, described) == []


def message_named(file: FileDescriptorProto, name: str) -> DescriptorProto:
    return next(message for message in file.message_type if message.name == name)


def test_changes_are_noticed(promised: FileDescriptorProto) -> None:
    changed = FileDescriptorProto()

    def faults() -> list[str]:
        found = broken(promised, changed)
        changed.CopyFrom(promised)
        return found

    changed.CopyFrom(promised)
    assert faults() == []

    message_named(changed, "Image").field[0].number = 15
    assert faults() == ["Image.width"]

    message_named(changed, "Image").field[0].type = FieldDescriptorProto.TYPE_UINT64
    assert faults() == ["Image.width"]

    message_named(changed, "Image").field[0].label = FieldDescriptorProto.LABEL_REPEATED
    assert faults() == ["Image.width"]

    message_named(changed, "Image").field[0].name = "columns"
    assert faults() == ["Image.width"]

    del message_named(changed, "IrMapping").nested_type[0].field[1]
    assert faults() == ["IrMapping.Linear.high"]

    message_named(changed, "FuseStreamResponse").field[2].ClearField("oneof_index")
    assert faults() == ["FuseStreamResponse.fused"]

    message_named(changed, "ModelRef").name = "Model"
    assert "ModelRef" in faults()

    changed.enum_type[0].value[1].number = 9
    assert faults() == ["DataType.DATA_TYPE_UINT8"]

    changed.service[0].method[0].server_streaming = True
    assert faults() == ["FusionService.Fuse"]

    changed.service[0].name = "Fusion"
    assert "FusionService.FuseStream" in faults()

    changed.package = "crossfuse.v2"
    assert "package crossfuse.v1" in faults()


def test_additions_are_fine(promised: FileDescriptorProto) -> None:
    grown = FileDescriptorProto()
    grown.CopyFrom(promised)
    message_named(grown, "Image").field.add(name="rotation", number=99)
    grown.enum_type[0].value.add(name="DATA_TYPE_FLOAT", number=9)
    grown.service[0].method.add(name="FuseMany")
    grown.message_type.add(name="More")
    assert broken(promised, grown) == []


# --- both runtimes ------------------------------------------------------------------------------

ROUND_TRIP = """
import google.protobuf
from crossfuse.v1 import fusion_pb2, fusion_pb2_grpc
sent = fusion_pb2.FuseRequest(request_id="1", options={"homography": [1.0] * 9})
assert fusion_pb2.FuseRequest.FromString(sent.SerializeToString()) == sent
assert fusion_pb2_grpc.FusionServiceStub
print(google.protobuf.__version__)
"""


def version_that_round_trips(*path: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_stubs_work_with_the_installed_protobuf() -> None:
    assert version_that_round_trips() == protobuf_version


def test_stubs_work_with_protobuf_7(root: Path) -> None:
    """`pip install --target DIR 'protobuf>=7,<8'` makes the folder."""
    folder = os.environ.get("CROSSFUSE_PROTOBUF7")
    if folder is None:
        pytest.skip("set CROSSFUSE_PROTOBUF7 to a folder into which protobuf 7 was installed")
    assert version_that_round_trips(folder, str(root)).startswith("7.")

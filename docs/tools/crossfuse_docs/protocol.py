"""The reference of the gRPC API, from the comments of fusion.proto."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

from crossfuse_docs.prose import markdown, one_line, table

PROTO = "crossfuse/v1/fusion.proto"
INTRODUCTION = """\
# gRPC

Package `crossfuse.v1`, port 8001. The source is
[`protos/crossfuse/v1/fusion.proto`](../../protos/crossfuse/v1/fusion.proto); a server also
describes itself by reflection. On the same port answer `grpc.health.v1.Health` and the Open
Inference Protocol. What each status means, and what to do: [statuses](statuses.md)."""

# Numbers of fields in descriptor.proto, of which the paths to comments are made.
MESSAGES, ENUMS, SERVICES = 4, 5, 6
FIELDS, NESTED, NESTED_ENUMS = 2, 3, 4
VALUES, METHODS = 2, 2
Path_ = tuple[int, ...]


def page(root: Path) -> str:
    """docs/reference/grpc.md"""
    file = _describe(root)
    comments = {
        tuple(location.path): location.leading_comments.replace("\n ", "\n").strip()
        for location in file.source_code_info.location
    }
    parts = [INTRODUCTION]
    for index, service in enumerate(file.service):
        parts += _service(service, (SERVICES, index), comments)
    parts.append("## Messages")
    for index, message in enumerate(file.message_type):
        parts += _message(message, message.name, (MESSAGES, index), comments)
    parts.append("## Enumerations")
    for index, enumeration in enumerate(file.enum_type):
        parts += _enumeration(enumeration, (ENUMS, index), comments)
    return "\n\n".join(parts) + "\n"


def _describe(root: Path) -> FileDescriptorProto:
    """The proto with its comments, as its compiler reads it."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "descriptors"
        code = protoc.main(
            [
                "protoc",
                f"-I{root / 'protos'}",
                "--include_source_info",
                f"--descriptor_set_out={output}",
                PROTO,
            ]
        )
        if code:
            raise SystemExit(f"protoc ended with exit code {code}")
        return FileDescriptorSet.FromString(output.read_bytes()).file[0]


def _service(
    service: ServiceDescriptorProto, path: Path_, comments: dict[Path_, str]
) -> Iterator[str]:
    yield f"## {service.name}"
    yield markdown(comments[path])
    for index, method in enumerate(service.method):
        request = _linked(method.input_type, "stream " if method.client_streaming else "")
        answer = _linked(method.output_type, "stream " if method.server_streaming else "")
        yield f"### {service.name}.{method.name}"
        yield f"{request} → {answer}"
        yield markdown(comments[(*path, METHODS, index)])


def _message(
    message: DescriptorProto, name: str, path: Path_, comments: dict[Path_, str]
) -> Iterator[str]:
    yield f"### {name}"
    yield markdown(comments[path])
    rows = [
        (
            f"`{field.name}`",
            _type(field, message),
            one_line(comments[(*path, FIELDS, index)]) + _choice(field, message),
        )
        for index, field in enumerate(message.field)
    ]
    if rows:
        yield table(("field", "type", ""), rows)
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from _message(nested, f"{name}.{nested.name}", (*path, NESTED, index), comments)


def _enumeration(
    enumeration: EnumDescriptorProto, path: Path_, comments: dict[Path_, str]
) -> Iterator[str]:
    yield f"### {enumeration.name}"
    yield markdown(comments[path])
    yield table(
        ("value", "number", ""),
        (
            (f"`{value.name}`", str(value.number), one_line(comments[(*path, VALUES, index)]))
            for index, value in enumerate(enumeration.value)
        ),
    )


def _type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    entries = [nested for nested in message.nested_type if nested.options.map_entry]
    for entry in entries:
        if field.type_name.endswith(f".{entry.name}"):
            return "map of " + " to ".join(_type(part, entry) for part in entry.field)
    repeated = "repeated " if field.label == FieldDescriptorProto.LABEL_REPEATED else ""
    if field.type_name:
        return _linked(field.type_name, repeated)
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"{repeated}{kind}"


def _choice(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    if not field.HasField("oneof_index"):
        return ""
    others: Iterable[str] = (
        f"`{other.name}`"
        for other in message.field
        if other.HasField("oneof_index")
        and other.oneof_index == field.oneof_index
        and other.name != field.name
    )
    return f" Not beside {', '.join(others)}."


def _linked(type_name: str, prefix: str = "") -> str:
    name = type_name.removeprefix(".crossfuse.v1.")
    return f"{prefix}[{name}](#{name.lower().replace('.', '')})"

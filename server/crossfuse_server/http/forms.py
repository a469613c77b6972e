"""The form of POST /v1/fuse: read within limits, and written as the message of gRPC."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from crossfuse.client.requests import write_options
from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images import DEFAULT_MAPPING, DEFAULT_MAX_PIXELS, ENCODINGS
from crossfuse.images.infrared import WHITE_HOT
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.http.errors import BodyTooLarge, WrongBody

PICTURES = ("ir", "vis")
OPTIONS = (
    *("model", "version", "encoding", "quality", "ir_mapping"),
    *("polarity", "homography", "output_color"),
)
COLORS: dict[str, pb.OutputColor] = {
    "auto": pb.OUTPUT_COLOR_UNSPECIFIED,
    "gray": pb.OUTPUT_COLOR_GRAY,
    "color": pb.OUTPUT_COLOR_COLOR,
}
LONGEST_OPTION = 4096
FORM = "multipart/form-data"
FORM_EXAMPLE = "a form, as `curl -F ir=@ir.png -F vis=@vis.png` sends"


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent: whole picture files and options as text."""

    files: Mapping[str, bytes]
    options: Mapping[str, str]


class MemoryParser(MultiPartParser):
    """Keeps every part in memory: pictures never reach a disk."""

    spool_max_size = 0


async def read_form(request: Request, limit: int, take: Callable[[int], None]) -> Form:
    """Read the body; `take` is told of every piece before the next one is read, and may refuse."""
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != FORM:
        raise WrongBody("Content-Type", repr(kind[:100]) if kind else "nothing", FORM_EXAMPLE)
    parser = MemoryParser(
        request.headers,
        _within(request, limit, take),
        max_files=len(PICTURES),
        max_fields=len(OPTIONS),
        max_part_size=LONGEST_OPTION,
    )
    try:
        parts = await parser.parse()
    except MultiPartException as error:
        raise InvalidInput("body", f"no form ({error.message})", FORM_EXAMPLE) from None
    try:
        return await _sorted(parts)
    finally:
        await parts.close()


async def _sorted(parts: FormData) -> Form:
    files: dict[str, bytes] = {}
    options: dict[str, str] = {}
    for name, part in parts.multi_items():
        _check_name(name, isinstance(part, UploadFile), name in files or name in options)
        if isinstance(part, UploadFile):
            files[name] = await part.read()
        else:
            options[name] = part
    return Form(files, options)


def fuse_request(form: Form, request_id: str) -> pb.FuseRequest:
    """The message that a gRPC client would send for the same files and options."""
    options = form.options
    encoding = options.get("encoding", "png")
    if encoding not in ENCODINGS:
        raise UnknownName("encoding", encoding, ENCODINGS)
    color = options.get("output_color", "auto")
    if color not in COLORS:
        raise UnknownName("output_color", color, COLORS)
    written = write_options(
        model=_model(options),
        homography=_homography(options.get("homography")),
        ir_mapping=options.get("ir_mapping") or DEFAULT_MAPPING,
        ir_polarity=options.get("polarity", WHITE_HOT),
        encoding=encoding,
        max_pixels=DEFAULT_MAX_PIXELS,  # of arrays; files are measured when they are decoded
    )
    request = pb.FuseRequest(request_id=request_id, model=written.model, options=written.message)
    request.options.output_color = COLORS[color]
    request.options.quality = _quality(options.get("quality"))
    for name, message in (("ir", request.ir), ("vis", request.vis)):
        if name not in form.files:
            raise InvalidInput(name, "nothing", FORM_EXAMPLE)
        message.encoding = pb.ENCODING_PNG  # any kind of file: it says itself which it is
        message.data = form.files[name]
    return request


async def _within(
    request: Request, limit: int, take: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """The pieces of a body, until there are too many of them."""
    _check_size(_declared_length(request), limit)
    size = 0
    async for piece in request.stream():
        size += len(piece)
        _check_size(size, limit)
        take(len(piece))
        yield piece


def _declared_length(request: Request) -> int:
    with suppress(ValueError):
        return int(request.headers.get("content-length", "0"))
    return 0


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise BodyTooLarge("body", f"{size} bytes or more", f"at most {limit}")


def _check_name(name: str, is_file: bool, is_known: bool) -> None:
    valid = PICTURES if is_file else OPTIONS
    if name not in valid:
        raise UnknownName("file in the form" if is_file else "field in the form", name[:100], valid)
    if is_known:
        raise InvalidInput(name, "it twice", "once")


def _model(options: Mapping[str, str]) -> str | None:
    name, version = options.get("model", ""), options.get("version", "")
    if version and not name:
        raise InvalidInput("version", f"{version!r} without a model", "the model beside it")
    return f"{name}:{version}" if version else name or None


def _quality(text: str | None) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= 100):
        raise InvalidInput("quality", repr(text), "1 to 100")
    return int(text)


def _homography(text: str | None) -> list[float] | None:
    if not text:
        return None
    try:
        return [float(number) for number in text.replace(",", " ").split()]
    except ValueError:
        valid = "nine numbers, row by row, like 1 0 0 0 1 0 0 0 1"
        raise InvalidInput("homography", repr(text[:200]), valid) from None

"""Builders of image files, whole and hostile."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


class TiffMaker(Protocol):
    def __call__(
        self, image: NDArray[Any], *, byte_order: str = "<", **tags: int | list[int] | None
    ) -> bytes: ...


class PngMaker(Protocol):
    def __call__(
        self,
        width: int,
        height: int,
        depth: int,
        colour: int,
        rows: Iterable[bytes],
        *,
        before: tuple[tuple[bytes, bytes], ...] = (),
    ) -> bytes: ...


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.fixture(scope="session")
def make_png() -> PngMaker:
    """A PNG of given header and unfiltered rows (each begins with a zero byte), packed fast."""

    def make(
        width: int,
        height: int,
        depth: int,
        colour: int,
        rows: Iterable[bytes],
        *,
        before: tuple[tuple[bytes, bytes], ...] = (),
    ) -> bytes:
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
        extra = b"".join(_chunk(kind, body) for kind, body in before)
        packer = zlib.compressobj(1)
        packed = b"".join([packer.compress(row) for row in rows] + [packer.flush()])
        data = _chunk(b"IDAT", packed)
        return b"\x89PNG\r\n\x1a\n" + head + extra + data + _chunk(b"IEND", b"")

    return make


_TIFF_TAGS = {
    "width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262,
    "offsets": 273, "orientation": 274, "samples": 277, "rows_per_strip": 278, "lengths": 279,
    "planes": 284, "extra_samples": 338, "sample_format": 339, "tile_width": 322,
    "tile_height": 323, "tile_offsets": 324, "tile_lengths": 325,
}  # fmt: skip


@pytest.fixture(scope="session")
def make_tiff() -> TiffMaker:
    """A TIFF of one uncompressed strip, every tag of which can be changed or left out (None)."""

    def make(
        image: NDArray[Any], *, byte_order: str = "<", **tags: int | list[int] | None
    ) -> bytes:
        order: Literal["<", ">"] = "<" if byte_order == "<" else ">"
        pixels = image.astype(image.dtype.newbyteorder(order)).tobytes()
        samples = 1 if image.ndim == 2 else image.shape[2]
        values: dict[str, int | list[int] | None] = {
            "width": image.shape[1],
            "height": image.shape[0],
            "bits": [image.dtype.itemsize * 8] * samples,
            "compression": 1,
            "photometric": 1 if samples < 3 else 2,
            "offsets": 8,
            "samples": samples,
            "rows_per_strip": image.shape[0],
            "lengths": len(pixels),
            **tags,
        }
        body = bytearray(b"\0" * 8 + pixels)
        entries: list[tuple[int, bytes]] = []
        for name, value in values.items():
            if value is None:
                continue
            numbers = value if isinstance(value, list) else [value]
            packed = struct.pack(f"{byte_order}{len(numbers)}I", *numbers)
            if len(packed) > 4:
                packed, at = struct.pack(byte_order + "I", len(body)), packed
                body += at
            head = struct.pack(byte_order + "HHI", _TIFF_TAGS[name], 4, len(numbers))
            entries.append((_TIFF_TAGS[name], head + packed))
        mark = b"II" if byte_order == "<" else b"MM"
        body[:8] = mark + struct.pack(byte_order + "HI", 42, len(body))
        table = b"".join(entry for _, entry in sorted(entries))
        return bytes(body) + struct.pack(byte_order + "H", len(entries)) + table + bytes(4)

    return make


@pytest.fixture(scope="session")
def save() -> Callable[..., bytes]:
    """Bytes of an array or a Pillow picture as Pillow saves it in a format."""

    def save_as(picture: NDArray[Any] | Image.Image, file_format: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(stream, file_format, **options)
        return stream.getvalue()

    return save_as


@pytest.fixture(scope="session")
def grey() -> NDArray[np.uint8]:
    """A smooth grey picture of 40x24 with no symmetry, so that every turn of it differs."""
    rows, columns = np.mgrid[0:24, 0:40]
    return np.asarray(rows * 6 + columns * 2, np.uint8)


@pytest.fixture(scope="session")
def colour(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A smooth RGB picture of 40x24."""
    return np.dstack([grey, 255 - grey, grey // 2 + 60])


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if OpenCV is asked to decode."""

    def imdecode(*_: object) -> None:
        pytest.fail("the decoder was called")

    monkeypatch.setattr(cv2, "imdecode", imdecode)

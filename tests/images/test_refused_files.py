"""Files that are damaged, hostile or of a kind we do not take end in a clear ImageError."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crossfuse.errors import ImageError
from crossfuse.images import decode, decode_infrared, decode_visible

FORMATS = ["PNG", "JPEG", "WEBP", "TIFF"]


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.usefixtures("no_decoder")
def test_animated_is_refused(file_format: str, colour: Any, save: Callable[..., bytes]) -> None:
    second = Image.fromarray(255 - colour)
    data = save(colour, file_format, save_all=True, append_images=[second])
    with pytest.raises(ImageError, match=r"animated or multi-page .*valid: a file of one picture"):
        decode(data)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
@pytest.mark.usefixtures("no_decoder")
def test_cmyk_is_refused(file_format: str, colour: Any, save: Callable[..., bytes]) -> None:
    with pytest.raises(ImageError, match=r"CMYK .*valid: grey or RGB"):
        decode(save(Image.fromarray(colour).convert("CMYK"), file_format))


@pytest.mark.usefixtures("no_decoder")
def test_a_png_bomb_costs_nothing(make_png: Any) -> None:
    bomb = make_png(20000, 20000, 8, 0, [bytes(20001 * 100)] * 200)
    assert len(bomb) < 2**21
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="ir: got a picture of 20000x20000 = 400000000 pixels"):
            decode_infrared(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.usefixtures("no_decoder")
def test_the_pixel_limit_is_exact(
    file_format: str, colour: Any, save: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = save(colour, file_format)
    with pytest.raises(ImageError, match="40x24 = 960 pixels; valid: at most 959 pixels"):
        decode(data, max_pixels=959)
    monkeypatch.undo()
    decode(data, max_pixels=960)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("kept", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0])
@pytest.mark.usefixtures("no_decoder")
def test_truncated_files_never_reach_the_decoder(
    file_format: str, kept: float, colour: Any, save: Callable[..., bytes]
) -> None:
    noisy = colour ^ np.arange(40, dtype=np.uint8)[:, None] * 7 % 251
    data = save(noisy, file_format)
    with pytest.raises(ImageError, match=r"truncat|bytes that begin|without a picture"):
        decode(data[: min(int(len(data) * kept), len(data) - 1)])


@pytest.mark.usefixtures("no_decoder")
def test_a_flipped_bit_of_a_png_is_found_by_its_checksum(
    colour: Any, save: Callable[..., bytes]
) -> None:
    data = bytearray(save(colour, "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageError, match=r"vis: got a damaged PNG \(checksum of the chunk at byte"):
        decode_visible(bytes(data))


def test_a_png_with_fewer_rows_than_its_header_says(grey: Any, make_png: Any) -> None:
    rows = [b"\0" + row.tobytes() for row in grey]
    assert np.array_equal(decode(make_png(40, 24, 8, 0, rows)), grey)
    with pytest.raises(ImageError, match="40x24 that cannot be decoded"):
        decode(make_png(40, 24, 8, 0, rows[:12]))


def test_webp_canvas_and_picture_of_two_sizes(colour: Any, save: Callable[..., bytes]) -> None:
    exif = Image.Exif()
    exif[274] = 1
    data = bytearray(save(colour, "WEBP", exif=exif.tobytes()))
    data[24] += 1
    with pytest.raises(ImageError, match="canvas is 41x24 and whose picture 40x24"):
        decode(bytes(data))


def test_tiff_strip_that_is_too_short(grey: Any, make_tiff: Any) -> None:
    with pytest.raises(ImageError, match="a truncated TIFF of 40x24"):
        decode(make_tiff(grey, lengths=959))


def test_compressed_16_bit_tiff_that_is_damaged(grey: Any, make_tiff: Any) -> None:
    with pytest.raises(ImageError, match="TIFF of 40x24 that cannot be decoded"):
        decode(make_tiff(grey.astype(np.uint16), compression=8))


def test_damaged_coded_data(colour: Any, save: Callable[..., bytes]) -> None:
    data = bytearray(save(colour, "WEBP", lossless=True))
    data[25:60] = bytes(35)
    with pytest.raises(ImageError, match="WebP of 40x24 that cannot be decoded"):
        decode(bytes(data))


def test_12_bit_jpeg(colour: Any, save: Callable[..., bytes]) -> None:
    data = bytearray(save(colour, "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError, match="12 bits per sample; valid: 8 bits"):
        decode(bytes(data))


def test_errors_of_opencv_become_ours(
    grey: Any, save: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def imdecode(*_: object) -> None:
        raise cv2.error("a limit of its own")

    monkeypatch.setattr(cv2, "imdecode", imdecode)
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode(save(grey, "PNG"))


def test_a_decoder_that_disagrees_with_the_header(
    grey: Any, save: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((9, 9), np.uint8))
    with pytest.raises(ImageError, match=r"decodes to uint8 of shape \(9, 9\)"):
        decode(save(grey, "PNG"))


@given(st.data())
def test_damaged_files_give_a_picture_or_an_image_error(data: st.DataObject) -> None:
    image = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
    extension = data.draw(st.sampled_from([".png", ".jpg", ".webp", ".tiff"]))
    file = bytearray(cv2.imencode(extension, image)[1].tobytes())
    for _ in range(data.draw(st.integers(1, 6))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(file), max_pixels=10_000)
    except ImageError:
        return
    assert decoded.dtype in (np.uint8, np.uint16)
    assert decoded.shape[0] * decoded.shape[1] <= 10_000


def test_the_log_of_opencv_is_quiet_only_while_decoding(
    grey: Any, make_tiff: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = make_tiff(grey.astype(np.uint16), compression=8)
    log: Any = cv2 if hasattr(cv2, "getLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    failures: list[ImageError] = []

    def decode_broken() -> None:
        for _ in range(20):
            try:
                decode(broken)
            except ImageError as error:
                failures.append(error)

    threads = [threading.Thread(target=decode_broken) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 80
    assert log.getLogLevel() == before
    assert capfd.readouterr().err == ""

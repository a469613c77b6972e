"""Reads pictures from files and writes files that are whole or not there."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import ImageError, OutputError
from crossfuse.images.decode import decode_infrared, decode_visible
from crossfuse.images.pixels import DEFAULT_MAX_PIXELS, MAX_FILE_BYTES, Pixels

_REASONS = {
    errno.ENOENT: "no such folder",
    errno.ENOTDIR: "a parent that is no folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "a read-only disk",
    errno.ENOSPC: "a full disk",
    errno.EDQUOT: "a full quota",
    errno.EFBIG: "a file over the size limit",
}


def read_infrared(
    path: str | os.PathLike[str],
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    palette: str | None = None,
) -> Pixels:
    """An infrared file as uint8 or uint16 HxW; see decode_infrared."""
    return decode_infrared(
        read_bytes(path), field=os.fspath(path), max_pixels=max_pixels, palette=palette
    )


def read_visible(
    path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> NDArray[np.uint8]:
    """A visible file as uint8, HxW grey or HxWx3 RGB; see decode_visible."""
    return decode_visible(read_bytes(path), field=os.fspath(path), max_pixels=max_pixels)


def read_bytes(path: str | os.PathLike[str], *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The content of a regular file of at most `max_bytes`; ImageError naming the path if not."""
    field = os.fspath(path)
    try:
        # Looked at before it is opened: opening a named pipe would wait for ever.
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            folder = stat.S_ISDIR(status.st_mode)
            kind = "a folder" if folder else "something that is no regular file"
            raise ImageError(field, kind, "an image file")
        size = status.st_size
        if size <= max_bytes:
            with Path(path).open("rb") as file:
                data = file.read(max_bytes + 1)
            size = len(data)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageError(field, f"{reason}", "an image file that can be read") from None
    if size > max_bytes:
        raise ImageError(field, f"a file of {size} bytes", f"at most {max_bytes} bytes")
    return data


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` so that `path` holds all of it, or what it held before.

    A full disk, a lost permission or Ctrl-C leaves no partial and no temporary file behind.
    """
    # A link is followed, so that it stays one and the file behind it is replaced.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if target.exists() and not target.is_file():
            raise OutputError(
                f"{os.fspath(path)}: got something that is no regular file; valid: a file"
            )
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(target)
        finally:
            # Also after Ctrl-C at any point; after the replacement nothing is left to remove.
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise OutputError(
            f"{os.fspath(path)}: could not be written: got {reason}; "
            "valid: a path in an existing folder, with permission and space to write"
        ) from error

"""The rig file: how the infrared camera of a pair of cameras stands to the visible one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.alignment import Matrix, align_infrared, parse_homography
from crossfuse.arrays import UInt8Array
from crossfuse.errors import ImageError, InvalidInput
from crossfuse.images import read_bytes, write_file

Size = tuple[int, int]

VERSION = 1
LARGEST_FILE = 2**20
STEP = 4


@dataclass(frozen=True, slots=True)
class RigQuality:
    """How well the cameras were measured; distances are pixels of the visible picture."""

    method: str
    """automatic, points or chessboard."""
    error: float
    """Typical distance between where a corner of the infrared picture may lie and where it is."""
    samples: int
    """Frames or points the estimate rests on."""
    agreement: float
    """Share of the samples that agree with it, 0 to 1."""
    offset_error: float | None
    """Uncertainty of the time offset in milliseconds; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Rig:
    """Two cameras that do not move against each other; sizes are (width, height)."""

    ir_size: Size
    vis_size: Size
    homography: Matrix
    """3x3, from infrared pixel positions to visible ones."""
    time_offset_ms: float
    """Added to infrared timestamps it gives visible ones."""
    created: str
    """Date and time, ISO 8601."""
    quality: RigQuality

    def __post_init__(self) -> None:
        # Refuses matrices that no rig can have.
        share_of_infrared(self)

    @property
    def valid_region(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the largest even-sized box the infrared camera sees whole."""
        return largest_box(share_of_infrared(self) == 255)

    def to_json(self) -> str:
        """The text of a rig file."""
        document = {
            "version": VERSION,
            "ir_size": list(self.ir_size),
            "vis_size": list(self.vis_size),
            "homography": [float(value) for value in np.asarray(self.homography).ravel()],
            "time_offset_ms": self.time_offset_ms,
            "valid_region": list(self.valid_region),
            "created": self.created,
            "quality": {
                "method": self.quality.method,
                "error_px": self.quality.error,
                "samples": self.quality.samples,
                "agreement": self.quality.agreement,
                "offset_error_ms": self.quality.offset_error,
            },
        }
        return json.dumps(document, indent=2) + "\n"

    def write(self, path: Path) -> None:
        """Write the rig file, whole or not at all."""
        write_file(path, self.to_json().encode())


def read_rig(path: Path) -> Rig:
    """The rig of a file; InvalidInput says what is wrong with it."""
    import fastjsonschema

    try:
        data = read_bytes(path, max_bytes=LARGEST_FILE)
        document = json.loads(data, parse_constant=_no_number)
        _validator()(document)
    except fastjsonschema.JsonSchemaValueException as error:
        # fastjsonschema calls the whole document `data`: "data.version must be integer".
        rule = error.message.replace("data", "rig", 1)
        came = "a rig without it" if isinstance(error.value, dict) else f"{error.value!r:.80}"
        raise InvalidInput(str(path), came, f"{rule}, as calibrate writes it") from error
    except ImageError as error:
        raise InvalidInput(str(path), error.received, "a rig file that can be read") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            str(path), f"no JSON ({error})", "a rig file, as calibrate writes it"
        ) from error
    quality = document["quality"]
    return Rig(
        ir_size=_size(document["ir_size"]),
        vis_size=_size(document["vis_size"]),
        homography=parse_homography(document["homography"], f"{path}: homography"),
        time_offset_ms=float(document["time_offset_ms"]),
        created=document["created"],
        quality=RigQuality(
            quality["method"],
            float(quality["error_px"]),
            int(quality["samples"]),
            float(quality["agreement"]),
            quality["offset_error_ms"],
        ),
    )


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _size(sides: list[float]) -> Size:
    width, height = sides  # 640.0 is an integer to JSON schema
    return int(width), int(height)


class RigAligner:
    """Brings infrared frames of a rig into the frame of the visible ones; keeps what is fixed."""

    def __init__(self, rig: Rig, *, crop: bool) -> None:
        self.rig = rig
        self.region = rig.valid_region if crop else None
        if self.region is not None and 0 in self.region[2:]:
            raise InvalidInput(
                "crop",
                "a rig with no part of the picture that both cameras see whole",
                "the whole picture, without --crop",
            )
        share = share_of_infrared(rig)
        self._share = None if share.min() == 255 else share.astype(np.float32) / 255

    def check_sizes(self, ir: Size, vis: Size) -> None:
        """Refuse sources of another size than the rig's."""
        for field, size, valid in (("ir", ir, self.rig.ir_size), ("vis", vis, self.rig.vis_size)):
            if size != valid:
                raise InvalidInput(
                    field,
                    f"a source of {size[0]}x{size[1]}",
                    f"{valid[0]}x{valid[1]}, the size the rig was calibrated at",
                )

    def align(self, ir: UInt8Array, vis: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
        """ir, uint8 HxW, in the frame of vis; both cropped to the valid region if asked for.

        What the infrared camera does not see is the luma of the visible picture.
        """
        warped = np.asarray(
            cv2.warpPerspective(ir, self.rig.homography, self.rig.vis_size, flags=cv2.INTER_LINEAR),
            np.uint8,
        )
        if self.region is not None:
            x, y, width, height = self.region
            part = (slice(y, y + height), slice(x, x + width))
            return np.ascontiguousarray(warped[part]), np.ascontiguousarray(vis[part])
        if self._share is None:
            return warped, vis
        luma = vis if vis.ndim == 2 else cv2.cvtColor(vis, cv2.COLOR_RGB2GRAY)
        blended = luma + (warped.astype(np.float32) - luma) * self._share
        return np.rint(blended).astype(np.uint8), vis


def share_of_infrared(rig: Rig) -> UInt8Array:
    """uint8 HxW of the visible picture: 255 where the infrared camera sees, fading to 0."""
    white = np.full(rig.ir_size[::-1], 255, np.uint8)
    black = np.zeros(rig.vis_size[::-1], np.uint8)
    return align_infrared(white, black, parse_homography(rig.homography))


def largest_box(inside: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x, y, width and height of the largest box of true pixels, in steps of STEP pixels."""
    height, width = (side // STEP for side in inside.shape)
    tiles = inside[: height * STEP, : width * STEP].reshape(height, STEP, width, STEP)
    whole = np.asarray(tiles.all(axis=(1, 3)))
    above = np.zeros(width, np.int64)
    best, box = 0, (0, 0, 0, 0)
    for y in range(height):
        above = np.where(whole[y], above + 1, 0)
        open_boxes: list[tuple[int, int]] = []  # left end and height
        for x in range(width + 1):
            tall = int(above[x]) if x < width else 0
            left = x
            while open_boxes and open_boxes[-1][1] >= tall:
                left, closed = open_boxes.pop()
                if (x - left) * closed > best:
                    best = (x - left) * closed
                    box = (left * STEP, (y - closed + 1) * STEP, (x - left) * STEP, closed * STEP)
            if tall:
                open_boxes.append((left, tall))
    return box


@cache
def _validator() -> Any:
    import fastjsonschema

    text = Path(__file__).with_name("rig.schema.json").read_text(encoding="utf-8")
    return fastjsonschema.compile(json.loads(text))

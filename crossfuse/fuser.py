"""Fusing pictures in this process, and the steps around the engine that a server shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from crossfuse.alignment import Matrix, align_infrared, parse_homography
from crossfuse.arrays import UInt8Array
from crossfuse.bundles import DEFAULT_MODEL
from crossfuse.engines import Engine, load_engine
from crossfuse.images import (
    DEFAULT_MAPPING,
    DEFAULT_MAX_PIXELS,
    HeldMapping,
    IrMapping,
    Pixels,
    map_infrared,
    parse_mapping,
    validate_pair,
)


@dataclass(frozen=True, slots=True)
class PreparedPair:
    """A pair as an engine takes it: ir [H,W] and vis [H,W,3] RGB, both uint8."""

    ir: UInt8Array
    vis: UInt8Array
    grey: bool
    """Whether the visible picture is grey, so that the fused one will be."""


def prepare_pair(
    ir: Pixels,
    vis: UInt8Array,
    *,
    minimum_size: int,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    mapping: IrMapping | HeldMapping = DEFAULT_MAPPING,
    polarity: str = "white-hot",
    homography: Matrix | None = None,
) -> PreparedPair:
    """Check a pair, bring the infrared to 8 bits and into the frame of the visible picture.

    A HeldMapping, which belongs to one stream, brings its own polarity.
    """
    validate_pair(
        ir, vis, min_size=minimum_size, max_pixels=max_pixels, same_size=homography is None
    )
    if isinstance(mapping, HeldMapping):
        narrow = mapping.apply(ir)
    else:
        narrow = map_infrared(ir, mapping, polarity=polarity)
    if homography is not None:
        narrow = align_infrared(narrow, vis, homography)
    grey = vis.ndim == 2
    colour = np.repeat(vis[..., None], 3, axis=2) if grey else vis
    return PreparedPair(narrow, colour, grey)


def finish(fused: UInt8Array, *, grey: bool) -> UInt8Array:
    """The engine's [H,W,3] as HxWx3, or as HxW where grey is wanted."""
    return luma(fused) if grey else fused


def luma(rgb: UInt8Array) -> UInt8Array:
    """The luma of an RGB picture; of three equal channels, that channel."""
    import cv2

    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


class Fuser:
    """Fuses an infrared and a visible picture of one scene; made by `crossfuse.load`.

    Calls may come from any thread.
    """

    def __init__(self, engine: Engine, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self.engine = engine
        self._max_pixels = max_pixels
        self._minimum_size = engine.describe().minimum_size

    def fuse(
        self,
        ir: Pixels,
        vis: UInt8Array,
        *,
        homography: Sequence[float] | Matrix | None = None,
        ir_mapping: str | IrMapping = DEFAULT_MAPPING,
        ir_polarity: str = "white-hot",
    ) -> UInt8Array:
        """Fuse ir, uint8 or uint16 HxW, and vis, uint8 HxWx3 RGB or HxW, into uint8 like vis.

        homography: nine numbers that take infrared pixel positions to visible ones; the pictures
        may then differ in size. ir_mapping: how 16 bits become 8: `linear:LO:HI`,
        `percentile:LO:HI` or `none`. ir_polarity: `black-hot` where warm things are dark.
        """
        pair = prepare_pair(
            ir,
            vis,
            minimum_size=self._minimum_size,
            max_pixels=self._max_pixels,
            mapping=parse_mapping(ir_mapping) if isinstance(ir_mapping, str) else ir_mapping,
            polarity=ir_polarity,
            homography=None if homography is None else parse_homography(homography),
        )
        fused = self.engine.fuse(
            np.ascontiguousarray(pair.ir[None]), np.ascontiguousarray(pair.vis[None])
        )[0]
        return finish(fused, grey=pair.grey)

    def close(self) -> None:
        """Free the model; the fuser is not used afterwards."""
        self.engine.close()

    def __enter__(self) -> Fuser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def load(
    name_or_path: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
) -> Fuser:
    """Load a model: a name (`crossfuse-rt`, `crossfuse-rt:1`), a bundle folder or an .onnx file.

    device: auto, cpu, cuda or tensorrt. precision: auto, fp32, fp16 or int8; on a CPU auto is
    fp32. threads: processors to use, by default all this process may use.
    """
    return Fuser(load_engine(name_or_path, device=device, precision=precision, threads=threads))

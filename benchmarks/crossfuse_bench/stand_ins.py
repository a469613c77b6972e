"""Bundles without a network and engines that do as they are told, to measure the server alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import BundleFile, DataSource, FileQuality, Manifest, Quality, Training
from crossfuse.engines import Engine, EngineDescription


def write_bundle(
    models: Path, name: str, version: int = 1, variant: Mapping[str, Any] | None = None
) -> None:
    """A manifest and an empty model file: all the server needs when the engine is given."""
    file = BundleFile("model.fp32.onnx", "0" * 64, 20, "fp32", FileQuality("none", None, 1, 0, 0))
    folder = models / name / str(version)
    folder.mkdir(parents=True)
    (folder / file.path).write_bytes(b"")
    Manifest(
        name=name,
        version=version,
        architecture="none",
        variant=dict(variant or {}),
        parameters=0,
        macs_480x640=0,
        minimum_size=32,
        head="bounded",
        files={"fp32": file},
        training=Training("none", (DataSource("none", "none", "none"),)),
        quality=Quality("none", "cddfuse", {}),
        checkpoint_sha256="0" * 64,
        git_commit="0" * 40,
    ).write(folder)


class NoEngine(Engine):
    """Returns the visible picture, after a time that a call costs and a time that a pair costs.

    Only one call runs at a time, as on a device; the wait takes no processor.
    """

    def __init__(self, per_call: float = 0.0, per_pair: float = 0.0, device: str = "cpu") -> None:
        self._per_call = per_call
        self._per_pair = per_pair
        self._device = device
        self._busy = threading.Lock()

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """vis, uint8 [B,H,W,3]."""
        seconds = self._per_call + self._per_pair * len(vis)
        if seconds:
            with self._busy:
                time.sleep(seconds)
        return vis

    def describe(self) -> EngineDescription:
        """Nothing that was loaded."""
        return EngineDescription("none", 1, "none", "", self._device, "none", "none", 1, 32)

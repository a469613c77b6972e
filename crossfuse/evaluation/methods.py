"""What can be scored: simple rules, folders of fused pictures, models, servers, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.evaluation.scenes import Scene
from crossfuse.images import IrMapping, PictureFolder, Pixels, read_visible
from crossfuse.metrics import BASELINES


@dataclass(frozen=True, eq=False)
class Method:
    """One row of a report."""

    name: str
    kind: str
    """baseline, folder, model, server or checkpoint."""
    source: str
    """Where its pictures come from, in words."""
    fuse: Callable[[Scene], NDArray[np.uint8]]
    """The fused picture of a scene, uint8 HxW grey or HxWx3 RGB."""
    stems: frozenset[str] | None = None
    """The pictures it has, where they are files."""

    @property
    def is_baseline(self) -> bool:
        """Whether it is one of the simple rules that every report has."""
        return self.kind == "baseline"


class FusesPairs(Protocol):
    """What a `Fuser` and a `FusionClient` have in common."""

    def fuse(
        self,
        ir: Pixels,
        vis: NDArray[np.uint8],
        *,
        ir_mapping: str | IrMapping,
        ir_polarity: str,
    ) -> NDArray[np.uint8]: ...


def baseline_methods() -> list[Method]:
    """The rows that stand beside every method."""

    def method(name: str) -> Method:
        return Method(
            name, "baseline", "a fixed rule", lambda scene: BASELINES[name](scene.ir, scene.vis)
        )

    return [method(name) for name in BASELINES]


def folder_method(name: str, path: Path, *, max_pixels: int) -> Method:
    """Fused pictures that somebody wrote, by the stem of the scene."""
    folder = PictureFolder(f"--fused {name}", path)

    def read(scene: Scene) -> NDArray[np.uint8]:
        return read_visible(folder.find(scene.stem), max_pixels=max_pixels)

    return Method(name, "folder", str(path), read, folder.stems)


def live_method(
    name: str, kind: str, source: str, fuser: FusesPairs, *, mapping: IrMapping, polarity: str
) -> Method:
    """A model in this process or behind a server, given the pictures as the files hold them."""

    def fuse(scene: Scene) -> NDArray[np.uint8]:
        return fuser.fuse(scene.ir_pixels, scene.vis, ir_mapping=mapping, ir_polarity=polarity)

    return Method(name, kind, source, fuse)


def check_names(methods: Sequence[Method]) -> None:
    """Refuse names that a report could not tell apart."""
    seen: dict[str, Method] = {}
    for method in methods:
        if method.name in BASELINES and not method.is_baseline:
            raise InvalidInput(
                "method name",
                f"{method.name!r} for {method.source}",
                "a name of your own (name=...); every report has that row already",
            )
        if method.name in seen:
            raise InvalidInput(
                "method name",
                f"{method.name!r} for {seen[method.name].source} and for {method.source}",
                "a name of its own for each (name=...)",
            )
        seen[method.name] = method

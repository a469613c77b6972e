"""What the reader of a guide already has: pictures, recordings, the checkout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from crossfuse.synthetic import Scene

# Where the infrared camera of the made-up rig looks, beside the visible one: turned a little, and
# with a wider lens and fewer pixels. From positions of the visible picture to its own.
INFRARED_VIEW = np.array([[0.64, -0.01, 45.0], [0.005, 0.635, 33.0], [0.0, 0.0, 1.0]])
INFRARED_SIZE = 512, 384
FRAMES = 100
FPS = 25.0
PAIRS = 20


def prepare(root: Path, folder: Path, names: list[str]) -> None:
    """Put what a page names into the folder where its commands run."""
    for name in names:
        MAKERS[name](root, folder)


def _pair(root: Path, folder: Path) -> None:
    """ir.png and vis.png"""
    for name in ("ir.png", "vis.png"):
        shutil.copy(root / "crossfuse" / "assets" / "sample" / name, folder)


def _folders(root: Path, folder: Path) -> None:
    """pairs/ir and pairs/vis, with pictures of the same names"""
    for index in range(PAIRS):
        ir, vis = Scene(index, 192, 256).frame(0.0)
        for kind, picture in (("ir", ir), ("vis", vis[..., ::-1])):
            path = folder / "pairs" / kind / f"{index:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture)


def _recordings(root: Path, folder: Path) -> None:
    """ir.mp4 and vis.mp4, of two cameras that do not line up"""
    scene = Scene(7, 480, 640)
    code = cv2.VideoWriter.fourcc(*"mp4v")
    infrared = cv2.VideoWriter(str(folder / "ir.mp4"), code, FPS, INFRARED_SIZE)
    visible = cv2.VideoWriter(str(folder / "vis.mp4"), code, FPS, (640, 480))
    for index in range(FRAMES):
        ir, vis = scene.frame(index / FPS)
        seen = cv2.warpPerspective(ir, INFRARED_VIEW, INFRARED_SIZE)
        infrared.write(cv2.cvtColor(seen, cv2.COLOR_GRAY2BGR))
        visible.write(np.ascontiguousarray(vis[..., ::-1]))
    infrared.release()
    visible.release()


def _checkout(root: Path, folder: Path) -> None:
    """The repository's folders; what commands write stays out of them"""
    for name in ("training", "examples", "benchmarks", "deploy", "docs"):
        (folder / name).symlink_to(root / name)
    for name in ("crossfuse-base", "crossfuse-rt"):
        (folder / "models").mkdir(exist_ok=True)
        (folder / "models" / name).symlink_to(root / "models" / name)


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "pair": _pair,
    "folders": _folders,
    "recordings": _recordings,
    "checkout": _checkout,
}

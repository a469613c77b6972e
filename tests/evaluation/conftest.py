"""Small folders of pictures to evaluate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.evaluation import Method, PictureFolder, SceneReader, folder_method

STEMS = ("a", "b", "c")


def _picture(seed: int, channels: int) -> NDArray[np.uint8]:
    """Smooth shapes and some noise, uint8 40x48 with 1 or 3 channels."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (6, 7, channels)).astype(np.float32)
    smooth = cv2.resize(coarse, (48, 40), interpolation=cv2.INTER_CUBIC).reshape(40, 48, channels)
    noisy = smooth + random.normal(0, 4, smooth.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8).squeeze()


@pytest.fixture(scope="session")
def write_pictures() -> Callable[[Path], Path]:
    """Fills a folder with `ir`, `vis` (colour), and the fused folders `first` and `second`."""

    def write(folder: Path) -> Path:
        for number, stem in enumerate(STEMS):
            ir, vis = _picture(2 * number, 1), _picture(2 * number + 1, 3)
            grey = cv2.cvtColor(vis, cv2.COLOR_BGR2GRAY)
            fused = {
                "ir": ir,
                "vis": vis,
                "first": np.maximum(ir[..., None], vis),
                "second": (0.7 * ir + 0.3 * grey).astype(np.uint8),
            }
            for kind, pixels in fused.items():
                (folder / kind).mkdir(exist_ok=True)
                cv2.imwrite(str(folder / kind / f"{stem}.png"), pixels)
        return folder

    return write


@pytest.fixture
def pictures(tmp_path: Path, write_pictures: Callable[[Path], Path]) -> Path:
    """Such a folder."""
    return write_pictures(tmp_path)


@pytest.fixture(scope="session")
def reader_of() -> Callable[[Path], SceneReader]:
    """The sources in such a folder."""

    def build(folder: Path) -> SceneReader:
        return SceneReader(
            PictureFolder("--ir", folder / "ir"), PictureFolder("--vis", folder / "vis")
        )

    return build


@pytest.fixture
def reader(pictures: Path, reader_of: Callable[[Path], SceneReader]) -> SceneReader:
    """The sources."""
    return reader_of(pictures)


@pytest.fixture(scope="session")
def methods_of() -> Callable[..., list[Method]]:
    """Methods that are folders beside the sources, by their names."""

    def build(folder: Path, *names: str) -> list[Method]:
        return [folder_method(name, folder / name, max_pixels=10_000) for name in names]

    return build

"""Pairs of known pictures, written wherever a layout wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossfuse.images import encode, write_file
from crossfuse_training.data import Data, DataConfig, DataSet, open_data

HEIGHT, WIDTH = 40, 56
WritePair = Callable[..., None]


@pytest.fixture
def write_pair() -> WritePair:
    """Writes an infrared picture of noise around `level`, and a coloured visible one."""

    def write(
        ir: Path, vis: Path, level: int = 100, size: tuple[int, int] = (HEIGHT, WIDTH)
    ) -> None:
        generator = np.random.default_rng(level)
        noise = generator.integers(-20, 21, size)
        pictures = (noise + level, generator.integers(0, 256, (*size, 3)))
        for path, picture in zip((ir, vis), pictures, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            encoding = "jpeg" if path.suffix == ".jpg" else "png"
            write_file(path, encode(picture.astype(np.uint8), encoding))

    return write


@pytest.fixture
def root(tmp_path: Path, write_pair: WritePair) -> Path:
    """A data root with the set `town`: 20 pairs, ten of the day and ten of the night."""
    for index in range(20):
        name = f"{index:05d}{'DN'[index % 2]}.png"
        write_pair(tmp_path / "town/ir" / name, tmp_path / "town/vis" / name, 30 + 10 * index)
    return tmp_path


@pytest.fixture
def open_town(root: Path) -> Callable[..., Data]:
    """Opens `town`, with changes to DataConfig or to how it is opened."""

    def run(
        skip_bad: bool = False, teacher: Path | None = None, seed: int = 1, **config: object
    ) -> Data:
        sets = (DataSet("town", "made here"),)
        made = DataConfig(sets, **config)  # type: ignore[arg-type]
        return open_data(made, root, skip_bad=skip_bad, teacher=teacher, seed=seed)

    return run

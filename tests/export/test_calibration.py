"""The pictures that int8 ranges come from: whose they are, and that held-out ones are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.errors import InvalidInput
from crossfuse_export.calibration import PAIRS, calibration


def write_pairs(folder: Path, count: int, *, vis_size: tuple[int, int] = (40, 48)) -> Path:
    for kind, size in (("ir", (40, 48)), ("vis", (*vis_size, 3))):
        (folder / kind).mkdir(parents=True)
        for index in range(count):
            picture = np.full(size, index, np.uint8)
            assert cv2.imwrite(str(folder / kind / f"{index:03}.png"), picture)
    return folder


def test_a_folder_without_its_held_out_pairs(tmp_path: Path) -> None:
    chosen = calibration([write_pairs(tmp_path / "night", 20)], None)
    assert chosen.description == "18 training pairs of night"
    pairs = list(chosen)
    assert len(pairs) == 18
    assert {int(ir[0, 0]) for ir, _ in pairs} == set(range(20)) - {9, 19}
    assert all((ir.shape, vis.shape) == ((40, 48), (40, 48, 3)) for ir, vis in pairs)


def test_many_pairs_are_thinned_evenly(tmp_path: Path) -> None:
    chosen = calibration([write_pairs(tmp_path / "night", 100)], None)
    stems = [int(files.stem) for files in chosen.files]
    assert len(stems) == PAIRS
    assert (stems[0], stems[-1]) == (0, 98)
    assert max(np.diff(stems)) <= 6


def test_the_data_sets_are_the_default(tmp_path: Path) -> None:
    for name in ("msrs", "roadscene", "tno_golden"):
        write_pairs(tmp_path / name, 3)
    assert calibration([], tmp_path).description == "6 training pairs of msrs, roadscene"


def test_synthetic_scenes_where_there_are_none(tmp_path: Path) -> None:
    chosen = calibration([], tmp_path)
    assert chosen.description == "24 synthetic scenes at 480x640"
    ir, vis = next(iter(chosen))
    assert (ir.shape, vis.shape) == ((480, 640), (480, 640, 3))


def test_pictures_of_two_sizes_are_refused(tmp_path: Path) -> None:
    chosen = calibration([write_pairs(tmp_path / "odd", 1, vis_size=(41, 48))], None)
    with pytest.raises(InvalidInput, match=r"vis of 000: got shape \(41, 48, 3\)"):
        list(chosen)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="got no folder"):
        calibration([tmp_path / "nowhere"], None)

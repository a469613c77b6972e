"""The real data sets open, without a bad pair and with the splits their README asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfuse_training.data import (
    AugmentConfig,
    Batches,
    CurriculumConfig,
    DataConfig,
    DataSet,
    open_data,
)

pytestmark = pytest.mark.data


def test_msrs_and_roadscene(data_dir: Path) -> None:
    sets = (DataSet("msrs", "cite PIAFusion"), DataSet("roadscene", "cite FusionDN"))
    data = open_data(DataConfig(sets, subset=100, cache_megabytes=64), data_dir, seed=1)
    assert [(entry.set, entry.split, entry.pairs) for entry in data.summary()] == [
        ("msrs", "train", 62),
        ("msrs", "held-out", 30),
        ("roadscene", "train", 38),
        ("roadscene", "held-out", 18),
    ]
    by_night = sum(pair.group == "N" for pair in data.train)
    assert sum(pair.group == "D" for pair in data.train) == 62 - by_night
    assert by_night == 31
    batches = Batches(data, AugmentConfig(crop=144), CurriculumConfig(), seed=1, batch=4, steps=2)
    for batch in batches.iterate():
        assert batch.ir.shape == (4, 1, 144, 144)


def test_frames_of_m3svd(data_dir: Path) -> None:
    frames = DataSet("m3svd_frames", "MIT", layout="clips")
    data = open_data(DataConfig((frames,)), data_dir, seed=1)
    assert len(data.train) == 40
    assert len(data.held_out) == 20
    assert len({pair.group for pair in data.held_out}) == 1


def test_tno_is_held_out_only(data_dir: Path) -> None:
    tno = DataSet("tno_golden", "cite Toet", hold_out="all")
    scenes = DataSet("scenes", "made here", layout="synthetic", count=1)
    data = open_data(DataConfig((tno, scenes)), data_dir, seed=1)
    assert [pair.stem for pair in data.held_out] == ["1", "12", "19", "5"]
    assert [pair.set for pair in data.train] == ["scenes"]

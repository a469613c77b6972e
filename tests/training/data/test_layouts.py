"""Every layout is found by its names, and no path is ever in both modalities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.data import Data, DataConfig, DataSet, PairFiles, open_data
from crossfuse_training.data.sources import FileSource

WritePair = Callable[..., None]


def opened(root: Path, **source: object) -> Data:
    """The data of one set called `set`."""
    chosen = DataSet("set", "made here", **source)  # type: ignore[arg-type]
    return open_data(DataConfig((chosen,)), root, seed=0)


def everything(data: Data) -> dict[str, PairFiles]:
    """All pairs by stem; each one's pictures lie where its modality says."""
    pairs = {pair.stem: pair for pair in (*data.train, *data.held_out)}
    assert len(pairs) == len(data.train) + len(data.held_out)
    used: list[Path] = []
    for pair in pairs.values():
        assert isinstance(pair.source, FileSource)
        used += [pair.source.ir, pair.source.vis]
    assert len(set(used)) == len(used)
    return pairs


@pytest.mark.parametrize(
    ("ir", "vis", "layout", "stems", "groups"),
    [
        ("set/ir/{}.png", "set/vis/{}.png", "folders", ["a", "b"], [""]),
        ("set/IR/{}.png", "set/VIS/{}.jpg", "folders", ["a", "b"], [""]),
        ("set/Ir/{}.png", "set/Vis/{}.png", "folders", ["a", "b"], [""]),
        ("set/infrared/{}.jpg", "set/visible/{}.jpg", "folders", ["a", "b"], [""]),
        (
            "set/infrared/train/{}.jpg",
            "set/visible/train/{}.jpg",
            "folders",
            ["train/a", "train/b"],
            ["train"],
        ),
        (
            "set/set00/V000/lwir/{}.jpg",
            "set/set00/V000/visible/{}.jpg",
            "nested",
            ["set00/V000/a", "set00/V000/b"],
            ["set00/V000"],
        ),
        ("set/train/ir/{}.png", "set/train/vi/{}.png", "nested", ["train/a", "train/b"], ["train"]),
        ("set/clip/ir/{}.png", "set/clip/vis/{}.png", "clips", ["clip/a", "clip/b"], ["clip"]),
    ],
)
def test_folders_of_each_data_set(
    tmp_path: Path,
    write_pair: WritePair,
    ir: str,
    vis: str,
    layout: str,
    stems: list[str],
    groups: list[str],
) -> None:
    for name in ("a", "b"):
        write_pair(tmp_path / ir.format(name), tmp_path / vis.format(name))
    write_pair(tmp_path / "set/labels/a.png", tmp_path / "set/labels/b.png")
    pairs = everything(opened(tmp_path, layout=layout, hold_out="none"))
    assert sorted(pairs) == stems
    assert sorted({pair.group for pair in pairs.values()}) == groups
    for pair in pairs.values():
        assert isinstance(pair.source, FileSource)
        assert pair.source.ir == tmp_path / ir.format(pair.stem[-1])
        assert pair.source.vis == tmp_path / vis.format(pair.stem[-1])
        assert (pair.height, pair.width) == (40, 56)


def test_names_of_the_other_modality_inside_a_folder_change_nothing(
    tmp_path: Path, write_pair: WritePair
) -> None:
    """A visible folder below an infrared one, and files called by the other modality."""
    for name in ("visible_1", "lwir_2"):
        write_pair(tmp_path / f"set/ir/vis/{name}.png", tmp_path / f"set/vis/vis/{name}.png")
    pairs = everything(opened(tmp_path, hold_out="none"))
    assert sorted(pairs) == ["vis/lwir_2", "vis/visible_1"]


@pytest.mark.parametrize(
    ("ir", "vis"),
    [("set/IR{}.png", "set/VIS{}.png"), ("set/ir/IR_{}.png", "set/vis/VIS_{}.png")],
)
def test_tno_is_found_but_never_trained_on(
    tmp_path: Path, write_pair: WritePair, ir: str, vis: str
) -> None:
    for name in ("1", "2", "visitors"):
        write_pair(tmp_path / ir.format(name), tmp_path / vis.format(name))
    write_pair(tmp_path / "other/ir/1.png", tmp_path / "other/vis/1.png")
    tno = DataSet("set", "cite Toet", layout="tno", hold_out="all")
    other = DataSet("other", "made here")
    data = open_data(DataConfig((tno, other)), tmp_path, seed=0)
    assert [pair.name for pair in data.train] == ["other/1"]
    assert [pair.name for pair in data.held_out] == ["set/1", "set/2", "set/visitors"]
    for layout, path in (("tno", "set"), ("folders", "tno_golden"), ("folders", "TNO")):
        with pytest.raises(InvalidInput, match="never trained on"):
            DataSet("set", "cite Toet", layout, path)


def test_one_part_of_a_set(tmp_path: Path, write_pair: WritePair) -> None:
    for part in ("train", "test"):
        write_pair(
            tmp_path / f"set/infrared/{part}/010001.png",
            tmp_path / f"set/visible/{part}/010001.png",
        )
    pairs = everything(opened(tmp_path, part="train", sequence=r"^(\d\d)\d{4}$"))
    assert {stem: pair.group for stem, pair in pairs.items()} == {"train/010001": "train/01"}


def test_folders_of_other_names_are_given(tmp_path: Path, write_pair: WritePair) -> None:
    write_pair(tmp_path / "set/cropinfrared/a.jpg", tmp_path / "set/crop_visible/a.jpg")
    with pytest.raises(InvalidInput, match=r"no infrared pictures in .*set; valid: .*ir_folder"):
        opened(tmp_path)
    pairs = everything(opened(tmp_path, ir_folder="cropinfrared", vis_folder="crop_visible"))
    assert list(pairs) == ["a"]


def write_video(path: Path, frames: int, rate: float = 25.0) -> None:
    """A video whose frame n is of one grey, 50 + 8 * n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 50 + 8 * index, np.uint8))
    writer.release()


def test_frames_of_videos(tmp_path: Path) -> None:
    for kind in ("ir", "vis"):
        write_video(tmp_path / "set" / kind / "clip.mp4", 20)
    data = opened(tmp_path, layout="video", every=2)
    assert sorted(pair.stem for pair in data.train) == [f"clip/{n:06d}" for n in range(0, 18, 2)]
    assert [pair.stem for pair in data.held_out] == ["clip/000018"]
    for pair in data.train:
        frame = int(pair.stem[-6:])
        pictures = pair.source.read()  # in shuffled order, so by seeking
        assert pictures.ir.shape == (48, 64)
        assert abs(float(pictures.ir.mean()) - 50 - 8 * frame) < 4
        assert pictures.vis.shape == (48, 64, 3)
        assert pictures.sha256 == pair.sha256


@pytest.mark.parametrize(
    ("frames", "rate", "message"),
    [(10, 25.0, "10 frames at 25 fps, while ir has 12"), (12, 30.0, "12 frames at 30 fps, while")],
)
def test_videos_that_do_not_run_together(
    tmp_path: Path, frames: int, rate: float, message: str
) -> None:
    write_video(tmp_path / "set/ir/clip.mp4", 12)
    write_video(tmp_path / "set/vis/clip.mp4", frames, rate)
    with pytest.raises(InvalidInput, match=message):
        opened(tmp_path, layout="video")


def test_synthetic_scenes_need_no_root() -> None:
    scenes = DataSet("scenes", "made here", layout="synthetic", count=10, height=48, width=64)
    data = open_data(DataConfig((scenes,)), None, seed=0)
    assert [pair.stem for pair in data.held_out] == ["00009"]
    assert {pair.group for pair in data.train} == {"D", "N"}
    assert len({pair.sha256 for pair in data.train}) == 9
    assert data.read(data.train[0]).ir.shape == (48, 64)


def test_scenes_stand_in_only_where_no_root_is_given(root: Path) -> None:
    scenes = DataSet("scenes", "made here", layout="synthetic", count=3, height=48, width=64)
    config = DataConfig((DataSet("town", "made here"),), without_root=(scenes,))
    for given, name in ((None, "scenes"), (root, "town")):
        data = open_data(config, given, seed=0)
        assert {pair.set for pair in data.train} == {name}
        assert [source.name for source in data.sets] == [name]


def test_a_set_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"data set set: got no folder .*set"):
        opened(tmp_path)

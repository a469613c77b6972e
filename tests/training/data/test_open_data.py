"""Bad pairs are found before training; splits and subsets are exact and the same every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.errors import CrossFuseError, InvalidInput
from crossfuse.images import encode, write_file
from crossfuse_training.data import (
    CurriculumConfig,
    CurriculumStage,
    Data,
    DataConfig,
    DataSet,
    open_data,
)

Open = Callable[..., Data]


def remove_partner(root: Path) -> None:
    (root / "town/vis/00003N.png").unlink()


def another_size(root: Path) -> None:
    write_file(root / "town/vis/00003N.png", encode(np.full((56, 40), 9, np.uint8)))


def truncate(root: Path) -> None:
    path = root / "town/ir/00003N.png"
    path.write_bytes(path.read_bytes()[:-200])


def no_picture(root: Path) -> None:
    (root / "town/ir/00003N.png").write_text("not a picture")


def sixteen_bits(root: Path) -> None:
    picture = np.arange(40 * 56, dtype=np.uint16).reshape(40, 56)
    assert cv2.imwrite(str(root / "town/ir/00003N.png"), picture)


def unit_range(root: Path) -> None:
    write_file(root / "town/ir/00003N.png", encode(np.ones((40, 56), np.uint8)))


def same_file(root: Path) -> None:
    path = root / "town/ir/00003N.png"
    path.unlink()
    path.symlink_to(root / "town/vis/00003N.png")


def two_of_one_stem(root: Path) -> None:
    path = root / "town/ir/00003N.png"
    path.with_suffix(".jpg").write_bytes(path.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_partner, "no visible partner"),
        (another_size, "40x56; valid: 56x40"),
        (truncate, "truncated"),
        (no_picture, "00003N"),
        (sixteen_bits, "16"),
        (unit_range, "another scale"),
        (same_file, "a file of its own"),
        (two_of_one_stem, "the same stem as"),
    ],
)
def test_one_bad_pair_of_twenty_is_found(
    root: Path, open_town: Open, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(root)
    with pytest.raises(InvalidInput, match=f"1 that cannot be used beside 19 good .*{message}"):
        open_town()
    data = open_town(skip_bad=True)
    assert [message in item.reason for item in data.rejected if "00003N" in item.file] == [True]
    assert len(data.rejected) == 1
    assert len(data.train) + len(data.held_out) == 19


def test_many_bad_pairs_are_counted(root: Path, open_town: Open) -> None:
    for index in range(0, 20, 2):
        (root / f"town/ir/{index:05d}D.png").unlink()
    with pytest.raises(InvalidInput, match=r"data: got 10 that .*00008D.*; and 5 more; valid"):
        open_town()


def test_16_bit_infrared_by_a_declared_rule(root: Path) -> None:
    sixteen_bits(root)
    town = DataSet("town", "made here", ir_mapping="linear:0:2239")
    data = open_data(DataConfig((town,)), root, seed=0)
    files = next(pair for pair in data.train if pair.stem == "00003N")
    ir = data.read(files).ir
    assert ir.dtype == np.uint8
    assert (ir[0, 0], ir[-1, -1]) == (0, 255)


def test_every_tenth_stem_is_held_out(open_town: Open) -> None:
    data = open_town()
    assert [pair.stem for pair in data.held_out] == ["00009N", "00019N"]
    assert len(data.train) == 18
    assert [pair.stem for pair in map(data.read, data.held_out)] == ["00009N", "00019N"]


def test_sequences_are_held_out_whole(tmp_path: Path, write_pair: Callable[..., None]) -> None:
    for clip in ("a", "b", "c"):
        for frame in range(4):
            place = tmp_path / "set" / clip
            write_pair(place / f"ir/{frame}.png", place / f"vis/{frame}.png")
    clips = DataSet("set", "made here", layout="clips")
    data = open_data(DataConfig((clips,)), tmp_path, seed=0)
    assert [pair.stem for pair in data.held_out] == ["c/0", "c/1", "c/2", "c/3"]
    data = open_data(DataConfig((clips,), held_out_every=2), tmp_path, seed=0)
    assert {pair.stem[0] for pair in data.held_out} == {"b"}


def test_a_subset_counts_exactly_and_holds_every_group_in_its_share(open_town: Open) -> None:
    for size in range(1, 19):
        chosen = open_town(subset=size).train
        assert len(chosen) == size
        by_day = sum(pair.group == "D" for pair in chosen)
        assert abs(by_day - size * 10 / 18) <= 1
    with pytest.raises(InvalidInput, match=r"data\.subset: got 19; valid: at most 18"):
        open_town(subset=19)


def test_subsets_are_nested_and_depend_on_the_seed_alone(open_town: Open) -> None:
    small, large, again, other = (
        [pair.stem for pair in open_town(subset=size, seed=seed).train]
        for size, seed in ((6, 1), (12, 1), (12, 1), (12, 2))
    )
    assert large == again
    assert large[:6] == small
    assert large != other


def test_luma_is_full_range_bt601(root: Path, open_town: Open) -> None:
    green = np.zeros((40, 56, 3), np.uint8)
    green[..., 1] = 255
    write_file(root / "town/vis/00000D.png", encode(green))
    data = open_town()
    files = next(pair for pair in data.train if pair.stem == "00000D")
    assert np.unique(data.read(files).luma).tolist() == [150]


def test_listing_and_summary_say_which_pictures_were_used(root: Path, open_town: Open) -> None:
    data = open_town()
    listing = data.listing()
    assert len(listing) == 20
    assert [(entry.split, entry.pairs) for entry in data.summary()] == [
        ("train", 18),
        ("held-out", 2),
    ]
    assert data.summary() == open_town(seed=5).summary()
    write_file(root / "town/ir/00000D.png", encode(np.full((40, 56), 7, np.uint8)))
    changed = open_town()
    assert [
        one.stem for one, two in zip(listing, changed.listing(), strict=True) if one != two
    ] == ["00000D"]
    assert changed.summary()[0].sha256 != data.summary()[0].sha256
    assert changed.summary()[1] == data.summary()[1]


def test_teacher_pictures_are_found_and_checked(root: Path, open_town: Open) -> None:
    fused = np.full((40, 56, 3), 77, np.uint8)
    for path in sorted((root / "town/ir").iterdir()):
        (root / "fused").mkdir(exist_ok=True)
        write_file(root / "fused" / path.name, encode(fused))
    for cache_megabytes in (0, 64):
        data = open_town(teacher=root / "fused", cache_megabytes=cache_megabytes)
        pair = data.read(data.train[0])
        assert pair.teacher is not None
        assert np.unique(pair.teacher).tolist() == [77]
    write_file(root / "fused/00001N.png", encode(fused.transpose(1, 0, 2)))
    (root / "fused/00002D.png").unlink()
    with pytest.raises(InvalidInput, match=r"2 that .*40x56; valid.*no picture 00002D"):
        open_town(teacher=root / "fused")
    with pytest.raises(
        InvalidInput, match=r"distill\.teacher: got no folder .*; valid: a checkpoint, or"
    ):
        open_town(teacher=root / "nowhere")


def test_the_cache_is_bounded_and_changes_no_picture(open_town: Open) -> None:
    data, without = open_town(), open_town(cache_megabytes=0)
    assert data.cache.nbytes == 20 * 3 * 40 * 56
    for files in data.train:
        kept, read = data.read(files), without.read(files)
        assert data.read(files) is kept
        for one, two in ((kept.ir, read.ir), (kept.luma, read.luma)):
            assert np.array_equal(one, two)
        assert np.array_equal(kept.background, read.background)
    assert without.cache.nbytes == 0


def test_a_picture_that_changed_since_the_start(root: Path, open_town: Open) -> None:
    data = open_town(cache_megabytes=0)
    files = data.train[0]
    write_file(root / f"town/ir/{files.stem}.png", encode(np.full((40, 56), 7, np.uint8)))
    with pytest.raises(InvalidInput, match=f"town/{files.stem}: got other pictures"):
        data.read(files)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataConfig(()), r"data\.sets: got no data set"),
        (lambda: DataSet("a", "b", layout="folder"), "did you mean 'folders'"),
        (lambda: DataSet("a", "b", hold_out="stem"), "did you mean 'stems'"),
        (lambda: DataSet("a", "b", layout="synthetic"), r"count: got 0 with layout synthetic"),
        (lambda: DataSet("a", "b", count=3), r"count: got 3 with layout folders"),
        (lambda: DataSet("a", "b", sequence="("), r"sequence: got '\('"),
        (lambda: DataSet("a", "b", sequence="a"), "a pattern with a group"),
        (lambda: DataSet("a", "b", ir_mapping="lin"), r"ir_mapping: got 'lin'"),
        (lambda: DataSet("a/b", "c"), "a name without slash"),
        (lambda: DataConfig((DataSet("a", "b"), DataSet("a", "c"))), "a twice"),
        (lambda: DataConfig((DataSet("a", "b"),), subset=0), r"subset: got 0"),
        (lambda: DataConfig((DataSet("a", "b"),), held_out_every=1), "2 or more"),
        (
            lambda: DataConfig((DataSet("a", "b"),), without_root=(DataSet("a", "b"),)),
            "sets of layout synthetic",
        ),
        (lambda: CurriculumStage(0.0), "above 0, up to 1"),
        (lambda: CurriculumConfig((CurriculumStage(0.5),)), "the last 1"),
        (
            lambda: CurriculumConfig((CurriculumStage(1.0), CurriculumStage(0.5))),
            "rising shares",
        ),
    ],
)
def test_contradictory_values_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(CrossFuseError, match=message):
        make()

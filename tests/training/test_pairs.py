"""Pairs for training: found completely or refused, split, and cut alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossfuse.errors import InvalidInput
from crossfuse.images import encode, write_file
from crossfuse_training.pairs import Pair, find_pairs, random_batch, read_pair, split


def cut(pairs: list[Pair], **changes: object) -> tuple[np.ndarray, ...]:
    numbers = {"batch": 4, "crop": 32, "misalign_share": 0.0, "misalign_pixels": 2} | changes
    batch = random_batch(pairs, np.random.default_rng(5), **numbers)  # type: ignore[arg-type]
    return tuple(tensor.numpy() for tensor in batch)


def test_pairs_are_found_by_stem_and_split(pair_folder: Path) -> None:
    pairs = find_pairs(pair_folder / "night")
    training, held_out = split(pairs)
    assert [pair.stem for pair in pairs] == [f"{index:02d}" for index in range(20)]
    assert [pair.stem for pair in held_out] == ["09", "19"]
    assert len(training) == 18
    assert not {pair.stem for pair in training} & {"09", "19"}


def test_a_missing_partner_is_listed(pair_folder: Path) -> None:
    for stem in ("03", "07"):
        (pair_folder / "night" / "vis" / f"{stem}.png").unlink()
    with pytest.raises(InvalidInput, match=r"vis: got no partner for 03, 07"):
        find_pairs(pair_folder / "night")


def test_many_missing_partners_are_counted(pair_folder: Path) -> None:
    for index in range(9):
        (pair_folder / "night" / "ir" / f"{index:02d}.png").unlink()
    with pytest.raises(InvalidInput, match=r"ir: got no partner for 00, .*04 and 4 more"):
        find_pairs(pair_folder / "night")


def test_two_pictures_with_one_stem(pair_folder: Path) -> None:
    folder = pair_folder / "night" / "ir"
    (folder / "05.jpg").write_bytes((folder / "05.png").read_bytes())
    with pytest.raises(InvalidInput, match=r"05\.jpg and 05\.png"):
        find_pairs(pair_folder / "night")


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such folder"):
        find_pairs(tmp_path)
    for kind in ("ir", "vis"):
        (tmp_path / kind).mkdir()
    (tmp_path / "ir" / "notes.txt").write_text("no picture")
    with pytest.raises(InvalidInput, match="no pictures"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((48, 40), np.uint8), "48x56|56x48"),
        (np.zeros((48, 56), np.uint16), "an 8-bit picture"),
    ],
)
def test_pictures_that_do_not_fit(pair_folder: Path, image: np.ndarray, message: str) -> None:
    files = find_pairs(pair_folder / "night")[0]
    if image.dtype == np.uint8:
        write_file(files.ir, encode(image, "png"))
    else:
        import cv2

        cv2.imwrite(str(files.ir), image)
    with pytest.raises(InvalidInput, match=message):
        read_pair(files)


def test_luma_is_full_range_bt601(pair_folder: Path) -> None:
    files = find_pairs(pair_folder / "night")[0]
    green = np.zeros((48, 56, 3), np.uint8)
    green[..., 1] = 255
    write_file(files.vis, encode(green, "png"))
    assert np.unique(read_pair(files).luma).tolist() == [150]


def test_cuts_of_both_pictures_are_of_the_same_place(pair_folder: Path) -> None:
    """With a visible picture that equals the infrared, aligned cuts are equal."""
    pairs = [read_pair(files) for files in find_pairs(pair_folder / "night")]
    twins = [Pair(pair.stem, pair.luma, pair.luma, pair.background) for pair in pairs]
    ir, luma, background = cut(twins)
    assert ir.shape == luma.shape == background.shape
    assert ir.shape[:2] == (4, 1)
    assert all(32 <= side <= 35 for side in ir.shape[2:])
    assert np.array_equal(ir, luma)
    shifted, luma, _ = cut(twins, misalign_share=1.0)
    assert not np.array_equal(shifted, luma)


def test_cuts_larger_than_a_picture(pair_folder: Path) -> None:
    pairs = [read_pair(files) for files in find_pairs(pair_folder / "night")]
    with pytest.raises(InvalidInput, match="crop: got 64; valid: at most 45"):
        cut(pairs, crop=64)

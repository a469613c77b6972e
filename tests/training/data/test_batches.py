"""Batches: a pure function of seed, step and row; made in a thread that never outlives its use."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse.images import encode, write_file
from crossfuse_training.data import (
    AugmentConfig,
    Batch,
    Batches,
    CurriculumConfig,
    CurriculumStage,
    Data,
    InfraredNoise,
    Misalign,
    Photometric,
)

FULL = AugmentConfig(
    crop=32,
    size_jitter=3,
    flip_horizontal=0.5,
    rotation=5,
    scale=0.1,
    photometric_ir=Photometric(0.5, 0.2, 10, 0.3),
    photometric_vis=Photometric(0.5, 0.2, 10, 0.3),
    infrared_noise=InfraredNoise(0.5, 4, 2),
    misalign=Misalign(0.5, 4, 2, 0.05, 2),
)


def batches(
    data: Data,
    augment: AugmentConfig = FULL,
    stages: tuple[CurriculumStage, ...] = (),
    **changes: int,
) -> Batches:
    numbers = {"seed": 1, "batch": 6, "steps": 12} | changes
    return Batches(data, augment, CurriculumConfig(stages), **numbers)


def tensors(batch: Batch) -> tuple[Tensor, ...]:
    return (batch.ir, batch.vis, batch.background, batch.aligned_ir)


def assert_equal(one: Batch, two: Batch) -> None:
    for first, second in zip(tensors(one), tensors(two), strict=True):
        assert torch.equal(first, second)


def running() -> int:
    return sum(thread.name == "crossfuse-batches" for thread in threading.enumerate())


@pytest.fixture
def data(open_town: Callable[..., Data]) -> Data:
    return open_town()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert running() == 0


def test_range_shape_and_kind(data: Data) -> None:
    sizes = set()
    for batch in batches(data).iterate():
        for tensor in tensors(batch):
            assert tensor.dtype == torch.float32
            assert tensor.shape == batch.ir.shape
            assert 0 <= tensor.min() <= tensor.max() <= 255
            assert tensor.max() > 2  # not the scale of 0 to 1
        assert batch.ir.shape[:2] == (6, 1)
        assert all(32 <= side <= 35 for side in batch.ir.shape[2:])
        assert batch.teacher is None
        sizes.add(batch.ir.shape[2:])
    assert len(sizes) > 4
    assert len({size[0] for size in sizes}) == 4


def test_the_same_seed_gives_the_same_batches_and_another_does_not(data: Data) -> None:
    one, two, other = (list(batches(data, seed=seed).iterate()) for seed in (3, 3, 4))
    for first, second in zip(one, two, strict=True):
        assert_equal(first, second)
    assert not any(
        first.ir.shape == second.ir.shape and torch.equal(first.ir, second.ir)
        for first, second in zip(one, other, strict=True)
    )


def test_resumed_batches_equal_the_uninterrupted_ones(data: Data) -> None:
    whole = list(batches(data).iterate())
    for start in (0, 5, 11, 12):
        rest = list(batches(data).iterate(start))
        assert len(rest) == 12 - start
        for first, second in zip(whole[start:], rest, strict=True):
            assert_equal(first, second)


def test_rows_of_two_processes_join_to_the_batch_of_one(data: Data) -> None:
    ranks = [batches(data).iterate(0, slice(first, first + 3)) for first in (0, 3)]
    for whole, one, two in zip(batches(data).iterate(), *ranks, strict=True):
        for all_rows, low, high in zip(tensors(whole), tensors(one), tensors(two), strict=True):
            assert torch.equal(all_rows, torch.cat([low, high]))


def test_the_cache_and_the_order_of_calls_change_nothing(
    data: Data, open_town: Callable[..., Data]
) -> None:
    forward, backward = batches(data), batches(open_town(cache_megabytes=0))
    made = [forward.make(step) for step in range(12)]
    for step in reversed(range(12)):
        assert_equal(made[step], backward.make(step))


def test_every_pair_comes_once_an_epoch(data: Data) -> None:
    """18 pairs in batches of 6: told apart by their mean infrared level."""
    levels = []
    for batch in batches(data, AugmentConfig(crop=32)).iterate():
        levels += [round(float(mean) / 10) for mean in batch.ir.mean((1, 2, 3))]
    for epoch in range(4):
        seen = Counter(levels[18 * epoch : 18 * (epoch + 1)])
        assert len(seen) == 18
    assert levels[:18] != levels[18:36]


def test_the_curriculum_changes_size_and_pairs_where_it_says(data: Data) -> None:
    stages = (
        CurriculumStage(0.25, crop=32, subset=3),
        CurriculumStage(0.5, crop=36, subset=9),
        CurriculumStage(1.0),
    )
    made = list(batches(data, AugmentConfig(crop=40), stages, batch=9).iterate())
    assert [batch.ir.shape[-1] for batch in made] == [32] * 3 + [36] * 3 + [40] * 6
    levels = [{round(float(mean) / 10) for mean in batch.ir.mean((1, 2, 3))} for batch in made]
    assert all(len(seen) == 3 for seen in levels[:3])
    assert all(len(seen) == 9 for seen in levels[3:])
    assert levels[0] < levels[3]
    assert levels[6] | levels[7] > levels[3]


def test_a_curriculum_that_does_not_fit(data: Data) -> None:
    for stage, message in (
        (CurriculumStage(1.0, crop=40), r"crop: got 40; valid: at most augment\.crop, 32"),
        (CurriculumStage(1.0, subset=19), r"subset: got 19; valid: 1 to 18"),
    ):
        with pytest.raises(InvalidInput, match=message):
            batches(data, stages=(stage,))


def test_cuts_that_some_pictures_are_too_small_for(data: Data) -> None:
    with pytest.raises(InvalidInput, match=r"got 41 with size_jitter.*40x56.*valid: at most 37"):
        batches(data, AugmentConfig(crop=38, size_jitter=3))


@pytest.mark.parametrize(
    ("numbers", "rows", "message"),
    [
        ({"batch": 0}, slice(None), "batch: got 0"),
        ({"seed": -1}, slice(None), "seed: got -1"),
        ({}, slice(6, 12), "rows: got slice"),
    ],
)
def test_numbers_that_give_no_batch(
    data: Data, numbers: dict[str, int], rows: slice, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        next(batches(data, FULL, (), **numbers).iterate(0, rows))


def test_teacher_pictures_are_cut_with_the_pair(root: Path, open_town: Callable[..., Data]) -> None:
    (root / "fused").mkdir()
    for path in sorted((root / "town/ir").iterdir()):
        (root / "fused" / path.name).write_bytes(path.read_bytes())
    data = open_town(teacher=root / "fused")
    still = AugmentConfig(crop=32, flip_horizontal=0.5, rotation=10, misalign=Misalign(1.0, 5))
    for batch in batches(data, still, steps=3).iterate():
        assert batch.teacher is not None
        assert torch.equal(batch.teacher, batch.aligned_ir)
        assert not torch.equal(batch.teacher, batch.ir)


def test_the_thread_ends_with_the_iterator(data: Data) -> None:
    list(batches(data).iterate())
    assert running() == 0
    broken_off = batches(data, steps=1000).iterate()
    list(islice(broken_off, 3))
    assert running() == 1
    broken_off.close()  # type: ignore[attr-defined]
    assert running() == 0
    for _ in batches(data, steps=1000).iterate():
        break
    gc.collect()
    assert running() == 0


def test_only_a_few_batches_are_made_ahead(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    waiting = threading.Event()
    source = batches(data, steps=100)
    real = source.make

    def counted(step: int, rows: slice = slice(None)) -> Batch:
        made.append(step)
        if len(made) == 6:
            waiting.set()
        return real(step, rows)

    monkeypatch.setattr(source, "make", counted)
    stream = source.iterate()
    next(stream)
    assert waiting.wait(30)
    waiting.clear()
    assert not waiting.wait(0.3)
    assert made == list(range(6))
    stream.close()  # type: ignore[attr-defined]


def test_an_error_in_the_thread_comes_to_the_user(
    root: Path, open_town: Callable[..., Data]
) -> None:
    data = open_town(cache_megabytes=0)
    write_file(root / f"town/ir/{data.train[0].stem}.png", encode(np.full((40, 56), 5, np.uint8)))
    with pytest.raises(InvalidInput, match=f"town/{data.train[0].stem}: got other pictures"):
        list(batches(data).iterate())
    assert running() == 0

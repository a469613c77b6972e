"""Many scenes in parallel: order, failures by picture, bounded reading, progress, means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import ImageError, UnknownName
from crossfuse.metrics import (
    ALL_METHODS,
    Pictures,
    SourcePair,
    evaluate_fused,
    evaluate_pair,
    score_pairs,
    summarize,
)

FAST = ["EN", "SCD"]


def picture(seed: int, shape: tuple[int, int] = (24, 32)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def load(image: str) -> Pictures:
    seed = 10 * int(image)
    return Pictures(
        picture(seed), picture(seed + 1), {"a": picture(seed + 2), "b": picture(seed + 3)}
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_scores_come_in_order_and_equal_those_of_single_pairs(workers: int) -> None:
    images = [str(n) for n in range(7)]
    results = list(score_pairs(images, load, names=FAST, workers=workers))
    assert [result.image for result in results] == images
    for result in results:
        pictures = load(result.image)
        for method, fused in pictures.fused.items():
            expected = evaluate_pair(pictures.ir, pictures.vis, fused, names=FAST)
            assert result.values[method] == expected
        assert result.failures == {}


def test_methods_scored_on_one_pair_do_not_disturb_each_other() -> None:
    pictures = load("3")
    pair = SourcePair(pictures.ir, pictures.vis)
    for _ in range(2):
        for fused in pictures.fused.values():
            alone = evaluate_pair(pictures.ir, pictures.vis, fused)
            assert evaluate_fused(pair, fused) == pytest.approx(alone, nan_ok=True, abs=0)


def test_a_scene_that_cannot_be_read_is_one_failure() -> None:
    def load_some(image: str) -> Pictures:
        if image == "1":
            raise ImageError("ir", "no such file", "a picture")
        return load(image)

    results = list(score_pairs(["0", "1", "2"], load_some, names=FAST, workers=1))
    assert [list(result.values) for result in results] == [["a", "b"], [], ["a", "b"]]
    assert results[1].failures == {ALL_METHODS: "ir: got no such file; valid: a picture"}


def test_sources_of_different_size_are_one_failure() -> None:
    def unequal(_: str) -> Pictures:
        return Pictures(picture(0), picture(1, (24, 30)), {"a": picture(2)})

    (result,) = score_pairs(["x"], unequal, names=FAST)
    assert result.values == {}
    assert "vis: got size 24x30" in result.failures[ALL_METHODS]


class LazyPictures(Mapping[str, NDArray[Any]]):
    """Two methods; the picture of one cannot be read."""

    def __getitem__(self, method: str) -> NDArray[Any]:
        if method == "broken":
            raise ImageError("fused", "a text file", "a picture")
        return picture(2, (24, 32) if method == "good" else (5, 5))

    def __iter__(self) -> Iterator[str]:
        return iter(["broken", "good", "small"])

    def __len__(self) -> int:
        return 3


def test_a_fused_picture_that_cannot_be_read_fails_its_method_alone() -> None:
    def lazily(_: str) -> Pictures:
        return Pictures(picture(0), picture(1), LazyPictures())

    (result,) = score_pairs(["x"], lazily, names=FAST)
    assert list(result.values) == ["good"]
    assert set(result.failures) == {"broken", "small"}
    assert "a text file" in result.failures["broken"]
    assert "fused: got size 5x5; valid: 24x32" in result.failures["small"]


def test_other_errors_are_not_hidden() -> None:
    def broken(_: str) -> Pictures:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(score_pairs(["x"], broken))


def test_only_a_few_scenes_are_in_memory_and_stopping_early_reads_no_further() -> None:
    read = []

    def noting(image: str) -> Pictures:
        read.append(image)
        return load(image)

    scores = score_pairs([str(n) for n in range(50)], noting, names=["EN"], workers=2)
    for consumed in range(1, 9):
        assert next(scores).image == str(consumed - 1)
        assert len(read) - consumed < 2 * 2
    del scores
    assert len(read) < 8 + 2 * 2


def test_progress_counts_scenes() -> None:
    steps: list[tuple[int, int]] = []
    images = ["0", "1", "2"]
    list(score_pairs(images, load, names=["EN"], workers=1, progress=lambda *s: steps.append(s)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_nothing_to_score() -> None:
    assert list(score_pairs([], load)) == []


def test_names_are_checked_before_anything_is_read() -> None:
    with pytest.raises(UnknownName):
        score_pairs(["0"], load, names=["ENT"])


def test_summaries_count_what_is_undefined() -> None:
    summary = summarize([1.0, math.nan, 3.0, math.inf])
    assert summary == (2.0, 1.0, 2, 2)
    nothing = summarize([math.nan])
    assert math.isnan(nothing.mean)
    assert (nothing.defined, nothing.undefined) == (0, 1)
    assert summarize([]).defined == 0

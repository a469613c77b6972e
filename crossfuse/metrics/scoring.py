"""Scores of one pair, of many pairs in parallel, and their means."""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import CrossFuseError
from crossfuse.metrics.picture import SourcePair
from crossfuse.metrics.profiles import PROFILES
from crossfuse.metrics.registry import Description, select

ALL_METHODS = "*"


class Pictures(NamedTuple):
    """What one scene has to be scored: uint8 HxW grey or HxWx3 RGB, the fused ones by method.

    `fused` may be a mapping that reads a picture when it is asked for it: then a picture that
    cannot be read is a failure of its method alone.
    """

    ir: NDArray[Any]
    vis: NDArray[Any]
    fused: Mapping[str, NDArray[Any]]


class PairScores(NamedTuple):
    """The scores of one scene."""

    image: str
    values: dict[str, dict[str, float]]
    """By method and metric; NaN where the metric is undefined."""
    failures: dict[str, str]
    """What went wrong, by method; under `ALL_METHODS` what stopped the whole scene."""


class Summary(NamedTuple):
    """One metric over many pictures; undefined values are counted and not part of mean and std."""

    mean: float
    """NaN where no value is defined."""
    std: float
    """Population standard deviation over pictures."""
    defined: int
    undefined: int


def describe(profile: str = "cddfuse") -> list[Description]:
    """What the metrics of a profile are, in the order of reports."""
    return [metric.description for metric in select(PROFILES, profile, None)]


def evaluate_fused(
    pair: SourcePair,
    fused: NDArray[Any],
    profile: str = "cddfuse",
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """Scores of one fused picture, uint8 HxW grey or HxWx3 RGB; NaN where a metric is undefined.

    Keep the pair to score further methods: what metrics derive from the sources is not computed
    again.
    """
    picture = pair.fused(fused)
    return {
        metric.name: metric.compute(pair, picture) for metric in select(PROFILES, profile, names)
    }


def evaluate_pair(
    ir: NDArray[Any],
    vis: NDArray[Any],
    fused: NDArray[Any],
    profile: str = "cddfuse",
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """Scores of one fused picture of one pair; all uint8 HxW grey or HxWx3 RGB, of one size."""
    return evaluate_fused(SourcePair(ir, vis), fused, profile, names)


def score_pairs(
    images: Sequence[str],
    load: Callable[[str], Pictures],
    *,
    profile: str = "cddfuse",
    names: Iterable[str] | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[PairScores]:
    """Scores of many scenes, in the order of `images`, computed side by side as they are consumed.

    `load` reads one scene by its name, in the calling process; errors of this package that it
    raises become failures of that scene. Two scenes per worker are in memory, however many there
    are. `workers` is the number of processes, by default one per processor; 1 starts none. (New
    processes import the main module: a script that calls this needs its `__name__` guard.)
    `progress` gets the scenes done and the scenes in all.
    """
    selected = [metric.name for metric in select(PROFILES, profile, names)]
    score = functools.partial(_score_scene, profile=profile, names=selected)
    workers = min(workers or os.cpu_count() or 1, len(images))
    scenes = (_read(image, load) for image in images)
    scored = map(score, scenes) if workers < 2 else _side_by_side(score, scenes, workers)
    return _counted(scored, len(images), progress)


def _counted(
    scored: Iterator[PairScores], total: int, progress: Callable[[int, int], None] | None
) -> Iterator[PairScores]:
    for done, scores in enumerate(scored, start=1):
        if progress is not None:
            progress(done, total)
        yield scores


def _side_by_side(
    score: Callable[[_Scene], PairScores], scenes: Iterator[_Scene], workers: int
) -> Iterator[PairScores]:
    # Not threads: the many short steps of a metric wait for the interpreter's lock, and two threads
    # are no faster than one. Not forked: that is not safe beside the threads of a server.
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[PairScores]] = deque()
    with ProcessPoolExecutor(
        workers, context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        try:
            for scene in scenes:
                with _one_blas_thread():
                    waiting.append(pool.submit(score, scene))
                if len(waiting) == 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Processes started inside use one thread for matrix products, since there is one per CPU.

    OpenBLAS reads this when numpy is imported, which is before any initializer of a worker.
    """
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Scene(NamedTuple):
    """A scene as far as it could be read."""

    image: str
    sources: tuple[NDArray[Any], NDArray[Any]] | None
    fused: dict[str, NDArray[Any]]
    failures: dict[str, str]


def _read(image: str, load: Callable[[str], Pictures]) -> _Scene:
    try:
        pictures = load(image)
    except CrossFuseError as error:
        return _Scene(image, None, {}, {ALL_METHODS: str(error)})
    scene = _Scene(image, (pictures.ir, pictures.vis), {}, {})
    for method in pictures.fused:
        try:
            scene.fused[method] = pictures.fused[method]
        except CrossFuseError as error:
            scene.failures[method] = str(error)
    return scene


def _score_scene(scene: _Scene, profile: str, names: list[str]) -> PairScores:
    scores = PairScores(scene.image, {}, dict(scene.failures))
    if scene.sources is None:
        return scores
    try:
        pair = SourcePair(*scene.sources)
    except CrossFuseError as error:
        scores.failures[ALL_METHODS] = str(error)
        return scores
    for method, fused in scene.fused.items():
        try:
            scores.values[method] = evaluate_fused(pair, fused, profile, names)
        except CrossFuseError as error:
            scores.failures[method] = str(error)
    return scores


def summarize(values: Iterable[float]) -> Summary:
    """Mean and spread of one metric over pictures; what is not finite counts as undefined."""
    everything = np.fromiter(values, np.float64)
    defined = everything[np.isfinite(everything)]
    undefined = len(everything) - len(defined)
    if len(defined) == 0:
        return Summary(math.nan, math.nan, 0, undefined)
    return Summary(float(defined.mean()), float(defined.std()), len(defined), undefined)

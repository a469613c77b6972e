"""Two folders of pictures, paired by stem, worked through with bounded memory."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from crossfuse.errors import CrossFuseError, ImageError, OutputError
from crossfuse.images import PictureFolder

# While one pair runs on the device, another one is read or written.
PAIRS_AT_ONCE = 2


@dataclass(frozen=True)
class Pair:
    """Two files that show one scene, and where the fused picture goes."""

    stem: str
    ir: Path
    vis: Path
    output: Path


@dataclass
class FolderResult:
    """What became of the pairs of two folders."""

    fused: int = 0
    skipped: int = 0
    ignored_files: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    total: int = 0
    interrupted: bool = False
    stopped: str = ""
    """Why the rest was not tried: the output cannot be written."""
    seconds: float = 0.0


def fuse_folders(
    ir: Path,
    vis: Path,
    output: Path,
    fuse_pair: Callable[[Pair], None],
    *,
    overwrite: bool,
) -> FolderResult:
    """Fuse every pair that is not there yet; a pair that fails does not stop the others.

    An output that cannot be written does: it would fail every other pair as well.
    """
    result = FolderResult()
    pairs = match_folders(ir, vis, output, result)
    result.total = len(pairs) + len(result.failed)
    todo = []
    for pair in pairs:
        if pair.output.exists() and not overwrite:
            result.skipped += 1
        else:
            todo.append(pair)
    started = time.perf_counter()
    try:
        _run(todo, fuse_pair, result)
    except KeyboardInterrupt:
        result.interrupted = True
    except OutputError as error:
        result.stopped = str(error)
    result.seconds = time.perf_counter() - started
    return result


def match_folders(ir: Path, vis: Path, output: Path, result: FolderResult) -> list[Pair]:
    """The pairs of two folders; what has no partner, or more than one, is a failure."""
    infrared, visible = PictureFolder("--ir", ir), PictureFolder("--vis", vis)
    result.ignored_files = infrared.ignored + visible.ignored
    pairs = []
    for stem in sorted(infrared.stems | visible.stems):
        try:
            found = infrared.find(stem), visible.find(stem)
        except ImageError as error:
            result.failed[stem] = str(error)
        else:
            pairs.append(Pair(stem, *found, output / f"{stem}.png"))
    return pairs


def _run(pairs: list[Pair], fuse_pair: Callable[[Pair], None], result: FolderResult) -> None:
    progress = tqdm(total=len(pairs), unit="pair", disable=None, file=sys.stderr)
    with progress, ThreadPoolExecutor(PAIRS_AT_ONCE) as pool:
        running: deque[tuple[Pair, Future[None]]] = deque()

        def start(some: Iterator[Pair]) -> None:
            running.extend((pair, pool.submit(fuse_pair, pair)) for pair in some)

        def settle(pair: Pair, future: Future[None]) -> None:
            try:
                future.result()
                result.fused += 1
            except OutputError:
                raise
            except CrossFuseError as error:
                result.failed[pair.stem] = str(error)
            progress.update()

        rest = iter(pairs)
        start(islice(rest, 2 * PAIRS_AT_ONCE))
        try:
            while running:
                settle(*running[0])
                running.popleft()
                start(islice(rest, 1))
        except BaseException:
            # What runs is finished and counted, what waits is left for the next time.
            under_way = [(pair, future) for pair, future in running if not future.cancel()]
            for pair, future in under_way:
                with contextlib.suppress(OutputError):
                    settle(pair, future)
            raise

"""The same pictures come out in this process, through the command line, a server and a stream."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import crossfuse
from crossfuse.cli import main
from crossfuse.client import FusionClient
from crossfuse.images import encode, read_infrared, read_visible

PAIRS = 20


@pytest.mark.data
def test_twenty_real_pairs(tmp_path: Path, data_dir: Path, server: str) -> None:
    stems = sorted(path.stem for path in (data_dir / "msrs" / "ir").iterdir())[::15][:PAIRS]
    for side in ("ir", "vis"):
        (tmp_path / side).mkdir()
        for stem in stems:
            shutil.copy(data_dir / "msrs" / side / f"{stem}.png", tmp_path / side)
    folders = ["--ir", str(tmp_path / "ir"), "--vis", str(tmp_path / "vis")]
    assert main(["fuse", *folders, "-o", str(tmp_path / "local"), "--device", "cpu"]) == 0
    assert main(["fuse", *folders, "-o", str(tmp_path / "remote"), "--server", server]) == 0

    pairs = [
        (read_infrared(tmp_path / f"ir/{stem}.png"), read_visible(tmp_path / f"vis/{stem}.png"))
        for stem in stems
    ]
    with FusionClient(server) as client:
        streamed = [result.image for result in client.stream(pairs)]
    for stem, image in zip(stems, streamed, strict=True):
        local = (tmp_path / "local" / f"{stem}.png").read_bytes()
        assert local == (tmp_path / "remote" / f"{stem}.png").read_bytes()
        assert image is not None
        assert local == encode(image)
        assert image.ndim == 3
        assert image.std(axis=2).max() > 0, "the colour is gone"


@pytest.fixture(scope="module")
def fuser() -> Iterator[crossfuse.Fuser]:
    with crossfuse.load(device="cpu") as loaded:
        yield loaded


@pytest.mark.parametrize(
    ("size", "count", "grey"),
    [
        ((32, 32), 4, False),
        ((33, 47), 4, False),
        ((33, 47), 4, True),
        ((247, 359), 4, False),
        ((480, 640), 4, True),
        ((480, 640), 3, False),
        ((1080, 1920), 2, False),
    ],
)
def test_any_size_alone_and_in_a_batch(
    fuser: crossfuse.Fuser, size: tuple[int, int], count: int, grey: bool
) -> None:
    pairs = [crossfuse.synthetic.pair(seed, *size) for seed in range(count)]
    if grey:
        pairs = [(ir, vis[..., 1].copy()) for ir, vis in pairs]
    alone = np.stack([fuser.fuse(ir, vis) for ir, vis in pairs])
    assert alone.shape == ((count, *size) if grey else (count, *size, 3))

    irs = np.stack([ir for ir, _ in pairs])
    vises = np.stack([np.dstack([vis] * 3) if grey else vis for _, vis in pairs])
    together = fuser.engine.fuse(irs, vises)
    together = together[..., 0] if grey else together
    assert np.abs(together.astype(int) - alone).max() <= 1

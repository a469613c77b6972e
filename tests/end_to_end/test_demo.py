from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import crossfuse
from crossfuse.cli import main
from crossfuse.images import read_infrared, read_visible


def test_the_demo_writes_four_pictures_and_a_latency_line(
    tmp_path: Path,
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where the embedded model is all there is
    output = tmp_path / "demo"
    assert main(["demo", "--output", str(output)]) == 0
    assert "latency: 640x480 through gRPC in " in capsys.readouterr().out
    names = {"ir.png", "vis.png", "fused.png", "comparison.png"}
    assert {path.name for path in output.iterdir()} == names

    sample = root / "crossfuse" / "assets" / "sample"
    ir, vis = read_infrared(sample / "ir.png"), read_visible(sample / "vis.png")
    np.testing.assert_array_equal(read_infrared(output / "ir.png"), ir)
    np.testing.assert_array_equal(read_visible(output / "vis.png"), vis)
    fused = read_visible(output / "fused.png")
    np.testing.assert_array_equal(fused, crossfuse.load(device="cpu").fuse(ir, vis))
    assert read_visible(output / "comparison.png").shape == (480, 3 * 640, 3)

    assert main(["demo", "--output", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["median_ms"] > 0


def test_the_fused_sample_shows_the_bodies_and_the_texture(root: Path) -> None:
    sample = root / "crossfuse" / "assets" / "sample"
    ir, vis = read_infrared(sample / "ir.png"), read_visible(sample / "vis.png")
    fused = crossfuse.load(device="cpu").fuse(ir, vis)
    bodies = ir > 150
    luma, fused_luma = vis.mean(axis=2), fused.mean(axis=2)
    # Warm bodies stand out from what is around them, though the visible picture hides them.
    assert fused_luma[bodies].mean() > luma[bodies].mean() + 60
    # Away from them the picture is still the visible one, bricks and zebra crossing included.
    assert np.corrcoef(fused_luma[~bodies], luma[~bodies])[0, 1] > 0.8
    bricks = (slice(200, 280), slice(40, 160))
    assert fused_luma[bricks].std() > 0.7 * luma[bricks].std()


def test_an_output_that_is_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo").touch()
    assert main(["demo", "--output", str(tmp_path / "demo")]) == 2
    assert "--output" in capsys.readouterr().err

"""The command from folders to files, exit codes and what is printed."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from crossfuse.cli import main

METHODS = {"average", "maximum", "laplacian_pyramid"}


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """A folder with `ir`, `vis` and `fused`, three pictures each."""
    random = np.random.default_rng(5)
    for kind, channels in (("ir", 1), ("vis", 3), ("fused", 3)):
        (tmp_path / kind).mkdir()
        for stem in ("x", "y", "z"):
            pixels = random.integers(0, 256, (36, 40, channels), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / kind / f"{stem}.png"), pixels)
    return tmp_path


def run(folder: Path, *options: str) -> int:
    words = ["--ir", str(folder / "ir"), "--vis", str(folder / "vis"), "-o", str(folder / "out")]
    return main(["evaluate", *words, "--threads", "1", *options])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "out/per_image.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_folders_of_several_methods(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(scenes / "fused", scenes / "b=c")
    second = f"named={scenes / 'fused'}"
    assert (
        run(scenes, "--fused", str(scenes / "fused"), second, "--fused", str(scenes / "b=c")) == 0
    )
    assert {row["method"] for row in rows(scenes)} == {"fused", "named", "b=c", *METHODS}
    names = sorted(path.name for path in (scenes / "out").iterdir())
    assert names == ["per_image.csv", "report.html", "report.md", "summary.json"]
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0].split()[:4] == ["mean", "rank", "EN", "SD"]
    assert "3 pictures, profile cddfuse, 0 problems -> " in printed.out
    assert printed.err == ""


def test_a_model_is_scored_on_what_fuse_writes(
    scenes: Path, mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--ir", str(scenes / "ir"), "--vis", str(scenes / "vis"), "--model", str(mean_bundle)]
    assert main(["fuse", *words, "-o", str(scenes / "written"), "--device", "cpu"]) == 0
    capsys.readouterr()
    options = ["--model", str(mean_bundle), "--fused", str(scenes / "written"), "--device", "cpu"]
    assert run(scenes, *options, "--json", "--profile", "corrected") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((scenes / "out/summary.json").read_text())
    assert printed["profile"] == "corrected"
    written, model = (printed["methods"][name] for name in ("written", "mean"))
    assert written["metrics"] == model["metrics"]
    assert (model["kind"], model["source"]) == ("model", "mean:1, fp32 on cpu")


def test_a_server_is_scored(
    scenes: Path,
    mean_bundle: Path,
    until_serving: Callable[[Any], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from crossfuse_server.app import FusionServer
    from crossfuse_server.settings import load_settings

    models = mean_bundle.parent.parent
    values = {"models": models, "default_model": "mean", "port": 0, "threads": 1}
    server = FusionServer(load_settings({**values, "warm_up": "36x40"}, environment={}))
    server.start()
    try:
        until_serving(server)
        target = f"127.0.0.1:{server.port}"
        words = ["--server", target, f"second={target}/mean:1", "--model", str(mean_bundle)]
        assert run(scenes, *words, "--device", "cpu", "--json") == 0
    finally:
        server.stop()
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert set(methods) == {"mean", f"mean:1@{target}", "second", *METHODS}
    assert methods["second"]["source"] == f"mean:1 at {target}"
    metrics = [methods[name]["metrics"] for name in ("mean", "second", f"mean:1@{target}")]
    assert metrics[0] == metrics[1] == metrics[2]


def test_problems_are_listed_and_the_exit_code_says_so(
    scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenes / "fused/y.png").unlink()
    (scenes / "vis/z.png").write_bytes(b"\x89PNG")
    assert run(scenes, "--fused", str(scenes / "fused")) == 1
    printed = capsys.readouterr()
    assert "problem: y (fused): --fused fused: got no picture y.* in" in printed.err
    assert "problem: z: " in printed.err
    assert "2 problems" in printed.out
    kept = {(row["method"], row["image"]) for row in rows(scenes)}
    assert kept == {("fused", "x")} | {(name, image) for name in METHODS for image in "xy"}


def write_coco(folder: Path) -> tuple[Path, Path]:
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 20]}
    truth: dict[str, Any] = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": [box]}
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "found.json").write_text(json.dumps([{**box, "score": 0.5}]))
    return folder / "truth.json", folder / "found.json"


def test_detections_of_a_users_own_detector(
    scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, found = write_coco(scenes)
    options = ["--fused", str(scenes / "fused"), "--ground-truth", str(truth)]
    options += ["--detections", str(found), f"again={found}"]
    assert run(scenes, *options, "--json") == 0
    scores = json.loads(capsys.readouterr().out)["detections"]
    assert [(each["name"], round(each["mAP"], 6)) for each in scores] == [
        ("found", 1),
        ("again", 1),
    ]
    assert "| found | 1 | 1.000 | 1.000 | 1.000 |" in (scenes / "out/report.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "method: got nothing to score; valid: --fused, --model"),
        (["--fused", "nowhere"], "--fused nowhere: got nowhere (No such file or directory)"),
        (["--fused", "=x"], "--fused: got '=x'; valid: NAME=VALUE"),
        (["--fused", "maximum=fused"], "method name: got 'maximum'"),
        (["--fused", "fused", "fused"], "method name: got 'fused' for fused and for fused"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--checkpoint", "fused"], "checkpoint: got fused"),
        (["--fused", "fused", "--threads", "0"], "--threads: got 0; valid: a number from 1"),
        (["--fused", "fused", "--detections", "d.json"], "--ground-truth: got nothing"),
        (["--fused", "fused", "--ground-truth", "d.json"], "--detections: got nothing"),
        (
            ["--fused", "fused", "--ground-truth", "t", "--detections", "a/d.json", "b/d.json"],
            "--detections: got 'd' for a/d.json and for b/d.json",
        ),
        (["--fused", "fused", "--ir-palette", "irn"], "--ir-palette: got 'irn'"),
        (["--fused", "fused", "--ir", "fused/x.png"], "--ir: got fused/x.png (Not a directory)"),
        (["--fused", "fused", "-o", "fused/x.png"], "--output: got fused/x.png (File exists)"),
    ],
)
def test_bad_usage(
    scenes: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(scenes)
    assert run(scenes, *options) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("crossfuse evaluate: ")
    assert message in printed.err
    assert not (scenes / "out/report.html").exists()


def test_no_server_is_an_error_of_the_work(
    scenes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossfuse.evaluation.servers.TIMEOUT_SECONDS", 0.2)
    assert run(scenes, "--server", "127.0.0.1:1") == 1
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_any_number_of_processes_gives_the_same_scores(scenes: Path) -> None:
    assert run(scenes, "--fused", str(scenes / "fused")) == 0
    alone = (scenes / "out/per_image.csv").read_bytes()
    assert run(scenes, "--fused", str(scenes / "fused"), "--threads", "2") == 0
    assert (scenes / "out/per_image.csv").read_bytes() == alone

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

import crossfuse
from crossfuse.cli import main
from crossfuse.images import read_infrared, read_visible

SIZE = (40, 50)


def write_pair(folder: Path, stem: str, seed: int = 0, suffix: str = ".png") -> None:
    random = np.random.default_rng(seed)
    for side, shape in (("ir", SIZE), ("vis", (*SIZE, 3))):
        (folder / side).mkdir(parents=True, exist_ok=True)
        path = folder / side / f"{stem}{suffix if side == 'vis' else '.png'}"
        cv2.imwrite(str(path), random.integers(0, 256, shape, dtype=np.uint8))


def fuse(folder: Path, model: Path, *options: str, output: str = "out") -> int:
    return main(
        ["fuse", "--ir", str(folder / "ir"), "--vis", str(folder / "vis"), "-o",
         str(folder / output), "--model", str(model), "--device", "cpu", "--threads", "1",
         *options]
    )  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width + 1) * 16)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_one_pair(tmp_path: Path, mean_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path, "a")
    ir, vis, out = tmp_path / "ir/a.png", tmp_path / "vis/a.png", tmp_path / "fused.png"
    words = ["fuse", "--ir", str(ir), "--vis", str(vis), "--model", str(mean_bundle), "-o"]
    assert main([*words, str(out)]) == 0
    expected = crossfuse.load(mean_bundle).fuse(read_infrared(ir), read_visible(vis))
    np.testing.assert_array_equal(read_visible(out), expected)

    before = out.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*words, str(out)]) == 0
    assert "skipped" in capsys.readouterr().out
    assert out.stat().st_mtime_ns == before
    assert main([*words, str(out), "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] is False
    assert out.stat().st_mtime_ns != before

    assert main([*words, str(tmp_path)]) == 0
    assert (tmp_path / "a.png").read_bytes() == out.read_bytes()
    for suffix in (".jpg", ".webp"):
        assert main([*words, str(out.with_suffix(suffix))]) == 0
        assert read_visible(out.with_suffix(suffix)).shape == expected.shape


def test_a_folder_with_everything_wrong_in_it(
    tmp_path: Path, mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        write_pair(tmp_path, f"good{number}", number, suffix=".jpg")
    for stem in ("truncated", "bomb", "size", "twice", "alone", "deep"):
        write_pair(tmp_path, stem)
    truncated = tmp_path / "ir/truncated.png"
    truncated.write_bytes(truncated.read_bytes()[:900])
    (tmp_path / "vis/bomb.png").write_bytes(png_bomb(20_000, 20_000))
    cv2.imwrite(str(tmp_path / "ir/size.png"), np.zeros((33, 44), np.uint8))
    (tmp_path / "vis/twice.webp").write_bytes((tmp_path / "vis/twice.png").read_bytes())
    (tmp_path / "ir/alone.png").unlink()
    cv2.imwrite(str(tmp_path / "vis/deep.png"), np.zeros((*SIZE, 3), np.uint16))
    (tmp_path / "ir/Thumbs.db").write_bytes(b"x")
    (tmp_path / "ir/.hidden.png").write_bytes(b"x")

    assert fuse(tmp_path, mean_bundle, "--json") == 1
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert (result["fused"], result["skipped"], result["total"]) == (5, 0, 11)
    assert result["ignored_files"] == 1
    reasons = {entry["stem"]: entry["reason"] for entry in result["failed"]}
    assert "truncated" in reasons["truncated"]
    assert "20000x20000" in reasons["bomb"]
    assert "44x33" in reasons["size"]
    assert "twice.png, twice.webp" in reasons["twice"]
    assert "no picture alone.*" in reasons["alone"]
    assert "16 bits" in reasons["deep"]
    assert all(f"failed: {stem}: " in printed.err for stem in reasons)
    assert names(tmp_path / "out") == [f"good{number}.png" for number in range(5)]

    truncated.unlink()
    write_pair(tmp_path, "truncated")
    assert fuse(tmp_path, mean_bundle, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["fused"], result["skipped"]) == (1, 5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--ir-mapping", "gamma:2"], "gamma:2"),
        (["--ir-palette", "jot"], "did you mean 'jet'"),
        (["--threads", "0"], "threads"),
        (["--model", "nothing-here"], "no bundle 'nothing-here'"),
        (["--models", "/nothing/here"], "/nothing/here"),
        (["--vis", "/nothing/here"], "--ir is one"),
        (["-o", "/proc/none/out"], "--output"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_two(
    tmp_path: Path,
    mean_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    expected: str,
) -> None:
    write_pair(tmp_path, "a")
    assert fuse(tmp_path, mean_bundle, *options) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["out.gif", "nowhere/out.png", "out"])
def test_an_output_that_cannot_be_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_pair(tmp_path, "a")
    code = main(
        ["fuse", "--ir", str(tmp_path / "ir/a.png"), "--vis", str(tmp_path / "vis/a.png"), "-o",
         str(tmp_path / name), "--model", "/no/model/yet"]
    )  # fmt: skip
    assert code == 2
    assert "--output" in capsys.readouterr().err


def test_two_empty_folders_are_refused(
    tmp_path: Path, mean_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ir").mkdir()
    (tmp_path / "vis").mkdir()
    assert fuse(tmp_path, mean_bundle) == 2
    assert "no picture in" in capsys.readouterr().err


def test_a_full_disk_stops_the_folder_and_leaves_nothing_half_written(
    tmp_path: Path, mean_bundle: Path
) -> None:
    for number in range(6):
        write_pair(tmp_path, f"p{number}", number)
    # A limit on the size of files fails writes the way a full disk does.
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from crossfuse.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "fuse", "--ir", str(tmp_path / "ir"), "--vis",
         str(tmp_path / "vis"), "-o", str(tmp_path / "out"), "--model", str(mean_bundle)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "stopped: " in done.stdout
    assert "size limit" in done.stdout
    assert names(tmp_path / "out") == []


def test_ctrl_c_in_the_middle_keeps_what_is_done_and_resumes(
    tmp_path: Path, mean_bundle: Path
) -> None:
    total = 400
    write_pair(tmp_path, "p0")
    for side in ("ir", "vis"):
        first = tmp_path / side / "p0.png"
        for number in range(1, total):
            os.link(first, tmp_path / side / f"p{number}.png")
    command = [
        sys.executable, "-m", "crossfuse", "fuse", "--ir", str(tmp_path / "ir"), "--vis",
        str(tmp_path / "vis"), "-o", str(tmp_path / "out"), "--model", str(mean_bundle), "--json",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background has it ignored, for all they start too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    out = tmp_path / "out"
    while process.poll() is None and not (out.is_dir() and len(names(out)) > 3):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert process.returncode == 130, errors
    result = json.loads(printed)
    assert result["interrupted"] is True
    assert result["fused"] == len(names(out)) < total
    assert all(name.endswith(".png") and not name.startswith(".") for name in names(out))

    again = subprocess.run(command, capture_output=True, text=True, check=True)
    resumed = json.loads(again.stdout)
    assert resumed["skipped"] == result["fused"]
    assert resumed["fused"] + resumed["skipped"] == total

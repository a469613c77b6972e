"""What a user without TensorRT or a GPU is told: one line, exit code 2, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfuse.cli import main
from crossfuse.engines import tensorrt_cuda

pytest.importorskip("onnx")


@pytest.fixture(autouse=True)
def _no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_cuda, "LIBRARY", "libcuda-that-is-not-there.so.1")
    monkeypatch.setattr("crossfuse.engines.tensorrt_routes.installed_tensorrt", lambda: None)
    monkeypatch.setattr("crossfuse_export.tensorrt_export.installed_tensorrt", lambda: None)


def test_export_tensorrt(capsys: pytest.CaptureFixture[str], mean_bundle: Path) -> None:
    words = ["export", "tensorrt", str(mean_bundle), "--precision", "fp32"]
    assert main(words) == 2
    check_line(capsys.readouterr().err, "crossfuse export: TensorRT engines are built on the GPU")


def test_device_tensorrt(
    capsys: pytest.CaptureFixture[str], mean_bundle: Path, root: Path, tmp_path: Path
) -> None:
    sample = root / "crossfuse" / "assets" / "sample"
    words = ["fuse", "--ir", str(sample / "ir.png"), "--vis", str(sample / "vis.png")]
    words += ["-o", str(tmp_path / "fused.png"), "--model", str(mean_bundle)]
    assert main([*words, "--device", "tensorrt"]) == 2
    line = capsys.readouterr().err
    check_line(line, "crossfuse fuse: device: 'tensorrt' cannot be used here")
    for route in ("TensorRT itself: ", "onnxruntime's TensorRT provider: ", "TensorRT-RTX: "):
        assert route in line


def check_line(line: str, start: str) -> None:
    assert line.startswith(start)
    assert line.count("\n") == 1
    assert "Traceback" not in line
    for part in (
        "libcuda-that-is-not-there.so.1 cannot be loaded",
        "the package tensorrt is not installed",
        "pip install 'crossfuse[tensorrt]'",
        "pip install 'crossfuse[rtx]'",
        "Jetson",
    ):
        assert part in line

"""The exporter on a tiny student: the bundle is complete, proven, and readable as a bundle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import FileQuality, Manifest
from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_export import onnx_export, quality
from crossfuse_export.errors import QualityMissed
from crossfuse_export.folding import folded
from crossfuse_export.onnx_export import Exported
from crossfuse_export.parity import Difference
from crossfuse_export.quality import check_batches, expectations, measure, onnx_runner
from crossfuse_training.checkpoint import TrainingRecord, save
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.config import AutoEncoderConfig
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.registry import build

SIZES = ((32, 32), (33, 47))


@pytest.fixture
def traced_once(student_model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing takes seconds: the model is the one that all tests share."""
    monkeypatch.setattr(onnx_export, "to_onnx", lambda *_, **__: student_model)


def export(checkpoint: Path, folder: Path, **options: Any) -> Exported:
    return onnx_export.export_onnx(checkpoint, folder, sizes=SIZES, **options)


def refuse_int8(*_: object) -> None:
    raise QualityMissed("int8: got 0.90 times as fast as fp32; valid: at least 1.05")


@pytest.mark.usefixtures("traced_once")
def test_bundle(student_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "tiny" / "3"
    written = export(
        student_checkpoint, folder, precisions=("fp32", "fp16"), notes="For tests only."
    )
    assert written.refused == {}
    manifest = Manifest.read(folder)
    assert manifest.to_json() == written.manifest.to_json()
    assert (manifest.name, manifest.version, manifest.head) == ("tiny", 3, "bounded")
    assert manifest.variant["quarter_channels"] == 12
    assert manifest.macs_480x640 > manifest.parameters > 0
    assert manifest.quality.profile == "cddfuse"
    assert {name: file.weights for name, file in manifest.files.items()} == {
        "fp32": "fp32",
        "fp16": "fp16",
    }
    for entry in manifest.files.values():
        content = (folder / entry.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        assert entry.quality.pictures.endswith("pairs at 32x32, 33x47")
    card = (folder / "card.md").read_text(encoding="utf-8")
    for expected in (
        "tiny, version 3",
        "For tests only.",
        "| night | ours | all |",
        "0.500",
        "Profile `cddfuse`",
        "prove its weights and its types only",
    ):
        assert expected in card
    assert sorted(path.name for path in folder.parent.iterdir()) == ["3"]


@pytest.mark.usefixtures("traced_once")
def test_a_refused_precision_leaves_the_others(
    student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "make_int8", refuse_int8)
    folder = tmp_path / "tiny" / "1"
    written = export(student_checkpoint, folder, precisions=("fp32", "int8"))
    assert list(written.manifest.files) == ["fp32"]
    assert "0.90 times as fast" in written.refused["int8"]
    assert "There is no int8 file: got 0.90 times" in (folder / "card.md").read_text()


@pytest.mark.usefixtures("traced_once")
def test_nothing_is_written_where_the_only_precision_is_refused(
    student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "make_int8", refuse_int8)
    with pytest.raises(QualityMissed, match=r"0\.90 times as fast"):
        export(student_checkpoint, tmp_path / "tiny" / "1", precisions=("int8",))
    assert list(tmp_path.iterdir()) == []


def test_weights_stored_as_fp16(
    student: nn.Module,
    student_checkpoint: Path,
    student_model: onnx.ModelProto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def rounded_model(graph: FusionGraph, *, weights: str) -> onnx.ModelProto:
        assert weights == "fp16"
        model = onnx.ModelProto.FromString(student_model.SerializeToString())
        values = dict(FusionGraph(folded(student, weights="fp16")).named_parameters())
        for tensor in model.graph.initializer:
            if tensor.name in values:
                new = numpy_helper.from_array(values[tensor.name].detach().numpy(), tensor.name)
                tensor.CopyFrom(new)
        return model

    monkeypatch.setattr(onnx_export, "to_onnx", rounded_model)
    folder = tmp_path / "tiny" / "1"
    written = export(student_checkpoint, folder, fp32_weights="fp16")
    (entry,) = written.manifest.files.values()
    assert entry.weights == "fp16"
    run = onnx_runner((folder / entry.path).read_bytes())
    rounded = expectations(folded(student, weights="fp16"), SIZES)
    assert measure(rounded, run, "fp32").max_abs <= 1
    assert "rounded to half precision first" in (folder / "card.md").read_text()


@pytest.mark.usefixtures("traced_once")
def test_nothing_is_written_when_parity_fails(
    student_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def far(*_: object) -> Difference:
        return Difference(psnr=20.0, ssim=0.5, max_abs=30, mean_abs=5.0)

    monkeypatch.setattr(quality, "compare", far)
    with pytest.raises(QualityMissed, match="30"):
        export(student_checkpoint, tmp_path / "tiny" / "1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["Tiny/1", "tiny/0", "tiny/one", "tiny/-1", "1"])
def test_names_and_versions(student_checkpoint: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="bundle: got"):
        export(student_checkpoint, Path(name))


def test_unknown_and_missing_precisions(student_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "1"
    with pytest.raises(UnknownName, match="precision: got 'fp8'; valid: fp16, fp32, int8"):
        export(student_checkpoint, folder, precisions=("fp32", "fp8"))
    with pytest.raises(InvalidInput, match="precision: got none; valid: fp32, fp16, int8"):
        export(student_checkpoint, folder, precisions=())
    with pytest.raises(UnknownName, match="fp32_weights: got 'int4'; valid: fp16, fp32"):
        export(student_checkpoint, folder, fp32_weights="int4")


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    network = AutoEncoder(AutoEncoderConfig(shallow_channels=2, growth_channels=2))
    record = TrainingRecord(recipe="a test", options={}, data=(), git_commit="0" * 40)
    save(tmp_path / "checkpoint", network, variant="crossfuse", training=record)
    with pytest.raises(InvalidInput, match="architecture: got AutoEncoder, which takes image; val"):
        export(tmp_path / "checkpoint", tmp_path / "tiny" / "1")


def test_a_model_of_other_weights_is_refused(student_model: onnx.ModelProto) -> None:
    torch.manual_seed(1)
    other = build("rt", quarter_channels=8).eval()
    run = onnx_runner(student_model.SerializeToString())
    with pytest.raises(QualityMissed, match="fp32: sample at 32x32: got max_abs"):
        measure(expectations(other, SIZES[:1]), run, "fp32")


def test_a_model_that_mixes_the_pictures_of_a_batch_is_refused(student: nn.Module) -> None:
    def run(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        return np.repeat(vis.mean(axis=0, keepdims=True), len(vis), axis=0).astype(np.uint8)

    with pytest.raises(QualityMissed, match="sample at 32x32, in a batch of 3 against alone: got"):
        check_batches(expectations(student, SIZES[:1]), run)


def test_figures_are_summed_over_all_pictures(student: nn.Module) -> None:
    expected = expectations(student, SIZES[:1])

    def run(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        (found,) = (
            case.fused for case in expected
            if np.array_equal(case.picture.ir, ir[0]) and np.array_equal(case.picture.vis, vis[0])
        )  # fmt: skip
        moved = found.copy()
        # One value of 3072 by one level: what the fp32 bar just lets through.
        moved[0, 0, 0] ^= 1
        return moved[None]

    summed = measure(expected, run, "fp32")
    assert isinstance(summed, FileQuality)
    assert summed.max_abs == 1
    assert summed.mean_abs == pytest.approx(1 / 3072)
    assert summed.psnr == pytest.approx(10 * np.log10(255**2 * 3072))

"""The proof of a bundle: what passes, what is caught, what is refused, and the report of it."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from crossfuse.bundles import BundleFile, FileQuality
from crossfuse.bundles.store import Bundle, open_bundle
from crossfuse.cli import export_verify
from crossfuse.errors import BundleError, InvalidInput
from crossfuse_export import verify as verify_module
from crossfuse_export.half_weights import store_as_half
from crossfuse_export.parity import (
    BARS,
    Bar,
    Difference,
    Picture,
    compare,
    judge,
    pictures_of,
    real_pictures,
)
from crossfuse_export.parity_report import summaries, to_json, to_markdown
from crossfuse_export.reference import Reference
from crossfuse_export.verify import verify
from crossfuse_training.checkpoint import TrainingRecord, read_record, save
from crossfuse_training.networks.registry import build

SIZES = ((32, 32), (33, 47))
UNMEASURED = FileQuality("none", None, 1.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def network(student: nn.Module) -> nn.Module:
    return student


@pytest.fixture(scope="module")
def model(student_model: onnx.ModelProto) -> onnx.ModelProto:
    return student_model


@pytest.fixture(scope="module")
def checkpoint(student_checkpoint: Path) -> Path:
    return student_checkpoint


@pytest.fixture
def bundle_of(
    tmp_path: Path, checkpoint: Path, write_bundle: Callable[..., Path]
) -> Callable[..., Bundle]:
    """Makes a bundle of the checkpoint with these models by precision."""

    def make(weights: str = "fp32", **models: onnx.ModelProto) -> Bundle:
        contents = {name: model.SerializeToString() for name, model in models.items()}
        files = {
            name: BundleFile(
                path=f"model.{name}.onnx",
                sha256=hashlib.sha256(content).hexdigest(),
                opset=20,
                weights=weights,
                quality=UNMEASURED,
            )
            for name, content in contents.items()
        }
        digest = read_record(checkpoint).weights_sha256
        folder = write_bundle(tmp_path, "small", files=files, checkpoint_sha256=digest)
        for name, content in contents.items():
            (folder / files[name].path).write_bytes(content)
        return open_bundle(folder)

    return make


def changed(
    model: onnx.ModelProto, change: Callable[[np.ndarray], np.ndarray], *, least: int = 1
) -> onnx.ModelProto:
    """A copy whose weights of at least so many elements went through `change`."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in copy.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim == 4 and values.size >= least:
            result = change(values).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(result, tensor.name))
    return copy


def through_half(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16)


def test_an_honest_bundle_passes(
    bundle_of: Callable[..., Bundle], model: onnx.ModelProto, checkpoint: Path
) -> None:
    bundle = bundle_of(fp32=model, fp16=changed(model, through_half))
    report = verify(bundle, checkpoint, sizes=SIZES, taps=True)
    assert report.passed
    assert report.culprit is None
    assert report.taps is not None
    assert all(tap.error is not None for tap in report.taps)
    assert report.data == "none but the sample"
    per_file = len(pictures_of(32, 32, real_pictures(None))) * len(SIZES) * 2
    for row in summaries(report):
        assert (row["cases"], row["missed"], row["not_finite"]) == (per_file, 0, 0)
        assert row["max_abs"] <= (1 if row["precision"] == "fp32" else 4)
    assert {case.batch for case in report.cases} == {1, 3}
    assert {case.kind for case in report.cases} == {"real", "synthetic", "adversarial"}
    assert {skipped.device for skipped in report.skipped} >= {"tensorrt"}
    page = to_markdown(report)
    assert page.startswith("# Parity of small:1: passed")
    assert "not the arithmetic of a GPU" in page


def test_a_wrong_weight_is_caught_and_localised(
    bundle_of: Callable[..., Bundle], model: onnx.ModelProto, checkpoint: Path
) -> None:
    wrong = onnx.ModelProto.FromString(model.SerializeToString())
    (tensor,) = (
        value for value in wrong.graph.initializer if value.name == "network.merge_eighth.weight"
    )
    tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    report = verify(bundle_of(fp32=wrong), checkpoint, sizes=SIZES[:1], taps=True)
    assert not report.passed
    assert report.culprit is not None
    assert report.culprit.module == "merge_eighth"
    content = to_json(report)
    assert content["first_difference"]["part"] == "merge_eighth"
    worst = content["cases"][0]
    assert worst["missed"][0].startswith("max_abs ")
    assert worst["difference"]["max_abs"] == max(
        case["difference"]["max_abs"] for case in content["cases"]
    )
    assert "The difference begins in **merge_eighth**" in to_markdown(report)


def test_each_precision_has_its_own_bar(
    bundle_of: Callable[..., Bundle], model: onnx.ModelProto, checkpoint: Path
) -> None:
    """The same coarse weights miss every bar; int8 is not judged on what no camera gives."""
    coarse = changed(model, lambda values: np.round(values * 4) / 4)
    report = verify(bundle_of(fp32=model, fp16=coarse, int8=coarse), checkpoint, sizes=SIZES[:1])
    missed = {row["precision"]: row["missed"] for row in summaries(report)}
    assert missed["fp32"] == 0
    assert missed["fp16"] > missed["int8"] > 0
    assert not report.passed
    reasons = {case.not_judged for case in report.cases if case.precision == "int8"}
    assert reasons == {None, "adversarial pictures are not what int8 was calibrated on"}


def test_weights_stored_as_fp16_are_compared_with_rounded_ones(
    bundle_of: Callable[..., Bundle], model: onnx.ModelProto, checkpoint: Path
) -> None:
    half = store_as_half(changed(model, through_half, least=1024))
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in half.graph.initializer)
    report = verify(bundle_of("fp16", fp32=half), checkpoint, sizes=SIZES[:1], taps=True)
    assert report.passed
    assert report.taps is not None
    assert max(tap.error or 0 for tap in report.taps[:-1]) < 1e-5


def test_steps_on_ramps_are_reported(
    bundle_of: Callable[..., Bundle], model: onnx.ModelProto, checkpoint: Path
) -> None:
    stepped = onnx.ModelProto.FromString(model.SerializeToString())
    (last,) = (node for node in stepped.graph.node if node.output[0] == "fused")
    (rounding,) = (node for node in stepped.graph.node if node.output[0] == last.input[0])
    step = numpy_helper.from_array(np.array(8, np.float32), "step")
    stepped.graph.initializer.append(step)
    position = list(stepped.graph.node).index(rounding)
    smaller = onnx.helper.make_node("Div", [rounding.input[0], "step"], ["smaller"])
    larger = onnx.helper.make_node("Mul", ["rounded", "step"], [last.input[0]])
    rounding.input[0], rounding.output[0] = "smaller", "rounded"
    stepped.graph.node.insert(position, smaller)
    stepped.graph.node.insert(position + 2, larger)
    report = verify(bundle_of(int8=stepped), checkpoint, sizes=SIZES[:1])
    (found,) = report.banding
    assert "grey level" in found
    assert not report.passed
    assert f"- Banding: {found}" in to_markdown(report)


def test_another_checkpoint_is_refused(
    bundle_of: Callable[..., Bundle], model: onnx.ModelProto, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    other = tmp_path / "other"
    record = TrainingRecord(recipe="a test", options={}, data=(), git_commit="0" * 40)
    save(other, build("rt", quarter_channels=4), variant="rt", training=record)
    digest = read_record(other).weights_sha256
    with pytest.raises(InvalidInput, match=f"checkpoint: got .*{digest}; valid: .* sha256"):
        verify(bundle_of(fp32=model), other)


def test_damaged_and_foreign_files_are_refused(
    bundle_of: Callable[..., Bundle], model: onnx.ModelProto, checkpoint: Path
) -> None:
    foreign = onnx.ModelProto.FromString(model.SerializeToString())
    foreign.graph.node[0].domain = "com.example"
    with pytest.raises(BundleError, match="custom operator"):
        verify(bundle_of(fp32=foreign), checkpoint)


def test_taps_need_an_fp32_file(
    bundle_of: Callable[..., Bundle], model: onnx.ModelProto, checkpoint: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"taps: got .*without an fp32 file"):
        verify(bundle_of(fp16=model), checkpoint, taps=True)


def test_the_command(
    bundle_of: Callable[..., Bundle],
    model: onnx.ModelProto,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(verify_module, "verify", partial(verify, sizes=SIZES[:1]))
    monkeypatch.delenv("CROSSFUSE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    export_verify.add_arguments(parser)

    def run(bundle: Bundle, *options: str) -> int:
        words = [str(bundle.folder), "--checkpoint", str(checkpoint), *options]
        return export_verify.run(parser.parse_args(words))

    assert run(bundle_of(fp32=model), "-o", "proof", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "proof" / "parity.json").read_text())
    assert printed["passed"] is True
    assert (tmp_path / "proof" / "parity.md").is_file()


def test_the_command_says_what_missed(
    bundle_of: Callable[..., Bundle],
    model: onnx.ModelProto,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(verify_module, "verify", partial(verify, sizes=SIZES[:1]))
    monkeypatch.setenv("CROSSFUSE_DATA", str(tmp_path / "nothing"))
    parser = argparse.ArgumentParser()
    export_verify.add_arguments(parser)
    bundle = bundle_of(fp32=changed(model, lambda values: values * 1.1))
    words = [str(bundle.folder), "--checkpoint", str(checkpoint), "-o", str(tmp_path), "--taps"]
    with pytest.raises(InvalidInput, match=r"CROSSFUSE_DATA: got .*nothing"):
        export_verify.run(parser.parse_args(words))
    (tmp_path / "nothing").mkdir()
    assert export_verify.run(parser.parse_args(words)) == 1
    printed = capsys.readouterr().out
    assert "the difference begins in ir_stem" in printed
    assert f"MISSED: {tmp_path / 'parity.md'}" in printed


def test_a_minmax_head_that_stretches_rounding_is_not_judged() -> None:
    torch.manual_seed(0)
    network = build(
        "crossfuse", shallow_channels=2, growth_channels=2, half_channels=4, deep_channels=4,
        decoder_channels=4, heads=2, dense_layers=1, self_layers=0,
    ).eval()  # fmt: skip
    scene = next(picture for picture in pictures_of(48, 56, ()) if picture.name == "scene 1")
    far = Difference(psnr=10.0, ssim=0.1, max_abs=200, mean_abs=50.0)
    _, spread = Reference(network).fuse(scene)
    assert judge("fp32", scene.kind, spread, far) == (BARS["fp32"].missed(far), None)
    assert not network.get_submodule("head")._forward_pre_hooks, "the network stays as it was"
    with torch.no_grad():
        network.get_parameter("decoder.last.weight").mul_(1e-5)
    _, spread = Reference(network).fuse(scene)
    assert spread is not None
    assert 0 < spread < 1e-3
    missed, why = judge("fp32", scene.kind, spread, far)
    assert missed == ()
    assert why is not None
    assert why.startswith("range before the minmax head")


def test_a_minmax_head_in_half_precision_is_not_judged_on_inputs_that_no_camera_gives() -> None:
    far = Difference(psnr=10.0, ssim=0.1, max_abs=200, mean_abs=50.0)
    missed, why = judge("fp16", "adversarial", 0.5, far)
    assert missed == ()
    assert why is not None
    assert "only finiteness counts" in why
    # A bounded head, single precision and pictures of cameras have no such excuse.
    for precision, kind, spread in (
        ("fp16", "adversarial", None),
        ("fp32", "adversarial", 0.5),
        ("fp16", "real", 0.5),
    ):
        assert judge(precision, kind, spread, far)[0]


def test_bars() -> None:
    bar = Bar(max_abs=1, mean_abs=0.01, psnr=40.0, ssim=0.9)
    assert bar.missed(Difference(None, 1.0, 0, 0.0)) == ()
    assert bar.missed(Difference(50.0, 0.95, 1, 0.01)) == ()
    assert [text.partition(" ")[0] for text in bar.missed(Difference(30.0, 0.5, 2, 0.5))] == [
        "max_abs", "mean_abs", "psnr", "ssim",
    ]  # fmt: skip
    assert len(bar.missed(Difference(math.nan, math.nan, 0, math.nan))) == 3


def test_compare_counts_in_grey_levels() -> None:
    white = np.full((32, 40, 3), 255, np.uint8)
    darker = white.copy()
    darker[0, 0] = 251
    difference = compare(darker, white)
    assert difference.max_abs == 4
    assert difference.mean_abs == pytest.approx(4 / (32 * 40))
    assert difference.psnr == pytest.approx(10 * math.log10(255**2 * 32 * 40 / 16))
    assert compare(white, white).psnr is None


def test_pictures_are_of_every_kind_and_of_the_size() -> None:
    sample = Picture("x", "real", np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8))
    pictures = pictures_of(33, 47, [sample])
    names = [picture.name for picture in pictures]
    assert len(set(names)) == len(names)
    for name in ("black", "constant", "saturated", "one hot pixel", "noise"):
        assert name in names
    for picture in pictures:
        assert (picture.ir.shape, picture.vis.shape) == ((33, 47), (33, 47, 3))
        assert picture.ir.dtype == picture.vis.dtype == np.uint8


@pytest.mark.data
def test_every_data_set_gives_a_pair(data_dir: Path) -> None:
    names = [picture.name for picture in real_pictures(data_dir)]
    assert names[0] == "sample"
    assert {name.partition("/")[0] for name in names[1:]} >= {"msrs", "roadscene", "tno_golden"}

"""The proof of a bundle: what passes, what is caught, what is refused, and the report of it."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from crossfuse.bundles import BundleFile, FileQuality
from crossfuse.bundles.store import Bundle, open_bundle
from crossfuse.cli import export_verify
from crossfuse.errors import BundleError, InvalidInput
from crossfuse_export import verify as verify_module
from crossfuse_export.half_weights import store_as_half
from crossfuse_export.parity_report import summaries, to_json, to_markdown
from crossfuse_export.pictures import pictures_of, real_pictures
from crossfuse_export.verify import verify
from crossfuse_training.checkpoint import TrainingRecord, read_record, save
from crossfuse_training.networks.registry import build

SIZES = ((32, 32), (33, 47))
UNMEASURED = FileQuality("none", None, 1.0, 0.0, 0.0)


@pytest.fixture
def bundle_of(
    tmp_path: Path, student_checkpoint: Path, write_bundle: Callable[..., Path]
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
        digest = read_record(student_checkpoint).weights_sha256
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
    bundle_of: Callable[..., Bundle], student_model: onnx.ModelProto, student_checkpoint: Path
) -> None:
    bundle = bundle_of(fp32=student_model, fp16=changed(student_model, through_half))
    report = verify(bundle, student_checkpoint, sizes=SIZES, taps=True)
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
    bundle_of: Callable[..., Bundle], student_model: onnx.ModelProto, student_checkpoint: Path
) -> None:
    wrong = onnx.ModelProto.FromString(student_model.SerializeToString())
    (tensor,) = (
        value for value in wrong.graph.initializer if value.name == "network.merge_eighth.weight"
    )
    tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    report = verify(bundle_of(fp32=wrong), student_checkpoint, sizes=SIZES[:1], taps=True)
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
    bundle_of: Callable[..., Bundle], student_model: onnx.ModelProto, student_checkpoint: Path
) -> None:
    """The same coarse weights miss every bar; int8 is not judged on what no camera gives."""
    coarse = changed(student_model, lambda values: np.round(values * 4) / 4)
    report = verify(
        bundle_of(fp32=student_model, fp16=coarse, int8=coarse), student_checkpoint, sizes=SIZES[:1]
    )
    missed = {row["precision"]: row["missed"] for row in summaries(report)}
    assert missed["fp32"] == 0
    assert missed["fp16"] > missed["int8"] > 0
    assert not report.passed
    reasons = {case.not_judged for case in report.cases if case.precision == "int8"}
    assert reasons == {None, "adversarial pictures are not what int8 was calibrated on"}


def test_weights_stored_as_fp16_are_compared_with_rounded_ones(
    bundle_of: Callable[..., Bundle], student_model: onnx.ModelProto, student_checkpoint: Path
) -> None:
    half = store_as_half(changed(student_model, through_half, least=1024))
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in half.graph.initializer)
    report = verify(bundle_of("fp16", fp32=half), student_checkpoint, sizes=SIZES[:1], taps=True)
    assert report.passed
    assert report.taps is not None
    assert max(tap.error or 0 for tap in report.taps[:-1]) < 1e-5


def test_steps_on_ramps_are_reported(
    bundle_of: Callable[..., Bundle], student_model: onnx.ModelProto, student_checkpoint: Path
) -> None:
    stepped = onnx.ModelProto.FromString(student_model.SerializeToString())
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
    report = verify(bundle_of(int8=stepped), student_checkpoint, sizes=SIZES[:1])
    (found,) = report.banding
    assert "grey level" in found
    assert not report.passed
    assert f"- Banding: {found}" in to_markdown(report)


def test_another_checkpoint_is_refused(
    bundle_of: Callable[..., Bundle], student_model: onnx.ModelProto, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    other = tmp_path / "other"
    record = TrainingRecord(recipe="a test", options={}, data=(), git_commit="0" * 40)
    save(other, build("rt", quarter_channels=4), variant="rt", training=record)
    digest = read_record(other).weights_sha256
    with pytest.raises(InvalidInput, match=f"checkpoint: got .*{digest}; valid: .* sha256"):
        verify(bundle_of(fp32=student_model), other)


def test_damaged_and_foreign_files_are_refused(
    bundle_of: Callable[..., Bundle], student_model: onnx.ModelProto, student_checkpoint: Path
) -> None:
    foreign = onnx.ModelProto.FromString(student_model.SerializeToString())
    foreign.graph.node[0].domain = "com.example"
    with pytest.raises(BundleError, match="custom operator"):
        verify(bundle_of(fp32=foreign), student_checkpoint)


def test_taps_need_an_fp32_file(
    bundle_of: Callable[..., Bundle], student_model: onnx.ModelProto, student_checkpoint: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"taps: got .*without an fp32 file"):
        verify(bundle_of(fp16=student_model), student_checkpoint, taps=True)


def test_the_command(
    bundle_of: Callable[..., Bundle],
    student_model: onnx.ModelProto,
    student_checkpoint: Path,
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
        words = [str(bundle.folder), "--checkpoint", str(student_checkpoint), *options]
        return export_verify.run(parser.parse_args(words))

    assert run(bundle_of(fp32=student_model), "-o", "proof", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "proof" / "parity.json").read_text())
    assert printed["passed"] is True
    assert (tmp_path / "proof" / "parity.md").is_file()


def test_the_command_says_what_missed(
    bundle_of: Callable[..., Bundle],
    student_model: onnx.ModelProto,
    student_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(verify_module, "verify", partial(verify, sizes=SIZES[:1]))
    monkeypatch.setenv("CROSSFUSE_DATA", str(tmp_path / "nothing"))
    parser = argparse.ArgumentParser()
    export_verify.add_arguments(parser)
    bundle = bundle_of(fp32=changed(student_model, lambda values: values * 1.1))
    words = [
        str(bundle.folder),
        "--checkpoint",
        str(student_checkpoint),
        "-o",
        str(tmp_path),
        "--taps",
    ]
    with pytest.raises(InvalidInput, match=r"CROSSFUSE_DATA: got .*nothing"):
        export_verify.run(parser.parse_args(words))
    (tmp_path / "nothing").mkdir()
    assert export_verify.run(parser.parse_args(words)) == 1
    printed = capsys.readouterr().out
    assert "the difference begins in ir_stem" in printed
    assert f"MISSED: {tmp_path / 'parity.md'}" in printed

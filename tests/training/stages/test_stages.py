"""Each stage: what it makes, what learns in it, and what does not."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from crossfuse.errors import EngineError, InvalidInput, UnknownName
from crossfuse_training.checkpoint import load, read_record
from crossfuse_training.data import Batch
from crossfuse_training.networks.registry import build
from crossfuse_training.recipe import Recipe, read_recipe
from crossfuse_training.stages import train
from crossfuse_training.stages.learning import Learning
from crossfuse_training.stages.step import update
from crossfuse_training.stages.train import STAGES
from crossfuse_training.stages.workers import Workers

Tiny = Callable[..., Recipe]
ALONE = Workers(0, 1, torch.device("cpu"))


@pytest.fixture
def batch() -> Batch:
    """Two cuts of 48x48 with structure everywhere; the infrared of the network is moved."""
    generator = torch.Generator().manual_seed(0)
    aligned, vis = (255 * torch.rand(2, 1, 48, 48, generator=generator) for _ in range(2))
    return Batch(
        ir=aligned.roll(3, dims=3),
        vis=vis,
        background=torch.full_like(aligned, 120.0),
        aligned_ir=aligned,
        teacher=None,
    )


def learning_of(recipe: Recipe, folder: Path) -> tuple[Learning, Callable[[Batch], None]]:
    """What the stage trains, and a function that makes its first step on a batch."""
    torch.manual_seed(0)
    prepared = STAGES[recipe.stage].prepare(recipe, ALONE)
    learning = Learning(recipe, prepared, ALONE, folder)

    def backward(batch: Batch) -> None:
        learning.before_step(1, 10, [])
        outcome = prepared.forward(learning.network, batch, 0.0)
        torch.autograd.backward(outcome.value.total)

    return learning, backward


@pytest.mark.parametrize("stage", ["autoencoder", "fusion", "end-to-end", "distill"])
def test_a_short_run_of_every_stage_leaves_a_whole_run_folder(
    tmp_path: Path, tiny: Tiny, stage: str
) -> None:
    recipe = tiny(stage)
    result = train(recipe, tmp_path / "run", data_root=None)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "done"
    assert (record["step"], record["stage"], record["seed"]) == (6, stage, 1)
    assert record["environment"]["processes"] == 1
    assert {entry["split"] for entry in record["data"]} == {"train", "held-out"}
    assert record["best"] == result.best
    with (tmp_path / "run" / "data.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == sum(entry["pairs"] for entry in record["data"])
    for entry in record["data"]:
        part = [
            row for row in listed if (row["set"], row["split"]) == (entry["set"], entry["split"])
        ]
        text = "".join(f"{row['sha256']}  {row['stem']}\n" for row in part)
        assert hashlib.sha256(text.encode()).hexdigest() == entry["sha256"]
    lines = list(map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()))
    assert [line["step"] for line in lines if line["kind"] == "train"] == [2, 4, 6]
    held_out = [line for line in lines if line["kind"] == "validation"]
    assert [line["step"] for line in held_out] == [0, 3, 6]
    assert held_out[0]["loss"] == result.held_out_before
    assert min(line["loss"] for line in held_out[1:]) == result.held_out_after
    last = json.loads((tmp_path / "run" / "held_out.json").read_text())
    assert len(last["per_image"]) == (0 if stage == "autoencoder" else 2)
    for name in ("best", "last"):
        assert isinstance(load(tmp_path / "run" / "checkpoints" / name), nn.Module)
    kept = read_record(tmp_path / "run" / "checkpoints" / "best").training
    assert kept.recipe == recipe.name
    assert kept.options["loss"]
    if stage != "autoencoder":
        assert kept.held_out[0].pictures == "2 held-out pairs of synthetic"
        assert kept.held_out[0].metrics == pytest.approx(last["metrics"])
    for step in (3, 6):
        preview = tmp_path / "run" / "previews" / f"step-{step:06d}.png"
        strip = cv2.imread(str(preview), cv2.IMREAD_GRAYSCALE)
        assert strip is not None
        assert strip.shape == (80, 3 * 96 + 8)
        assert np.std(strip[:, 200:]) > 1, "the third picture shows something"
    assert len(list((tmp_path / "run" / "events").iterdir())) == 1
    if stage == "fusion":
        needed = tmp_path / "run" / "needs" / "vis_encoder"
        assert read_recipe(needed / "recipe.toml").network.modality == "vis"


def test_encoders_get_no_gradient_in_fusion_and_are_those_of_the_checkpoints(
    tmp_path: Path, tiny: Tiny, batch: Batch
) -> None:
    encoders = {}
    for modality in ("ir", "vis"):
        run = tmp_path / modality
        train(tiny("autoencoder", "steps=1", f"network.modality={modality}"), run, data_root=None)
        encoders[modality] = run / "checkpoints" / "best"
    words = [f"network.{name}_encoder={folder}" for name, folder in encoders.items()]
    learning, backward = learning_of(tiny("fusion", *words), tmp_path / "bad")
    backward(batch)
    for name, parameter in learning.network.named_parameters():
        if "encoder" in name.partition(".")[0]:
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
    for modality, folder in encoders.items():
        trained = load(folder).get_submodule("encoder").state_dict()
        used = learning.network.get_submodule(f"{modality}_encoder").state_dict()
        assert all(torch.equal(trained[name], used[name]) for name in trained)
    swapped = tiny("fusion", *words, "network.options={shallow_channels=8,heads=4}")
    with pytest.raises(InvalidInput, match="of another width"):
        learning_of(swapped, tmp_path / "bad")


def test_all_parameters_of_the_encoders_learn_end_to_end(
    tmp_path: Path, tiny: Tiny, batch: Batch
) -> None:
    learning, backward = learning_of(tiny("end-to-end", "network.frozen=[]"), tmp_path / "bad")
    backward(batch)
    silent = [
        name
        for name, parameter in learning.network.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.any())
    ]
    # A bias before a batch norm changes nothing, and keys' biases cancel in every softmax.
    assert [name for name in silent if "encoder" in name] == []
    assert all(
        parameter.grad is not None and bool(parameter.grad.any())
        for parameter in learning.companions.parameters()
    ), "the decoders of the reconstruction term learn too"


def test_frozen_parts_learn_from_their_share_of_the_run_on(
    tmp_path: Path, tiny: Tiny, batch: Batch
) -> None:
    recipe = tiny("end-to-end", "steps=4", "network.frozen=[{prefix='ir_encoder',until=0.5}]")
    torch.manual_seed(0)
    prepared = STAGES["end-to-end"].prepare(recipe, ALONE)
    learning = Learning(recipe, prepared, ALONE, tmp_path)
    encoder = learning.network.get_submodule("ir_encoder")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    moved = []
    for step in range(1, 5):
        learning.before_step(step, 10, [])
        update(learning.learner, prepared.forward, step, batch, (step - 1) / 4)
        now = encoder.state_dict()
        moved.append(any(not torch.equal(before[name], now[name]) for name in before))
    assert moved == [False, False, True, True]
    rates = learning.rates()
    assert rates["deep_fusion"] == pytest.approx(0.5 * rates["all"])
    with pytest.raises(UnknownName, match="did you mean 'ir_encoder'"):
        learning_of(tiny("end-to-end", "network.frozen=[{prefix='ir_encodr'}]"), tmp_path)


def test_the_teacher_sees_the_aligned_pair_and_the_student_the_moved_one(
    tmp_path: Path, tiny: Tiny, batch: Batch
) -> None:
    teacher = tmp_path / "teacher"
    train(tiny("end-to-end", "steps=1"), teacher, data_root=None)
    checkpoint = teacher / "checkpoints" / "best"
    perceptual = (
        f"loss.perceptual={{weight=1.0,target='teacher',extractor='encoders',"
        f"weights='{checkpoint}',ramp={{after=0.5,until=0.8}}}}"
    )
    recipe = tiny("distill", f"distill.teacher={checkpoint}", perceptual)
    prepared = STAGES["distill"].prepare(recipe, ALONE)
    outcome = prepared.forward(prepared.network, batch, 1.0)
    network = load(checkpoint)
    with torch.no_grad():
        wanted = network(batch.aligned_ir, batch.vis).clamp(0, 255)
        student = prepared.network(batch.ir, batch.vis)
    assert outcome.inputs.teacher is not None
    assert torch.equal(outcome.inputs.teacher, wanted)
    assert torch.equal(outcome.inputs.fused, student)
    ((mine, theirs),) = outcome.inputs.features
    assert mine.shape == theirs.shape
    assert mine.requires_grad
    assert not theirs.requires_grad
    parts = [
        set(prepared.forward(prepared.network, batch, progress).value.parts) - {"feature"}
        for progress in (0.0, 0.5, 1.0)
    ]
    assert parts == [{"l1"}, {"l1", "ssim"}, {"l1", "ssim", "perceptual"}], "the warm-up"


def test_a_student_learns_from_a_folder_of_pictures(tmp_path: Path, tiny: Tiny) -> None:
    scenes = ("data.without_root=[{name='made',licence='ours',layout='synthetic',count=6,"
              "height=64,width=64}]")  # fmt: skip
    (tmp_path / "fused" / "made").mkdir(parents=True)
    words = [scenes, "distill.taps=[]", f"distill.teacher={tmp_path / 'fused'}",
             "loss={l1={weight=1.0,target='teacher'}}", "augment.crop=48"]  # fmt: skip
    with pytest.raises(InvalidInput, match="teacher"):
        train(tiny("distill", *words), tmp_path / "none", data_root=None)
    for index in range(6):
        picture = np.full((64, 64), 200, np.uint8)
        cv2.imwrite(str(tmp_path / "fused" / "made" / f"{index:05d}.png"), picture)
    result = train(tiny("distill", *words, "steps=30"), tmp_path / "run", data_root=None)
    assert result.held_out_after < result.held_out_before
    taps = "distill.taps=[{student='merge_eighth',teacher='deep_fusion'}]"
    tapped = tiny("distill", *words[:1], taps, words[2])
    with pytest.raises(InvalidInput, match="a checkpoint as teacher"):
        train(tapped, tmp_path / "tapped", data_root=None)


def test_training_and_evaluation_compute_the_same_where_no_statistics_are_involved() -> None:
    torch.manual_seed(0)
    network = build("base", decoder_norm="none", residual_gates=True, growth_channels=4,
                    half_channels=8, deep_channels=8, heads=2, decoder_channels=8, tile=8,
                    tile_overlap=2, lift=0.0)  # fmt: skip
    ir, vis = 255 * torch.rand(1, 1, 75, 130), 255 * torch.rand(1, 1, 75, 130)
    with torch.no_grad():
        assert torch.equal(network.train()(ir, vis), network.eval()(ir, vis))


def test_accumulated_parts_give_the_step_of_the_whole_batch(
    tmp_path: Path, tiny: Tiny, batch: Batch
) -> None:
    """With a network without batch statistics, up to the rounding of sums."""
    words = ["network.variant=rt", "network.frozen=[]", "optimiser.factors={}", "steps=1",
             "loss={l1={weight=1.0}}", "optimiser.ema=0.5",
             "network.options={quarter_channels=4,eighth_channels=4}"]  # fmt: skip
    weights: list[nn.Module] = []
    for parts in (1, 2):
        recipe = tiny("end-to-end", *words, f"optimiser.accumulate={parts}")
        torch.manual_seed(0)
        prepared = STAGES["end-to-end"].prepare(recipe, ALONE)
        learning = Learning(recipe, prepared, ALONE, tmp_path)
        learning.before_step(1, 1, [])
        losses = update(learning.learner, prepared.forward, 1, batch, 0.0)
        assert losses["total"] == pytest.approx(losses["l1"])
        weights.append(learning.network)
    for one, other in zip(weights[0].parameters(), weights[1].parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run_with_its_batch_kept(
    tmp_path: Path, tiny: Tiny
) -> None:
    recipe = tiny("autoencoder", "optimiser.learning_rate=1e30", "schedule.kind=constant",
                  "validation.every=100", "steps=20")  # fmt: skip
    with pytest.raises(EngineError, match="is not finite; the batch is in"):
        train(recipe, tmp_path / "run", data_root=None)
    assert list((tmp_path / "run" / "state").glob("not-finite-*.npz"))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_early_stopping_ends_the_run_as_done(tmp_path: Path, tiny: Tiny) -> None:
    recipe = tiny("autoencoder", "optimiser.learning_rate=1e-12", "schedule.kind=constant",
                  "steps=50", "validation.every=2", "validation.patience=2")  # fmt: skip
    result = train(recipe, tmp_path / "run", data_root=None)
    assert result.steps < 50
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["step"]) == ("done", result.steps)
    again = train(recipe, tmp_path / "run", data_root=None, resume=True)
    assert again == result

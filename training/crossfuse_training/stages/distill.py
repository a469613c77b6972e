"""Stage distill: a student learns to do what a teacher does.

The teacher is a checkpoint, or a folder of pictures that it fused. A network sees the aligned pair
while the student may get the infrared moved, so that the student learns to put up with that. The
loss may change on the way, such as from L1 to L1 and SSIM to perceptual, by the ramps of its terms.
"""

from __future__ import annotations

from torch import nn

from crossfuse.errors import InvalidInput
from crossfuse_training.data import Batch
from crossfuse_training.losses import LossInputs
from crossfuse_training.recipe import Recipe
from crossfuse_training.stages.features import captured
from crossfuse_training.stages.learning import Prepared
from crossfuse_training.stages.losses_of import losses_of
from crossfuse_training.stages.run import Run
from crossfuse_training.stages.starting_network import starting_network
from crossfuse_training.stages.step import Outcome, update
from crossfuse_training.stages.teacher import Teacher, adapters_for
from crossfuse_training.stages.workers import Workers


def prepare(recipe: Recipe, workers: Workers) -> Prepared:
    """The student, its teacher, and the adapters between their features."""
    if recipe.distill is None:
        raise InvalidInput("distill", "no table", "a [distill] table")
    network = starting_network(recipe)
    losses = losses_of(recipe, workers.device)
    taps = recipe.distill.taps
    teacher = Teacher(recipe.distill, workers.device)
    adapters = adapters_for(taps, network, teacher.network)

    def forward(network: nn.Module, batch: Batch, progress: float) -> Outcome:
        with captured(network, [tap.student for tap in taps]) as features:
            fused = network(batch.ir, batch.vis)
        answer = teacher(batch)
        mine = [features[tap.student] for tap in taps]
        pairs = adapters(mine, answer.features) if taps else ()
        inputs = LossInputs(
            fused, batch.aligned_ir, batch.vis, batch.background, answer.picture, pairs
        )
        return Outcome(inputs, losses(inputs, progress))

    companions = nn.ModuleDict({"adapters": adapters})
    return Prepared(network, forward, companions, recipe.network.frozen)


def train(run: Run) -> None:
    """Every step: student and teacher fuse, compare, and move the student."""
    for step, batch in run.batches():
        progress = run.progress(step)
        losses = update(run.learner, run.forward, step, batch, progress, watch=run.watch)
        run.after(step, losses)

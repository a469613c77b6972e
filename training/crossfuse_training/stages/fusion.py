"""Stage fusion: deep fusion, skips and decoder learn between two trained encoders.

The encoders come from checkpoints of stage autoencoder and are frozen: they get no gradient.
"""

from __future__ import annotations

from torch import nn

from crossfuse_training.data import Batch
from crossfuse_training.losses import LossInputs
from crossfuse_training.recipe import Recipe
from crossfuse_training.recipe_tables import Frozen
from crossfuse_training.stages.learning import Prepared
from crossfuse_training.stages.losses_of import losses_of
from crossfuse_training.stages.rebuilding import ENCODERS
from crossfuse_training.stages.run import Run
from crossfuse_training.stages.starting_network import starting_network
from crossfuse_training.stages.step import Outcome, update
from crossfuse_training.stages.workers import Workers


def prepare(recipe: Recipe, workers: Workers) -> Prepared:
    """The network with the encoders of the recipe."""
    losses = losses_of(recipe, workers.device)

    def forward(network: nn.Module, batch: Batch, progress: float) -> Outcome:
        fused = network(batch.ir, batch.vis)
        inputs = LossInputs(fused, batch.aligned_ir, batch.vis, batch.background)
        return Outcome(inputs, losses(inputs, progress))

    frozen = (*(Frozen(name) for name in ENCODERS), *recipe.network.frozen)
    return Prepared(starting_network(recipe), forward, nn.ModuleDict(), frozen)


def train(run: Run) -> None:
    """Every step: fuse, compare, and move all but the encoders."""
    for step, batch in run.batches():
        progress = run.progress(step)
        losses = update(run.learner, run.forward, step, batch, progress, watch=run.watch)
        run.after(step, losses)

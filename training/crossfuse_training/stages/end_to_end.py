"""Stage end-to-end: a whole network from pairs of pictures, without a teacher.

Optionally each encoder is also asked to keep what its picture shows ([loss.reconstruction]), parts
stay frozen for a while ([[network.frozen]]), and parts learn at rates of their own
([optimiser.factors]).
"""

from __future__ import annotations

from torch import nn

from crossfuse_training.data import Batch
from crossfuse_training.losses import LossInputs
from crossfuse_training.recipe import Recipe
from crossfuse_training.stages.features import captured
from crossfuse_training.stages.learning import Prepared
from crossfuse_training.stages.losses_of import losses_of
from crossfuse_training.stages.rebuilding import ENCODERS, Rebuilding
from crossfuse_training.stages.run import Run
from crossfuse_training.stages.starting_network import family, starting_network
from crossfuse_training.stages.step import Outcome, update
from crossfuse_training.stages.workers import Workers


def prepare(recipe: Recipe, workers: Workers) -> Prepared:
    """The network, and the decoders of the reconstruction term where there is one."""
    network = starting_network(recipe)
    losses = losses_of(recipe, workers.device)
    term = recipe.loss.reconstruction
    rebuilding = None if term is None else Rebuilding(term, family(network))

    def forward(network: nn.Module, batch: Batch, progress: float) -> Outcome:
        with captured(network, () if rebuilding is None else ENCODERS) as features:
            fused = network(batch.ir, batch.vis)
        inputs = LossInputs(fused, batch.aligned_ir, batch.vis, batch.background)
        value = losses(inputs, progress)
        if rebuilding is not None:
            value = rebuilding.added_to(value, features, batch, progress)
        return Outcome(inputs, value)

    companions = nn.ModuleDict() if rebuilding is None else rebuilding.decoders
    return Prepared(network, forward, companions, recipe.network.frozen)


def train(run: Run) -> None:
    """Every step: fuse, compare, and move all that is not frozen."""
    for step, batch in run.batches():
        progress = run.progress(step)
        losses = update(run.learner, run.forward, step, batch, progress, watch=run.watch)
        run.after(step, losses)

"""Stage autoencoder: the encoder of one modality learns to keep what its pictures show.

Encoder and reconstruction decoder are trained on the pictures of that modality alone; stage fusion
takes the encoder.
"""

from __future__ import annotations

from torch import nn

from crossfuse.errors import InvalidInput
from crossfuse_training.data import Batch
from crossfuse_training.losses import LossInputs, ReconstructionLosses
from crossfuse_training.recipe import Recipe
from crossfuse_training.stages.learning import Prepared
from crossfuse_training.stages.run import Run
from crossfuse_training.stages.starting_network import starting_network
from crossfuse_training.stages.step import Outcome, update
from crossfuse_training.stages.workers import Workers


def prepare(recipe: Recipe, workers: Workers) -> Prepared:
    """The auto-encoder that fits the recipe's variant."""
    del workers  # nothing but the network itself goes to a device
    term = recipe.loss.reconstruction
    if term is None:
        raise InvalidInput("loss", "no reconstruction", "[loss.reconstruction]")
    losses = ReconstructionLosses(term)
    of_infrared = recipe.network.modality == "ir"

    def forward(network: nn.Module, batch: Batch, progress: float) -> Outcome:
        picture = batch.ir if of_infrared else batch.vis
        rebuilt = network(picture)
        inputs = LossInputs(rebuilt, picture, picture, batch.background)
        return Outcome(inputs, losses(rebuilt, picture, progress))

    network = starting_network(recipe)
    return Prepared(network, forward, nn.ModuleDict(), recipe.network.frozen)


def train(run: Run) -> None:
    """Every step: rebuild the pictures, compare, and move encoder and decoder."""
    for step, batch in run.batches():
        losses = update(run.learner, run.forward, step, batch, run.progress(step))
        run.after(step, losses)

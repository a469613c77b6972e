"""A run while it goes: batches come in, and what is due after a step is done."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, cast

from torch import nn

from crossfuse.errors import CrossFuseError, InvalidInput
from crossfuse_training.checkpoint import load
from crossfuse_training.data import Batch, Batches, Data, PairFiles
from crossfuse_training.losses import InertReport
from crossfuse_training.optimisation import EarlyStopping
from crossfuse_training.recipe import Recipe
from crossfuse_training.recipe_tables import LOSS_METRIC
from crossfuse_training.runs.folder import RunFolder
from crossfuse_training.runs.progress import Progress
from crossfuse_training.runs.state import (
    TrainState,
    load_state,
    random_state,
    restore_random,
    save_state,
)
from crossfuse_training.stages.keeping import Keeper
from crossfuse_training.stages.learning import Learning, Prepared
from crossfuse_training.stages.reporting import Reporter
from crossfuse_training.stages.step import Forward, Learner, Outcome, to_device
from crossfuse_training.stages.validation import (
    Validation,
    chosen_pairs,
    higher_is_better,
    validate,
)
from crossfuse_training.stages.workers import Workers


class Run:
    """Everything around the step of a stage's loop."""

    def __init__(
        self, recipe: Recipe, folder: RunFolder, data: Data, prepared: Prepared, workers: Workers
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.forward: Forward = prepared.forward
        self.step = 0
        self._data = data
        self._pairs = chosen_pairs(data, recipe.validation.pairs)
        self._workers = workers
        self._rows = workers.rows(recipe.batch)
        self._batches = Batches(
            data,
            recipe.augment,
            recipe.curriculum,
            seed=recipe.seed,
            batch=recipe.batch,
            steps=recipe.steps,
        )
        self._learning = Learning(recipe, prepared, workers, folder.state)
        self._steps_per_epoch = max(1, len(data.train) // recipe.batch)
        self._progress = Progress(recipe.steps, recipe.batch)
        self._stopping = EarlyStopping(
            recipe.validation.patience, higher_is_better=higher_is_better(recipe.validation)
        )
        self._inert = InertReport()
        self._history: list[float] = []
        self._waited = 0.0
        self._keeper = Keeper(recipe, folder, data, workers)
        self._restore()
        self._check_where_the_others_are()
        self._reporter: Reporter | None = None
        if workers.is_first:
            folder.forget_later_files(self.step)
            self._reporter = Reporter(folder, self._progress, recipe.batch, self.step)
            self.record("running")

    @property
    def learner(self) -> Learner:
        """What `update` changes."""
        return self._learning.learner

    @property
    def best(self) -> dict[str, Any]:
        """Step, metric and value of the best validation; empty before the first."""
        if self._stopping.best is None:
            return {}
        metric = self.recipe.validation.metric
        return {"step": self._stopping.best_step, "metric": metric, "value": self._stopping.best}

    @property
    def is_over(self) -> bool:
        """Whether no step is left, or too many validations brought nothing better."""
        return self.step >= self.recipe.steps or self._stopping.should_stop

    def progress(self, step: int) -> float:
        """The share of the run that is done before a step counted from 1."""
        return (step - 1) / self.recipe.steps

    def batches(self) -> Iterator[tuple[int, Batch]]:
        """The steps that are left, counted from 1, with this process's rows of their batches.

        Before a step is given out, its learning rate and what is frozen in it are set.
        """
        if self.is_over:
            return
        if self.step == 0:
            self._validate()
        made = cast("Generator[Batch]", self._batches.iterate(self.step, self._rows))
        with closing(made):
            # The very first batch is start-up, not waiting.
            batch = next(made)
            self._progress.pause()
            while not self.is_over:
                step = self.step + 1
                self._learning.before_step(step, self._steps_per_epoch, self._history)
                yield step, to_device(batch, self._workers.device)
                if not self.is_over:
                    began = time.monotonic()
                    batch = next(made)
                    self._waited = time.monotonic() - began

    def watch(self, outcome: Outcome) -> None:
        """Look for terms of the loss that change nothing."""
        step = self.step + 1
        if self._reporter is not None:
            found = self._inert.observe(step, outcome.value, outcome.inputs.fused)
            for term, share in found.items():
                self._reporter.inert(step, term, share)

    def after(self, step: int, losses: dict[str, float]) -> None:
        """Log, preview, validate and save what is due after a step that was made."""
        self.step = step
        self._learning.after_step()
        self._progress.add(losses, self._waited)
        plan, ends = self.recipe.run, step == self.recipe.steps
        if self._reporter is not None and (ends or step % plan.log_every == 0):
            self._reporter.training(step, self._learning.rates(), self._learning.network)
        if self._reporter is not None and (ends or step % plan.preview_every == 0):
            with self._learning.evaluating() as network:
                pair = self._data.read(self._pairs[0])
                self._reporter.preview(step, network, self.forward, pair)
        if ends or step % self.recipe.validation.every == 0:
            self._validate()
        if self.is_over or step % plan.checkpoint_every == 0:
            self._save()
        self._progress.pause()

    def finish(self) -> None:
        """The last word: the best checkpoint on all held-out pairs, and the run's record."""
        if self._workers.is_first and not self.folder.held_out.is_file():
            network = load(self.folder.best).to(self._workers.device)
            found = self._measured(network, self._data.held_out)
            self._keeper.checkpoint("best", network, found)
            self._keeper.last_word(self._stopping.best_step, found)
        self.record("done")

    def record(self, status: str, error: str | None = None) -> None:
        """Replace run.json."""
        if self._workers.is_first:
            self._keeper.record(status, self.step, self.best, error)

    def record_failure(self, error: BaseException) -> None:
        """Say in run.json how the run broke off; a full disk must not hide the error itself."""
        with suppress(CrossFuseError):
            self.record("failed", f"{type(error).__name__}: {error}")

    def _validate(self) -> None:
        """Measure held-out pairs, and keep the weights when they are the best so far."""
        value = loss = 0.0
        if self._reporter is not None:
            with self._learning.evaluating() as network:
                found = self._measured(network, self._pairs)
                self._reporter.validation(self.step, found)
                loss = found.loss
                metric = self.recipe.validation.metric
                # Undefined on every picture: no value, which is never the best.
                value = loss if metric == LOSS_METRIC else found.metrics.get(metric, math.nan)
                if self.step > 0 and self._stopping.update(self.step, value):
                    self._keeper.checkpoint("best", network, found)
        self._stopping.load_state_dict(self._workers.from_first(self._stopping.state_dict()))
        self._history.append(self._workers.from_first(loss))

    def _measured(self, network: nn.Module, pairs: Sequence[PairFiles]) -> Validation:
        return validate(
            network,
            self.forward,
            map(self._data.read, pairs),
            self.recipe.validation,
            self._workers.device,
            with_metrics=self.recipe.stage != "autoencoder",
        )

    def _save(self) -> None:
        if not self._workers.is_first:
            return
        with self._learning.evaluating() as network:
            self._keeper.checkpoint("last", network, None)
        save_state(
            self.folder.state,
            TrainState(
                step=self.step,
                seconds=self._keeper.seconds,
                weights=self._learning.weights(),
                optimiser=self.learner.optimiser.state_dict(),
                helpers={
                    **self._learning.helpers(),
                    "stopping": self._stopping.state_dict(),
                    "losses": self._progress.state(),
                },
                history=self._history,
                random=random_state(),
            ),
        )
        self.record("running")

    def _restore(self) -> None:
        state = load_state(self.folder.state)
        if state is None:
            return
        self.step = state.step
        self._keeper.seconds_before = state.seconds
        self._learning.restore(state.weights, state.optimiser, state.helpers)
        self._stopping.load_state_dict(state.helpers["stopping"])
        self._progress.restore(state.helpers["losses"])
        self._history = list(state.history)
        restore_random(state.random)

    def _check_where_the_others_are(self) -> None:
        """Processes that resume from different steps would wait for each other forever."""
        step = self._workers.from_first(self.step)
        if step != self.step:
            raise InvalidInput(
                "output",
                f"{self.folder.path} at step {self.step}, and the first process is at step {step}",
                "one folder that all machines share",
            )

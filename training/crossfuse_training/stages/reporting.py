"""What a run says while it goes: metrics.jsonl, TensorBoard events, previews and lines to read."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import nn

from crossfuse_training.data import Pair
from crossfuse_training.runs.events import EventFile
from crossfuse_training.runs.folder import RunFolder
from crossfuse_training.runs.previews import write_preview
from crossfuse_training.runs.progress import Progress
from crossfuse_training.stages.step import Forward
from crossfuse_training.stages.validation import FINISHED, Validation, as_batch

_log = logging.getLogger(__name__)


class Reporter:
    """Writes for the first process of a run."""

    def __init__(self, folder: RunFolder, progress: Progress, batch: int, step: int) -> None:
        """`batch`: pairs of each step; `step`: those that were made before."""
        self._folder = folder
        self._progress = progress
        self._batch = batch
        self._events = EventFile(folder.events, step)

    def training(self, step: int, rates: Mapping[str, float], network: nn.Module) -> None:
        """The means over the steps since the last line."""
        entry = self._progress.entry(step, rates, network)
        self._folder.metrics.append(entry)
        scalars = {"train/total": entry["total"], "learning_rate": entry["learning_rate"]}
        scalars |= {f"train/{name}": value for name, value in entry["parts"].items()}
        scalars |= {"pairs_per_second": entry["rate"], "wait_share": entry["wait_share"]}
        for kind in ("temperatures", "gates"):
            for name, values in entry[kind].items():
                scalars[f"{kind}/{name}"] = sum(values) / len(values)
        self._events.scalars(step, scalars)
        _log.info("%s", self._progress.line(entry))

    def validation(self, step: int, found: Validation) -> None:
        """The held-out loss and metrics after so many steps."""
        entry = {"kind": "validation", "step": step, "pairs_seen": step * self._batch}
        self._folder.metrics.append({**entry, "loss": found.loss, "metrics": found.metrics})
        scalars = {f"held-out/{name}": value for name, value in found.metrics.items()}
        self._events.scalars(step, {"held-out/loss": found.loss, **scalars})
        words = "".join(f"  {name} {value:.4f}" for name, value in found.metrics.items())
        _log.info("step %d  held-out loss %.4f%s", step, found.loss, words)

    @torch.no_grad()
    def preview(self, step: int, network: nn.Module, forward: Forward, pair: Pair) -> None:
        """The pair and what the network makes of it."""
        batch = as_batch(pair, next(network.parameters()).device)
        fused = forward(network, batch, FINISHED).inputs.fused
        path = self._folder.previews / f"step-{step:06d}.png"
        write_preview(path, batch.ir, batch.vis, fused)

    def inert(self, step: int, term: str, share: float) -> None:
        """A term of the loss that changes nothing."""
        _log.warning("loss.%s is inert: %.4f %% of the gradient", term, 100 * share)
        entry = {"kind": "inert", "step": step, "term": term, "share": share}
        self._folder.metrics.append(entry)

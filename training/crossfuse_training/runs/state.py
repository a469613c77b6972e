"""The state of a run between two steps: all that is needed to go on as if nothing had happened."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from crossfuse.errors import InvalidInput
from crossfuse.images import write_file

STATE_NAME = "state.pt"


@dataclass
class TrainState:
    """Plain containers, numbers and tensors only: it is read back without running any code."""

    step: int
    """Steps that are done."""
    seconds: float
    """Time that they took."""
    weights: dict[str, Any]
    """Of everything that learns, as the optimiser sees them (not averaged)."""
    optimiser: dict[str, Any]
    helpers: dict[str, Any]
    """States of what stands beside it, by name: loss scaling, averages, early stopping, losses."""
    history: list[float]
    """The held-out loss of every validation so far."""
    random: dict[str, Any]
    """States of torch's generators."""


def save_state(folder: Path, state: TrainState) -> None:
    """Replace the state in one move: a full disk or a kill leaves the one before."""
    content = io.BytesIO()
    torch.save(vars(state), content)
    write_file(folder / STATE_NAME, content.getvalue())


def load_state(folder: Path) -> TrainState | None:
    """The state, on the CPU; None before the first one was saved."""
    path = folder / STATE_NAME
    if not path.is_file():
        return None
    try:
        return TrainState(**torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, pickle.UnpicklingError, TypeError, EOFError) as error:
        raise InvalidInput(str(path), f"a damaged file ({error})", "the state of a run") from None


def random_state() -> dict[str, Any]:
    """The states of torch's generators, of every device in use."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random(state: dict[str, Any]) -> None:
    """Put the generators back."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])

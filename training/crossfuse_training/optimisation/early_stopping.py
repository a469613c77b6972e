"""Ends a run whose held-out measure no longer gets better."""

from __future__ import annotations

from typing import Any

from crossfuse.errors import InvalidInput


class EarlyStopping:
    """Follows one measure: which value was best, and whether too many followed it."""

    def __init__(self, patience: int, *, higher_is_better: bool) -> None:
        """`patience`: how many values in a row may be no better; 0 never stops."""
        if patience < 0:
            raise InvalidInput("validation.patience", repr(patience), "0 or more")
        self.patience = patience
        self.higher_is_better = higher_is_better
        self.best: float | None = None
        self.best_step = 0
        self.waited = 0

    def update(self, step: int, value: float) -> bool:
        """Take the value of a validation; whether it is the best so far. NaN never is."""
        best = self.best
        better = value == value and (
            best is None or (value > best if self.higher_is_better else value < best)
        )
        if better:
            self.best, self.best_step, self.waited = value, step, 0
        else:
            self.waited += 1
        return better

    @property
    def should_stop(self) -> bool:
        return 0 < self.patience <= self.waited

    def state_dict(self) -> dict[str, Any]:
        """For resume."""
        return {"best": self.best, "best_step": self.best_step, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_step = state["best"], state["best_step"]
        self.waited = state["waited"]

"""Several machines: a run is resumed from one folder, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.recipe import Recipe
from crossfuse_training.stages import train
from crossfuse_training.stages.workers import Workers


def test_a_machine_without_the_shared_folder_says_so(
    tmp_path: Path, tiny: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process resumed at step 4; this one sees no state, and would wait forever."""

    def from_first(_: Workers, value: Any) -> Any:
        return 4 if value == 0 else value

    monkeypatch.setattr(Workers, "from_first", from_first)
    message = "output: got .*run at step 0, and the first process is at step 4; valid: one folder"
    with pytest.raises(InvalidInput, match=message):
        train(tiny("end-to-end"), tmp_path / "run", data_root=None)

"""The stages of training, each a visible loop over one shared step.

result = train(read_recipe(path), Path("runs/base"), data_root=Path("data"))
"""

from __future__ import annotations

from crossfuse_training.stages.train import RunResult, train

__all__ = ["RunResult", "train"]

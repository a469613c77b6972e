"""Names in the folder of a run: for what writes them, and for what reads them without torch."""

from __future__ import annotations

RUN_NAME = "run.json"
RECIPE_NAME = "recipe.toml"
LOG_NAME = "metrics.jsonl"
DATA_NAME = "data.csv"
HELD_OUT_NAME = "held_out.json"
CHECKPOINTS_NAME = "checkpoints"
BEST_NAME = "best"

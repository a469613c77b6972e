"""The pairs of a training run: found, checked, split, kept in memory, cut and augmented.

data = open_data(config, root_of(None), seed=1)
batches = Batches(data, augment, curriculum, seed=1, batch=16, steps=1000)
for batch in batches.iterate(start_step=0): ...
for pair in map(data.read, data.held_out): ...
"""

from __future__ import annotations

from crossfuse_training.data.augment import Cut, augment
from crossfuse_training.data.augment_config import (
    AugmentConfig,
    InfraredNoise,
    Misalign,
    Photometric,
)
from crossfuse_training.data.batches import Batch, Batches
from crossfuse_training.data.config import (
    CurriculumConfig,
    CurriculumStage,
    DataConfig,
    DataSet,
)
from crossfuse_training.data.layouts import Rejected
from crossfuse_training.data.open_data import (
    Data,
    ListedPair,
    SetSummary,
    open_data,
    root_of,
)
from crossfuse_training.data.pair import Pair, PairFiles

__all__ = [
    "AugmentConfig",
    "Batch",
    "Batches",
    "CurriculumConfig",
    "CurriculumStage",
    "Cut",
    "Data",
    "DataConfig",
    "DataSet",
    "InfraredNoise",
    "ListedPair",
    "Misalign",
    "Pair",
    "PairFiles",
    "Photometric",
    "Rejected",
    "SetSummary",
    "augment",
    "open_data",
    "root_of",
]

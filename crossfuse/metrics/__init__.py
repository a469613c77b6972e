"""Fusion metrics whose definitions are stated: numpy and OpenCV only.

`evaluate_pair` scores one fused picture, `score_pairs` many scenes in parallel, `evaluate_video` a
fused video; `describe` and `describe_video` say what each number is.
"""

from crossfuse.metrics.baselines import BASELINES, average, laplacian_pyramid, maximum
from crossfuse.metrics.picture import Picture, SourcePair, to_grey
from crossfuse.metrics.profiles import PROFILES
from crossfuse.metrics.registry import Description, Metric
from crossfuse.metrics.scoring import (
    ALL_METHODS,
    PairScores,
    Pictures,
    Summary,
    describe,
    evaluate_fused,
    evaluate_pair,
    score_pairs,
    summarize,
)
from crossfuse.metrics.video import VideoScorer, describe_video, evaluate_video

__all__ = [
    "ALL_METHODS",
    "BASELINES",
    "PROFILES",
    "Description",
    "Metric",
    "PairScores",
    "Picture",
    "Pictures",
    "SourcePair",
    "Summary",
    "VideoScorer",
    "average",
    "describe",
    "describe_video",
    "evaluate_fused",
    "evaluate_pair",
    "evaluate_video",
    "laplacian_pyramid",
    "maximum",
    "score_pairs",
    "summarize",
    "to_grey",
]

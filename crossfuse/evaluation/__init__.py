"""Scores fusion methods on folders of pictures and writes reports about them.

scenes.py                   which files belong together, and how they are read
methods.py, servers.py      what can be scored
scoring.py, table.py        running it; all scores, and problems per file
statistics.py, ranks.py     intervals, significance, ranks
standings.py                what reports print, computed from the table
summary.py, markdown.py     as JSON and as Markdown
wording.py, text_tables.py  what Markdown and HTML share
html_*.py, boxplots.py      as one HTML file; cases.py, previews.py: the pictures in it
detections.py               mAP of a user's own detector
"""

from crossfuse.evaluation.detections import DetectionScore, score_detections
from crossfuse.evaluation.methods import Method, folder_method, live_method
from crossfuse.evaluation.reports import write_reports
from crossfuse.evaluation.scenes import Scene, SceneReader
from crossfuse.evaluation.scoring import Evaluation, evaluate
from crossfuse.evaluation.summary import summary
from crossfuse.evaluation.table import Problem, ScoreTable
from crossfuse.images import PictureFolder

__all__ = [
    "DetectionScore",
    "Evaluation",
    "Method",
    "PictureFolder",
    "Problem",
    "Scene",
    "SceneReader",
    "ScoreTable",
    "evaluate",
    "folder_method",
    "live_method",
    "score_detections",
    "summary",
    "write_reports",
]

"""Ablation studies: what a study file declares, run one process at a time, and reported.

study.py        what a study file holds, with its rules
expansion.py    the runs that a study consists of, by phase
settings.py     settings of runs as words of the command line; overrides.py: those of a study
recipes.py      every run's recipe, checked before the first one starts
record.py       what was run so far; survives an interruption
training_process.py  one `crossfuse train`
engine.py       runs what is missing
selection.py    the best of a phase
noise.py        how much seeds alone change
analysis.py     from finished runs to means, differences and verdicts
factor_effects.py  what one factor changes, others equal
notes.py        what a reader must know before the results
report.py       writes it; as_json.py, as_csv.py, markdown.py, pictures.py: its forms
"""

from crossfuse_training.ablation.engine import Outcome, run_study
from crossfuse_training.ablation.expansion import Plan, PlannedRun, plan
from crossfuse_training.ablation.recipes import check_recipes
from crossfuse_training.ablation.record import Record, read_record
from crossfuse_training.ablation.report import write_report
from crossfuse_training.ablation.study import Study, read_study

__all__ = [
    "Outcome",
    "Plan",
    "PlannedRun",
    "Record",
    "Study",
    "check_recipes",
    "plan",
    "read_record",
    "read_study",
    "run_study",
    "write_report",
]

"""Studies whose runs are made by a trainer that only pretends, within milliseconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crossfuse_training.ablation import Outcome, Study, read_study, training_process

# Reads `demo.*` settings: the quality that the run reaches, `fail` (exit code 1), `crash_once` (it
# ends itself by a signal in the middle of its first attempt). Keeps the rules of run folders.
TRAINER = """
import argparse, json, os, pathlib, random, signal, sys, tomllib

parser = argparse.ArgumentParser()
parser.add_argument("stage")
parser.add_argument("--config")
parser.add_argument("--output", type=pathlib.Path)
parser.add_argument("--data")
parser.add_argument("--resume", action="store_true")
parser.add_argument("words", nargs="*")
given = parser.parse_intermixed_args()
print("training with", sys.argv[1:], flush=True)
settings = {}
for word in given.words:
    key, _, text = word.partition("=")
    settings[key] = tomllib.loads("v = " + text)["v"]
if settings.get("demo.fail"):
    sys.exit("crossfuse train: the loss is no number")
recipe = given.output / "recipe.toml"
if recipe.exists() != given.resume:
    sys.exit("crossfuse train: --resume and the folder do not fit")
given.output.mkdir(parents=True, exist_ok=True)
recipe.write_text("".join(word + "\\n" for word in given.words if "demo" not in word))
run = {"schema": 1, "name": settings["name"], "stage": given.stage, "status": "running",
       "seconds": 1.5, "steps": 40, "seed": settings.get("seed", 0), "git_commit": "0" * 40,
       "data": [{"set": "set", "split": "held-out", "pairs": 6, "sha256": "a"}]}
(given.output / "run.json").write_text(json.dumps(run))
if settings.get("demo.crash_once") and not given.resume:
    os.kill(os.getpid(), signal.SIGKILL)
chance = random.Random(json.dumps(settings, sort_keys=True))
level = settings.get("demo.quality", 0.5) + chance.gauss(0, settings.get("demo.noise", 0.0))
per_image = {
    f"set/{number:02}": {"SSIM": level + 0.02 * number, "SCD": 1 + level, "Nabf": 0.3 - level / 10}
    for number in range(6)
}
lines = [
    {"kind": "validation", "step": step, "pairs_seen": 8 * step, "loss": 1 / (step + 1),
     "metrics": {"SSIM": level * step / 40}}
    for step in (0, 20, 40)
] + [
    {"kind": "train", "step": step, "pairs_seen": 8 * step, "total": 2 / step, "parts": {}}
    for step in (10, 20, 30, 40)
]
(given.output / "metrics.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
held_out = {"pictures": "6 pairs", "metrics": {}, "per_image": per_image}
(given.output / "held_out.json").write_text(json.dumps(held_out))
checkpoint = given.output / "checkpoints" / "best"
checkpoint.mkdir(parents=True, exist_ok=True)
run["status"] = "done"
(given.output / "run.json").write_text(json.dumps(run))
"""

RECIPE = 'name = "base"\nstage = "end-to-end"\n'

GRID = """
name = "grid"
recipe = "base.toml"
baseline = "g_001_q0.5_n0.0_same0"
rank_by = ["SSIM"]
id = "g_{number:03}_q{quality}_n{noise}_same{same}"
seeds = [1, 2]

[factors.quality]
key = "demo.quality"
default = 0.5

[factors.noise]
key = "demo.noise"
default = 0.0

[factors.same]
key = "demo.same"
default = false
same_function = true

[[phases]]
name = "quality"
grid.quality = [0.5, 0.9, 0.7, 0.6]

[[phases]]
name = "noise"
best = 2
grid.noise = [0.0, 0.001]
grid.same = [false, true]
"""


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`crossfuse train` is the pretending trainer."""
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)
    # -I -S: neither site-packages nor the user's settings, which take longer than the rest.
    command = (sys.executable, "-I", "-S", str(script))
    monkeypatch.setattr(training_process, "TRAIN_COMMAND", command)
    return script


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[[str], Study]:
    """A study from its TOML text, beside a base recipe."""

    def write(text: str) -> Study:
        (tmp_path / "base.toml").write_text(RECIPE)
        path = tmp_path / "study.toml"
        path.write_text(text)
        return read_study(path)

    return write


@pytest.fixture
def grid(write_study: Callable[[str], Study]) -> Study:
    """Two phases of two factors, one of which changes nothing."""
    return write_study(GRID)


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Collects what a study reports: give its `append`."""
    return []

"""Where the numbers of runs come from: pictures, code and machine, from their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crossfuse.evaluation.wording import counted
from crossfuse_training.run_comparison.run_folder import Run


def provenance(runs: Sequence[Run]) -> list[str]:
    """One line each; where runs differ, all that occur."""
    lines = []
    for name in dict.fromkeys(str(entry["set"]) for entry in _data(runs)):
        own = [entry for entry in _data(runs) if entry["set"] == name]
        parts = ", ".join(
            _distinct(
                f"{counted(int(entry['pairs']), 'pair')} {words}"
                for entry in own
                if entry["split"] == split
            )
            for split, words in (("train", "trained on"), ("held-out", "held out"))
        )
        licence = _distinct(str(entry["licence"]) for entry in own if entry.get("licence"))
        lines.append(f"{name}: {parts}" + (f"; licence: {licence}" if licence else ""))
    commits = _distinct(_short(str(run.info.get("git_commit", "unknown"))) for run in runs)
    machine = _distinct(_machine(run.info.get("environment", {})) for run in runs)
    seconds = sum(float(run.info.get("seconds") or 0) for run in runs)
    lines.append(f"commit {commits}; {machine}; {seconds / 60:.0f} minutes of training together")
    return lines


def _data(runs: Sequence[Run]) -> list[Mapping[str, Any]]:
    return [entry for run in runs for entry in run.info.get("data", ())]


def _short(commit: str) -> str:
    """The first 10 digits, and whether files had changed since."""
    return commit[:10] + ("-dirty" if commit.endswith("-dirty") else "")


def _machine(environment: Mapping[str, Any]) -> str:
    known = [str(environment[key]) for key in ("processor", "device") if environment.get(key)]
    if environment.get("threads"):
        known.append(counted(int(environment["threads"]), "thread"))
    if environment.get("torch"):
        known.append(f"torch {environment['torch']}")
    return ", ".join(known) or "machine unknown"


def _distinct(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))

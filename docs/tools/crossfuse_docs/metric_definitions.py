"""The reference of the metrics, from what `crossfuse.metrics` says of each."""

from __future__ import annotations

from collections.abc import Iterator

from crossfuse.metrics import PROFILES, Description, describe
from crossfuse_docs.prose import one_line

INTRODUCTION = """\
# Metrics

What each number of `crossfuse evaluate` is. `cddfuse` (the default) has the definitions of the
evaluator that most published tables use, `corrected` those of the references; where only one is
given they are the same. How to read them: [read the metrics](../guides/metrics.md)."""


def page() -> str:
    """docs/reference/metrics.md"""
    names = dict.fromkeys(entry.name for profile in PROFILES for entry in describe(profile))
    found = {
        name: {
            profile: entry
            for profile in PROFILES
            for entry in describe(profile)
            if entry.name == name
        }
        for name in names
    }
    parts = [INTRODUCTION]
    for name, by_profile in found.items():
        parts += _metric(name, by_profile)
    return "\n\n".join(parts) + "\n"


def _metric(name: str, by_profile: dict[str, Description]) -> Iterator[str]:
    first = next(iter(by_profile.values()))
    yield f"## {name}"
    yield f"{first.direction.capitalize()} is better. {one_line(first.reference)}."
    definitions = {entry.definition for entry in by_profile.values()}
    if len(definitions) == 1:
        only = f" Only in `{next(iter(by_profile))}`." if len(by_profile) == 1 else ""
        yield one_line(first.definition) + only
    else:
        yield "\n".join(
            f"- `{profile}`: {one_line(entry.definition)}" for profile, entry in by_profile.items()
        )

"""What a reader of a study's results must know before reading them."""

from __future__ import annotations

from crossfuse.evaluation.wording import counted
from crossfuse_training.ablation.analysis import Analysis
from crossfuse_training.ablation.selection import ranking

_NOT_RUN = ("missing", "running")


def notes(analysis: Analysis) -> list[str]:
    """In words, none where all went as planned."""
    plan, record = analysis.plan, analysis.record
    found = list(analysis.scores.notes)
    if not analysis.has_baseline:
        found.append(
            f"The baseline {plan.study.baseline} has no finished run: differences, and with them "
            "effects, cannot be stated."
        )
    if analysis.noise is None:
        found.append(
            "Every configuration was run once: how much the seed alone changes is not known, so "
            "no effect is shown, whatever the differences. Give two or more seeds."
        )
    failed = [run.id for run in plan.runs if record.status(run) == "failed"]
    if failed:
        found.append(f"{counted(len(failed), 'run')} failed: {', '.join(failed)}.")
    missing = [run for run in plan.runs if run.is_open or record.status(run) in _NOT_RUN]
    if missing:
        found.append(f"{counted(len(missing), 'run')} of {len(plan.runs)} not run yet.")
    for result in analysis.results:
        lacking = len(plan.study.seeds) - len(result.runs)
        if lacking:
            found.append(
                f"{result.configuration.name}: {counted(lacking, 'seed')} of "
                f"{len(plan.study.seeds)} without result; its mean is over the others."
            )
    return found + _selection_notes(analysis)


def _selection_notes(analysis: Analysis) -> list[str]:
    """Where the choice of a phase's winners was a near thing, or would be another one today."""
    plan, found = analysis.plan, []
    done = [each for result in analysis.results for each in result.runs]
    for phase, winners in analysis.record.winners.items():
        places = ranking(plan.of_phase(phase - 1), done, plan.study.rank_by)
        chosen = [p for p in places if dict(p.configuration.factors) in winners]
        names = [place.configuration.name for place in chosen]
        left_out = [place for place in places if place not in chosen]
        found.append(f"Phase {phase} varies the best of phase {phase - 1}: {', '.join(names)}.")
        for place in left_out:
            tied = [name for name in place.tied_with if name in names]
            if tied:
                found.append(
                    f"{place.configuration.name} has the same mean rank as {tied[-1]}, which was "
                    "taken because it stands before it in the study."
                )
        if chosen and any(p.mean_rank < chosen[-1].mean_rank for p in left_out):
            found.append(
                f"Results of phase {phase - 1} that came after phase {phase} began would choose "
                "other winners; those chosen then were kept."
            )
        found += _unseparated(analysis, names, [p.configuration.name for p in left_out])
    return found


def _unseparated(analysis: Analysis, chosen: list[str], left_out: list[str]) -> list[str]:
    """Whether noise alone could have chosen otherwise, by the first metric that decides."""
    by_name = {result.configuration.name: result for result in analysis.results}
    pairs = [(by_name[a], by_name[b]) for a in chosen[-1:] for b in left_out[:1]]
    for last, next_one in pairs:
        means = [result.effects[0].mean for result in (last, next_one)]
        floors = [r.effects[0].floor for r in (last, next_one) if r.effects[0].floor is not None]
        if None in means or not floors:
            continue
        if abs((means[0] or 0) - (means[1] or 0)) <= max(floors):
            return [
                f"{last.configuration.name} (chosen) and {next_one.configuration.name} (not) "
                "differ by less than the noise floor: the choice between them is chance."
            ]
    return []

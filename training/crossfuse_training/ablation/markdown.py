"""A study's results as Markdown."""

from __future__ import annotations

from crossfuse._version import __version__
from crossfuse.evaluation.wording import counted, interval, mean_rank, number, probability
from crossfuse_training.ablation import noise
from crossfuse_training.ablation.analysis import Analysis, Effect
from crossfuse_training.ablation.factor_effects import factor_effects
from crossfuse_training.ablation.notes import notes
from crossfuse_training.ablation.settings import words
from crossfuse_training.run_comparison.metric_names import arrow
from crossfuse_training.run_comparison.provenance import provenance
from crossfuse_training.run_comparison.tables import bullets, table

BARS_NAME = "differences.png"
HEAT_MAP_NAME = "heat-map.png"
CURVES_NAME = "curves.png"

_HOW_EFFECTS_ARE_JUDGED = (
    "An effect is *shown* where two chances fail to explain it: the difference is larger than "
    "the noise floor of the seeds, and the sign-flip test over pictures, corrected for all "
    "rows of this table, gives p below 0.05. Everything else is *no effect shown*, which does "
    "not mean that there is none. The intervals are bootstraps over pictures and know nothing "
    "of seeds."
)


def study_markdown(analysis: Analysis) -> str:
    """Ranking, effects, noise, factors and runs."""
    study = analysis.plan.study
    blocks = [
        f"# Study {study.name}",
        _what_was_done(analysis),
        bullets(provenance([run for result in analysis.results for _, run in result.runs])),
        *([bullets(f"**Note:** {note}" for note in notes(analysis))] if notes(analysis) else []),
        "## Ranking",
        f"By {', '.join(study.rank_by)}"
        + (" (mean of the ranks)" if len(study.rank_by) > 1 else "")
        + "; mean ± sample standard deviation over seeds. ↑ higher is better, ↓ lower is better; "
        "**bold**: an effect against the baseline is shown.",
        _ranking(analysis),
        f"![means]({HEAT_MAP_NAME})",
        f"## Effects against {study.baseline}",
        _HOW_EFFECTS_ARE_JUDGED,
        _effects(analysis),
        f"![differences]({BARS_NAME})",
        "## Noise",
        _noise(analysis),
        *_factors(analysis),
        "## While training",
        f"![curves]({CURVES_NAME})",
        "## Runs",
        _runs(analysis),
    ]
    return "\n\n".join(blocks) + "\n"


def _what_was_done(analysis: Analysis) -> str:
    study, done = analysis.plan.study, len(analysis.scores.runs)
    settings = ", ".join(f"`{word}`" for word in words(study.settings))
    return (
        f"{counted(len(analysis.results), 'configuration')}, {counted(done, 'finished run')} "
        f"({counted(len(study.seeds), 'seed')}), measured on "
        f"{counted(len(analysis.scores.pictures), 'held-out picture')}; recipe `{study.recipe}`"
        + (f" with {settings}" if settings else "")
        + f"; crossfuse {__version__}."
    )


def _ranking(analysis: Analysis) -> str:
    metrics = analysis.scores.metrics
    rows = []
    for result in analysis.results:
        name = result.configuration.name
        if name == analysis.plan.study.baseline:
            name += " (baseline)"
        cells = [_mean(effect) for effect in result.effects]
        place = mean_rank(result.place.mean_rank) + (" (tie)" if result.place.tied_with else "")
        rows.append([name, place, str(len(result.runs)), *cells])
    header = [f"{metric} {arrow(metric)}" for metric in metrics]
    return table(["configuration", "mean rank ↓", "seeds", *header], rows)


def _mean(effect: Effect) -> str:
    text = number(effect.mean) + (f" ± {number(effect.std)}" if effect.std is not None else "")
    return text if effect.verdict == "not shown" else f"**{text}**"


def _effects(analysis: Analysis) -> str:
    rows = []
    for result in analysis.results:
        if result.configuration.name == analysis.plan.study.baseline:
            continue
        for metric, effect in zip(analysis.scores.metrics, result.effects, strict=True):
            each = effect.difference
            numbers = ["-", "-", "-"]
            if each is not None:
                numbers = [number(each.mean), interval(each.interval), probability(each.p_adjusted)]
            verdict = "no effect shown" if effect.verdict == "not shown" else effect.verdict
            rows.append(
                [result.configuration.name, metric, *numbers, number(effect.floor), verdict]
            )
    header = ["configuration", "metric", "difference", "95 % interval", "p", "noise floor", ""]
    return table(header, rows)


def _noise(analysis: Analysis) -> str:
    found = analysis.noise
    if found is None:
        return "Not known: no configuration was repeated."
    rows = [
        [metric, number(std)]
        for metric, std in zip(analysis.scores.metrics, found.std.tolist(), strict=True)
    ]
    repeated = "runs that differ in the seed alone"
    same = [name for name, each in analysis.plan.study.factors.items() if each.same_function]
    if same:
        repeated += f", or in {' and '.join(same)}, whose values compute the same"
    return (
        f"The standard deviation of one run, pooled over {repeated} ({found.degrees} degrees of "
        "freedom). From it the noise floors: with no effect at all, no difference of this study "
        f"exceeds its floor in {noise.CONFIDENCE:.0%} of repetitions of the study, for one metric "
        "(Dunnett's comparison of many with one).\n\n" + table(["metric", "std of one run"], rows)
    )


def _factors(analysis: Analysis) -> list[str]:
    effects = factor_effects(analysis)
    if not effects:
        return []
    metrics = analysis.scores.metrics
    rows = []
    for each in effects:
        cells = [
            number(difference) + (f" ± {number(std)}" if std is not None else "")
            for difference, std in zip(each.differences, each.stds, strict=True)
        ]
        rows.append([each.factor, f"{each.default} → {each.value}", str(each.pairs), *cells])
    return [
        "## One factor at a time",
        "Over the pairs of configurations that differ in this factor alone: mean difference ± "
        "standard deviation over the pairs.",
        table(["factor", "change", "pairs", *metrics], rows),
    ]


def _runs(analysis: Analysis) -> str:
    rows = []
    for run in analysis.plan.runs:
        entry = analysis.record.runs.get(run.id)
        status = "waits for winners" if run.is_open else analysis.record.status(run)
        seconds = f"{entry.seconds:.0f}" if entry else "-"
        rows.append([run.id, str(run.phase), status, seconds, (entry and entry.error) or ""])
    return table(["run", "phase", "status", "seconds", "error"], rows)

"""How unequal groups are at one threshold: published measures, each with its uncertainty and with what chance gives.

A measure of inequality is large by chance alone: eight equal groups with ten false matches each have a max/min FMR
ratio of 2.5 in the middle and above 5.0 one time in twenty. So no measure stands without its value under "no
difference". ``docs/estimators/differentials.md`` has formulas, assumptions and when not to use them.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from countenance.audit.inequality import contrasts, fdr, garbe, max_geomean, max_min, measured
from countenance.audit.rates import false_match, false_nonmatch
from countenance.audit.result import Differential, Differentials, Estimate, Json
from countenance.audit.spread import Spread
from countenance.audit.tallies import Group, Sweep, Tallies

__all__ = ["SMALLEST_GROUP", "differentials"]

SMALLEST_GROUP = 10
RULE_OF_3 = -math.log(0.025)
NO_FMR = "no group had a false match at this threshold, so there is nothing to compare"
NO_FNMR = "a group has no two photos of one person, so its FNMR is not known"


def differentials(
    tallies: Tallies,
    sweep: Sweep,
    groups: Sequence[Group],
    threshold: float,
    alpha: float = 0.5,
    seed: int = 0,
) -> Differentials:
    """Inequality between the groups of one grouping at one threshold (a grid value of the pass).

    max/min and max/geometric mean are of the FMR within each group; GARBE and FDR combine FMR and FNMR by ``alpha``.

    *Under no difference*: median and 95th percentile of the same measure when every group has the pooled rate and keeps
    its own uncertainty there, so people who are in many comparisons are accounted for, and so is their small number.
    ``p_value``: how often chance alone gives at least the measured inequality. *Interval*: see `inequality.measured`.

    Groups are left out, by name, when they have fewer than 10 people, or so few pairs that fewer than 3.69 errors are
    expected at the pooled rate (and fewer were seen): such a group could not be told from one without any error. With
    zero errors in a group ratios are bounded (``at_least``), not given. Without subjects values stand without interval.
    The verdict names groups whose FMR differs from that of the others, p-values adjusted for their number (Holm 1979).
    """
    kept, left_out = _large_enough(tallies, sweep, groups, threshold)
    by = tuple(groups[0].label) if groups else ()
    if len(kept) < 2:
        none = Differential(None, None, None, "fewer than two groups are large enough to compare")
        verdict = "This test could not tell whether groups differ: fewer than two are large enough to compare."
        return Differentials(by, threshold, none, none, none, none, verdict, alpha, left_out)
    fmr = [false_match(tallies, sweep, g, threshold) for g in kept]
    fnmr = [false_nonmatch(tallies, sweep, g, threshold) for g in kept]
    found = _measures(kept, fmr, fnmr, alpha, np.random.default_rng(seed))
    rows = contrasts([str(g) for g in kept], fmr)
    return Differentials(
        by,
        threshold,
        found["max_min"],
        found["max_geomean"],
        found["garbe"],
        found["fdr"],
        _verdict(found["max_min"], rows),
        alpha,
        left_out,
        found["fnmr_max_min"],
        tuple(rows),
    )


def _measures(
    groups: Sequence[Group],
    fmr: Sequence[Estimate],
    fnmr: Sequence[Estimate],
    alpha: float,
    random: np.random.Generator,
) -> dict[str, Differential]:
    """Every measure; one reason for those that the data does not carry."""
    names = ("max_min", "max_geomean", "garbe", "fdr", "fnmr_max_min")
    if not any(e.errors for e in fmr):
        return dict.fromkeys(names, Differential(None, None, None, NO_FMR))
    false = Spread.of(fmr, random)
    found = {
        "max_min": _ratio(measured(max_min, false, ratio=True), groups, fmr, "max_min"),
        "max_geomean": _ratio(measured(max_geomean, false, ratio=True), groups, fmr, "max_geomean"),
    }
    if any(e.value is None for e in fnmr):
        return found | dict.fromkeys(("garbe", "fdr", "fnmr_max_min"), Differential(None, None, None, NO_FNMR))
    missed = Spread.of(fnmr, random)
    none = Differential(
        None, None, None, "no group had a false non-match at this threshold, so FNMR cannot be compared"
    )
    found["fdr"] = measured(partial(fdr, alpha=alpha), false, missed, falls=True)
    if not any(e.errors for e in fnmr):
        return found | {"garbe": none, "fnmr_max_min": none}
    found["garbe"] = measured(partial(garbe, alpha=alpha), false, missed)
    return found | {"fnmr_max_min": _ratio(measured(max_min, missed, ratio=True), groups, fnmr, "max_min")}


def _ratio(found: Differential, groups: Sequence[Group], rates: Sequence[Estimate], kind: str) -> Differential:
    """A ratio as it is, or its lower bound where a group has no error."""
    free = [str(g) for g, e in zip(groups, rates, strict=True) if e.value == 0.0]
    if not free:
        return found
    reason = f"no error was seen in {'; '.join(free)}, so the ratio has no value"
    at_least = None
    intervals = [e.interval for e in rates if e.interval is not None]
    if len(intervals) == len(rates):
        highs = np.array([i.high for i in intervals])
        under = float(highs.min()) if kind == "max_min" else float(np.exp(np.log(highs).mean()))
        at_least = max(1.0, max(i.low for i in intervals) / under)
        reason += f"; it is at least {at_least:.2g}" if at_least > 1.0 else "; it may be 1"
    return Differential(None, None, found.under_no_difference, reason, found.p_value, at_least)


def _large_enough(
    tallies: Tallies, sweep: Sweep, groups: Sequence[Group], threshold: float
) -> tuple[list[Group], tuple[str, ...]]:
    """Groups that can be compared, and the names of the others with the reason."""
    made_of = sweep.pairs if sweep.has_subjects else sweep.nonmated.sum(axis=1)
    pairs = [int(made_of[np.isin(sweep.cell_pairs, g.cells).all(axis=1)].sum()) for g in groups]
    rates = [false_match(tallies, sweep, g, threshold) for g in groups]
    errors = [0.0 if e.value is None else e.value * m for e, m in zip(rates, pairs, strict=True)]
    pooled = sum(errors) / max(sum(pairs), 1)
    kept, left_out = [], []
    for group, made, seen in zip(groups, pairs, errors, strict=True):
        people = int(tallies.subjects_in(group).sum())
        if sweep.has_subjects and people < SMALLEST_GROUP:
            left_out.append(f"{group}: {people} people")
        elif made == 0 or (max(made * pooled, seen) < RULE_OF_3 and pooled > 0):
            left_out.append(f"{group}: {made:,} comparisons of two people, too few to expect an error")
        else:
            kept.append(group)
    return kept, tuple(left_out)


def _verdict(found: Differential, rows: Sequence[Json]) -> str:
    """A difference was found, or this test could not tell."""
    if found.reason == NO_FMR:
        return f"This test could not tell whether groups differ: {NO_FMR}."
    if found.p_value is None:
        return "This test could not tell whether groups differ: it is not known who was compared."
    chance = (
        "" if found.under_no_difference is None else f"; chance alone gives {found.under_no_difference[1]:.2g} 1 in 20"
    )
    size = f"max/min {found.value:.2g}" if found.value is not None else f"max/min at least {found.at_least:.2g}"
    told = [
        f"{r['name']} {r['ratio']:.2g} times the others" if r["ratio"] else f"{r['name']} none"
        for r in rows
        if r["p_adjusted"] is not None and r["p_adjusted"] < 0.05
    ]
    if found.p_value >= 0.05 and not told:
        return f"This test could not tell whether groups differ in FMR ({size}{chance}, p = {found.p_value:.2g})."
    return f"Groups differ in FMR ({size}{chance}, p = {found.p_value:.2g}){': ' if told else ''}{', '.join(told)}."

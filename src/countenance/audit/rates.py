"""Error rates of a group at a threshold, with their intervals, read off tallies.

The tie rule stands here and in the pass: a comparison is a match when ``score >= threshold``.

A rate is weighted by subject unless told otherwise: each pair of people (FMR), each person (FNMR), each probe
subject (FPIR, FNIR) counts once, however many photos there are of them. One man has 530 of LFW's photos.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.audit.intervals import (
    ClusterSums,
    PairSums,
    cluster_rate_interval,
    dependent_zero_bound,
    pair_rate_interval,
    search_rate_interval,
    zero_error_bounds,
)
from countenance.audit.labels import one_in
from countenance.audit.pairrates import NO_SUBJECTS, PairRates, bin_of, cell_pairs, from_above, names_of, rung_of
from countenance.audit.result import Estimate
from countenance.audit.tallies import Candidates, FloatArray, Group, IntArray, Sweep, Tallies
from countenance.errors import NotEnoughDataError

__all__ = [
    "false_match",
    "false_negative_identification",
    "false_nonmatch",
    "false_positive_identification",
    "nonmated_probes",
    "pair_sums",
    "rates_along",
    "snap",
    "threshold_for",
]

Array = NDArray[Any]


def snap(sweep: Sweep, threshold: float) -> float:
    """The largest grid value that is not above ``threshold``: there, and only there, every count is exact.

    Thresholds that the pass was asked for are on the grid, so they come back unchanged. Below the grid the lowest
    grid value is returned; above it the highest.
    """
    at = int(np.searchsorted(sweep.grid, threshold, side="right")) - 1
    return float(sweep.grid[max(at, 0)])


def rates_along(sweep: Sweep, group: Group, other: Group | None = None) -> tuple[FloatArray, FloatArray]:
    """FMR and FNMR of a group at every grid value, (B,) each; NaN where there is no such comparison.

    With ``other`` the FMR is between members of the two groups; the FNMR is always the first group's own.
    """
    chosen = cell_pairs(sweep, group, other)
    nonmated = sweep.nonmated_weight[chosen].sum(axis=0)
    mated = sweep.mated_weight[group.cells].sum(axis=0)
    with np.errstate(invalid="ignore"):
        fmr = from_above(nonmated) / nonmated.sum()
        fnmr = np.concatenate([[0.0], mated.cumsum()[:-1]]) / mated.sum()
    return np.clip(fmr, 0.0, 1.0), np.clip(fnmr, 0.0, 1.0)


def threshold_for(sweep: Sweep, group: Group, target_fmr: float) -> float:
    """The smallest grid value whose measured FMR is at most ``target_fmr``; never the nearest from the wrong side.

    Raises NotEnoughDataError when the group has fewer than ``1 / target_fmr`` non-mated pairs of people: then no single
    false match would be allowed, and the threshold would be a guess.
    """
    pairs = _pairs(sweep, group, None)
    if pairs * target_fmr < 1.0:
        raise NotEnoughDataError(
            f"FMR {one_in(target_fmr)} needs at least {1 / target_fmr:,.0f} pairs of people; {group} has {pairs:,}"
        )
    fmr, _ = rates_along(sweep, group)
    below = np.flatnonzero(fmr <= target_fmr)
    if below.size == 0:
        raise NotEnoughDataError(f"no threshold on this scale reaches an FMR of {one_in(target_fmr)} in {group}")
    return float(sweep.grid[below[0]])


def false_match(
    tallies: Tallies,
    sweep: Sweep,
    group: Group,
    threshold: float,
    other: Group | None = None,
    weighting: str = "subject",
) -> Estimate:
    """FMR within a group, or between two disjoint groups, at a grid value.

    Zero effort, every pair of people once (``weighting="subject"``) or every comparison once (``"comparison"``).
    Interval: `pair_rate_interval`. With no errors the value is 0.0 with a one-sided bound, beside it the bounds of
    disjoint pairs and of the dependence measured at a lower threshold.
    """
    chosen = cell_pairs(sweep, group, other)
    trials = int(sweep.nonmated[chosen].sum())
    if trials == 0:
        return Estimate(None, reason=f"no comparison of different people in {names_of(group, other)}", trials=0)
    at = bin_of(sweep, threshold)
    errors = int(sweep.nonmated[chosen, at:].sum())
    if sweep.dependence is None:
        return Estimate(errors / trials, reason=NO_SUBJECTS, errors=errors, trials=trials)
    sums = pair_sums(tallies, sweep, group, threshold, other, weighting)
    value = float(sweep.nonmated_weight[chosen, at:].sum() / sweep.nonmated_weight[chosen].sum())
    if weighting == "comparison":
        value = errors / trials
    found = Estimate(value, pair_rate_interval(sums), errors=errors, trials=trials)
    if errors:
        return found
    disjoint = min(1.0, zero_error_bounds(sums.pairs, _people(sums))[1])
    dependent = dependent_zero_bound(sums) if sums.known else None
    return replace(found, disjoint_bound=disjoint, dependent_bound=dependent)


def false_nonmatch(
    tallies: Tallies, sweep: Sweep, group: Group, threshold: float, weighting: str = "subject"
) -> Estimate:
    """FNMR of a group at a grid value: mated comparisons below it, each person counting once.

    Interval: `cluster_rate_interval`, people as clusters.
    """
    trials = int(sweep.mated[group.cells].sum())
    if trials == 0:
        return Estimate(None, reason=f"no two photos of one person in {group}", trials=0)
    at = bin_of(sweep, threshold)
    errors = trials - int(sweep.mated[group.cells, at:].sum())
    if sweep.mated_sums is None:
        return Estimate(errors / trials, reason=NO_SUBJECTS, errors=errors, trials=trials)
    member = tallies.subjects_in(group) & (sweep.mated_sums.comparisons > 0)
    made = sweep.mated_sums.comparisons[member].astype(np.float64)
    rung, exact = rung_of(sweep, threshold)
    missed = made - sweep.mated_sums.matches[rung][member]
    if weighting == "subject":
        weight = sweep.mated_weight[group.cells]
        value = float(np.clip(1.0 - weight[:, at:].sum() / weight.sum(), 0.0, 1.0)) if errors else 0.0
        missed, made = missed / made, np.ones_like(made)
    else:
        value = errors / trials
    if not exact:
        missed = _rescaled(missed, made, value)
    return Estimate(value, cluster_rate_interval(ClusterSums(missed, made)), errors=errors, trials=trials)


def false_positive_identification(
    tallies: Tallies, sweep: Sweep, group: Group, threshold: float
) -> tuple[Estimate, int, int]:
    """FPIR of a group's probes: the share that found at least one other person at or above the threshold.

    Returns the estimate (each probe subject counts once), the number of falsely matched probes and the number of
    probes. A probe whose subject has a reference in the gallery is a mated search and has no say here: it is never
    counted as falsely matched. Where one set is searched in itself, the reference of each subject is the non-mated
    probe (it never meets itself), and further photos are mated. The gallery is taken as it is; the interval is over
    probe subjects.
    """
    found = sweep.candidates
    if found is None or sweep.left is None:
        return Estimate(None, reason="no search was made"), 0, 0
    subject = sweep.left.subject
    probes = tallies.subjects_in(group)[subject] & nonmated_probes(found)
    if not probes.any():
        return Estimate(None, reason=f"every probe of {group} has its own person in the gallery", trials=0), 0, 0
    hit = (found.scores[:, 0].astype(np.float64) >= threshold) & probes
    errors, trials = _by_subject(hit, probes, subject)
    value = float(errors.sum() / trials.sum())
    estimate = Estimate(
        value, search_rate_interval(ClusterSums(errors, trials)), errors=int(hit.sum()), trials=int(probes.sum())
    )
    return estimate, int(hit.sum()), int(probes.sum())


def nonmated_probes(found: Candidates) -> NDArray[np.bool_]:
    """(Q,) which probes searched a gallery that holds other people only."""
    chosen: NDArray[np.bool_] = (found.searched > 0) & (found.mated_rank == 0)
    return chosen


def false_negative_identification(
    tallies: Tallies, sweep: Sweep, group: Group, threshold: float, rank: int = 1
) -> tuple[Estimate, int]:
    """FNIR(N, R, T) of a group's probes whose subject is in the gallery, and their number.

    A search misses when the best mated reference is below the threshold or not among the first ``rank`` candidates
    (a stranger with the same score counts before it).
    """
    found = sweep.candidates
    if found is None or sweep.left is None:
        return Estimate(None, reason="no search was made"), 0
    subject = sweep.left.subject
    probes = tallies.subjects_in(group)[subject] & (found.mated_rank > 0)
    if not probes.any():
        return Estimate(None, reason=f"no probe of {group} has another photo of the same person in the gallery"), 0
    missed = probes & ((found.mated_score.astype(np.float64) < threshold) | (found.mated_rank > rank))
    errors, trials = _by_subject(missed, probes, subject)
    value = float(errors.sum() / trials.sum())
    estimate = Estimate(
        value, cluster_rate_interval(ClusterSums(errors, trials)), errors=int(missed.sum()), trials=int(probes.sum())
    )
    return estimate, int(probes.sum())


def pair_sums(
    tallies: Tallies,
    sweep: Sweep,
    group: Group,
    threshold: float,
    other: Group | None = None,
    weighting: str = "subject",
) -> PairSums:
    """Sufficient statistics of a group's FMR at a grid value, for `pair_rate_interval`: see `PairRates.sums`."""
    return PairRates(tallies, sweep, group, other, weighting).sums(threshold)


def _people(sums: PairSums) -> int:
    """How many people at most can stand in pairs that share nobody."""
    rows = int(np.count_nonzero(sums.row_pairs))
    return rows if sums.column_pairs is None else 2 * min(rows, int(np.count_nonzero(sums.column_pairs)))


def _by_subject(wrong: NDArray[np.bool_], made: NDArray[np.bool_], subject: IntArray) -> tuple[FloatArray, FloatArray]:
    """Per subject with a probe: share of probes in error, and the weight 1."""
    errors = np.bincount(subject[made], weights=wrong[made].astype(np.float64))
    trials = np.bincount(subject[made]).astype(np.float64)
    there = trials > 0
    share: FloatArray = errors[there] / trials[there]
    return share, np.ones(share.size)


def _pairs(sweep: Sweep, group: Group, other: Group | None) -> int:
    return int(sweep.pairs[cell_pairs(sweep, group, other)].sum())


def _rescaled(missed: FloatArray, made: FloatArray, value: float) -> FloatArray:
    """Per-subject errors of the rung below, moved so that their mean is ``value`` (errors grow with the threshold)."""
    now = missed.sum() / made.sum()
    if now >= 1.0 or value <= now:
        scaled: FloatArray = missed * (value / now if now > 0 else 0.0)
        return scaled
    moved: FloatArray = missed + (made - missed) * ((value - now) / (1.0 - now))
    return moved

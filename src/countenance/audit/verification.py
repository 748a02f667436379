"""The 1:1 test: everybody compared with everybody, overall and per group."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from countenance.audit.labels import too_small
from countenance.audit.pairrates import PairRates
from countenance.audit.rates import false_match, false_nonmatch, rates_along, snap
from countenance.audit.result import Curve, GroupRates, Json, Operating, Verification
from countenance.audit.tallies import FloatArray, Group, Sweep, Tallies
from countenance.errors import NotEnoughDataError

__all__ = ["verification"]

CURVE_POINTS = 200
DENSITY_BINS = 80
MATRIX_GROUPS = 12


def verification(
    tallies: Tallies, sweep: Sweep, points: Sequence[Operating], grouped: Sequence[Sequence[Group]]
) -> Verification:
    """Every group at every threshold of interest, curves along all thresholds, and FMR between groups at the first.

    ``grouped``: the groups of one grouping after another.
    """
    rows = [
        _group_rates(tallies, sweep, group, point.threshold)
        for point in points
        if point.threshold is not None
        for groups in grouped
        for group in groups
    ]
    single = [g for groups in grouped for g in groups if len(g.label) == 1]
    shown = [g for g in single if too_small(tallies, g) is None]
    curves = [_curve(tallies, sweep, group) for group in (tallies.everyone, *shown)]
    at = next((p.threshold for p in points if p.threshold is not None), None)
    return Verification(
        thresholds=tuple(points),
        groups=tuple(rows),
        curves=tuple(c for c in curves if c is not None),
        matrix=tuple(_matrix(tallies, sweep, grouped, at)) if at is not None else (),
    )


def _group_rates(tallies: Tallies, sweep: Sweep, group: Group, threshold: float) -> GroupRates:
    at = snap(sweep, threshold)
    fmr, fnmr = false_match(tallies, sweep, group, at), false_nonmatch(tallies, sweep, group, at)
    subjects = int(tallies.subjects_in(group).sum())
    return GroupRates(
        group=group.label,
        subjects=subjects,
        nonmated=fmr.trials or 0,
        mated=fnmr.trials or 0,
        threshold=threshold,
        fmr=fmr,
        fnmr=fnmr,
        too_small=too_small(tallies, group),
    )


def _matrix(tallies: Tallies, sweep: Sweep, grouped: Sequence[Sequence[Group]], threshold: float) -> Iterable[Json]:
    """FMR between every two groups of each single column, at one threshold."""
    at = snap(sweep, threshold)
    for groups in grouped:
        if not groups or len(groups[0].label) != 1 or len(groups) > MATRIX_GROUPS:
            continue
        for first, second in itertools.combinations_with_replacement(groups, 2):
            fmr = false_match(tallies, sweep, first, at, None if first is second else second)
            row: Json = {"group": dict(first.label), "other": dict(second.label), "threshold": threshold}
            yield row | {"nonmated": fmr.trials} | fmr.to_json("fmr")


def _curve(tallies: Tallies, sweep: Sweep, group: Group) -> Curve | None:
    """FMR, its band and FNMR along the ladder, and the densities of the scores; None for a group never compared."""
    fmr, fnmr = rates_along(sweep, group)
    if np.isnan(fmr).all() and np.isnan(fnmr).all():
        return None
    if sweep.dependence is not None:
        thresholds = sweep.ladder
    else:
        thresholds = sweep.grid[np.unique(np.linspace(0, sweep.grid.size - 1, CURVE_POINTS).astype(int))]
    at = np.searchsorted(sweep.grid, thresholds)
    edges, mated, nonmated = _densities(sweep, group)
    return Curve(
        group=group.label,
        thresholds=tuple(thresholds.tolist()),
        fmr=None if np.isnan(fmr).any() else tuple(fmr[at].tolist()),
        fnmr=None if np.isnan(fnmr).any() else tuple(fnmr[at].tolist()),
        **(_uncertain(PairRates(tallies, sweep, group)) if sweep.dependence and not np.isnan(fmr).any() else {}),
        bin_edges=edges,
        mated_density=mated,
        nonmated_density=nonmated,
    )


def _uncertain(rates: PairRates) -> dict[str, tuple[float, ...]]:
    """The interval of the FMR at each rung, and the band around all of it."""
    intervals = [rates.interval(float(t)) for t in rates.ladder]
    found = {"fmr_low": tuple(i.low for i in intervals), "fmr_high": tuple(i.high for i in intervals)}
    try:
        band = rates.band()
    except NotEnoughDataError:
        return found
    return found | {"fmr_band_low": tuple(band.low.tolist()), "fmr_band_high": tuple(band.high.tolist())}


def _densities(
    sweep: Sweep, group: Group
) -> tuple[tuple[float, ...], tuple[float, ...] | None, tuple[float, ...] | None]:
    """Shares of mated and non-mated scores in equal bins over the range where there are any."""
    inside = np.isin(sweep.cell_pairs, group.cells).all(axis=1)
    nonmated = sweep.nonmated_weight[inside].sum(axis=0)
    mated = sweep.mated_weight[group.cells].sum(axis=0)
    there = np.flatnonzero(nonmated + mated)
    low, high = float(sweep.grid[there[0]]), float(sweep.grid[there[-1]])
    edges = np.linspace(low, high if high > low else low + 1.0, DENSITY_BINS + 1)

    def share(weights: FloatArray) -> tuple[float, ...] | None:
        total = weights.sum()
        if total == 0:
            return None
        counted, _ = np.histogram(sweep.grid, bins=edges, weights=weights)
        return tuple((counted / total).tolist())

    return tuple(edges.tolist()), share(mated), share(nonmated)

"""From tallies to an `AuditResult`: which thresholds, which groups, and what was not tested."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from countenance.audit.headline import headline
from countenance.audit.rates import (
    false_match,
    false_negative_identification,
    false_nonmatch,
    false_positive_identification,
    nonmated_probes,
    rates_along,
    snap,
    threshold_for,
)
from countenance.audit.result import (
    AuditResult,
    Counts,
    Curve,
    Estimate,
    GroupRates,
    Json,
    MatchedPair,
    Operating,
    Search,
    SearchGroup,
    SearchPoint,
    Untested,
    Verification,
)
from countenance.audit.tallies import Float32Array, FloatArray, Group, Sweep, Tallies
from countenance.errors import NotEnoughDataError

__all__ = ["SMALLEST_GROUP", "TARGETS", "Options", "audit", "groupings"]

TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
SMALLEST_GROUP = 10
CURVE_POINTS = 200
DENSITY_BINS = 80
SWEEP_POINTS = 25
LISTED_PAIRS = 1000
MATRIX_GROUPS = 12


@dataclass(frozen=True)
class Options:
    """What the user asked for. ``by`` None means every group column, and all of them crossed."""

    by: tuple[str, ...] | None = None
    thresholds: tuple[float, ...] = ()
    alpha: float = 0.5
    seed: int = 0
    rank: int = 1


def audit(tallies: Tallies, options: Options | None = None) -> AuditResult:
    """Compute the whole audit.

    Raises NotEnoughDataError when nobody was compared with anybody else, and TalliesError for an unknown group column.
    """
    options = options or Options()
    sweep = tallies.verification or tallies.search
    if sweep is None or int(sweep.nonmated.sum()) == 0:
        raise NotEnoughDataError("no two different people were compared: an audit needs at least two subjects")
    grouped = [tallies.groups(columns) for columns in groupings(tallies, options.by)]
    groups = list(itertools.chain.from_iterable(grouped))
    points = _operating(tallies, sweep, options)
    verification = search = None
    if tallies.verification:
        verification = _verification(tallies, tallies.verification, points, grouped)
    if tallies.search:
        search = _search(tallies, tallies.search, points, groups, options.rank)
    return AuditResult(
        headline=headline(tallies, points, verification, search),
        inputs=dict(tallies.inputs),
        counts=_counts(tallies, sweep),
        verification=verification,
        search=search,
        not_tested=tuple(_not_tested(tallies, sweep, groups)),
        notes=tallies.notes,
    )


def groupings(tallies: Tallies, by: tuple[str, ...] | None) -> list[tuple[str, ...]]:
    """Which columns form groups: each by itself, and all of them crossed when there are several."""
    columns = tallies.columns if by is None else by
    single: list[tuple[str, ...]] = [(c,) for c in columns]
    return [*single, tuple(columns)] if len(columns) > 1 else single


def _operating(tallies: Tallies, sweep: Sweep, options: Options) -> list[Operating]:
    """The thresholds of interest: the vendor's, those asked for, and those that the target FMRs need."""
    everyone, found = tallies.everyone, []
    wanted: list[tuple[str, float | None, float]] = []
    if tallies.system.documented_threshold is not None:
        wanted.append(("documented", None, tallies.system.documented_threshold))
    wanted += [("asked", None, t) for t in options.thresholds]
    for target in TARGETS:
        try:
            wanted.append(("target", target, threshold_for(sweep, everyone, target)))
        except NotEnoughDataError as error:
            none = Estimate(None, reason=str(error))
            found.append(Operating("target", target, None, none, none, reason=str(error)))
    measured = []
    for origin, target_fmr, threshold in wanted:
        at = snap(sweep, threshold)
        fmr = false_match(tallies, sweep, everyone, at)
        fnmr = false_nonmatch(tallies, sweep, everyone, at)
        measured.append(Operating(origin, target_fmr, threshold, fmr, fnmr))
    return measured + found


def _verification(tallies: Tallies, sweep: Sweep, points: list[Operating], grouped: list[list[Group]]) -> Verification:
    rows = [
        _group_rates(tallies, sweep, group, point.threshold)
        for point in points
        if point.threshold is not None
        for groups in grouped
        for group in groups
    ]
    single = [g for groups in grouped for g in groups if len(g.label) == 1]
    shown = [g for g in single if int(tallies.subjects_in(g).sum()) >= SMALLEST_GROUP]
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
        too_small=_too_small(tallies, subjects),
    )


def _too_small(tallies: Tallies, subjects: int) -> str | None:
    """Why a group's figures should not be read; None where they may be, or where people are not known."""
    if (tallies.verification or tallies.need("search")).dependence is None or subjects >= SMALLEST_GROUP:
        return None
    return (
        f"{subjects} {'person' if subjects == 1 else 'people'}: too few to speak of a group (at least {SMALLEST_GROUP})"
    )


def _matrix(tallies: Tallies, sweep: Sweep, grouped: list[list[Group]], threshold: float) -> Iterable[Json]:
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
    low = high = None
    if sweep.dependence is not None and not np.isnan(fmr).all():
        intervals = [false_match(tallies, sweep, group, float(t)).interval for t in thresholds]
        low = tuple(i.low for i in intervals if i)
        high = tuple(i.high for i in intervals if i)
    edges, mated, nonmated = _densities(sweep, group)
    return Curve(
        group=group.label,
        thresholds=tuple(thresholds.tolist()),
        fmr=None if np.isnan(fmr).any() else tuple(fmr[at].tolist()),
        fnmr=None if np.isnan(fnmr).any() else tuple(fnmr[at].tolist()),
        fmr_low=low,
        fmr_high=high,
        bin_edges=edges,
        mated_density=mated,
        nonmated_density=nonmated,
    )


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


def _search(tallies: Tallies, sweep: Sweep, points: list[Operating], groups: list[Group], rank: int) -> Search | None:
    found = sweep.candidates
    if found is None or sweep.left is None:
        return None
    strangers = nonmated_probes(found)
    chosen = {p.threshold: (p.origin, p.target_fmr) for p in reversed(points) if p.threshold is not None}
    for threshold in _nice_sweep(found.scores[strangers, 0]):
        chosen.setdefault(threshold, ("sweep", None))
    listed = []
    for threshold, (origin, target) in sorted(chosen.items()):
        whole = _search_group(tallies, sweep, tallies.everyone, threshold, rank)
        parts = tuple(_search_group(tallies, sweep, g, threshold, rank) for g in groups)
        listed.append(SearchPoint(threshold, whole, tuple(p for p in parts if p.probes), origin, target))
    lowest = min((p.threshold for p in points if p.threshold is not None), default=-np.inf)
    return Search(
        probes=int(strangers.sum()),
        references=int(found.searched[strangers].max(initial=0)),
        points=tuple(listed),
        pairs=tuple(_matched(tallies, sweep, lowest)),
        rank=rank,
    )


def _nice_sweep(best: Float32Array) -> list[float]:
    """Round thresholds over the range in which probes stop being falsely matched."""
    finite = best[np.isfinite(best)].astype(np.float64)
    if finite.size == 0:
        return []
    low, high = float(np.quantile(finite, 0.02)), float(finite.max())
    raw = max(high - low, 1e-9) / SWEEP_POINTS
    unit = 10.0 ** np.floor(np.log10(raw))
    step = unit * next(m for m in (1, 2, 5, 10) if m * unit >= raw)
    first, last = int(np.floor(low / step)), int(np.ceil(high / step))
    digits = max(0, int(-np.floor(np.log10(step))))
    return [round(k * step, digits) for k in range(first, last + 1)]


def _search_group(tallies: Tallies, sweep: Sweep, group: Group, threshold: float, rank: int) -> SearchGroup:
    fpir, hits, probes = false_positive_identification(tallies, sweep, group, threshold)
    fnir, mated = false_negative_identification(tallies, sweep, group, threshold, rank)
    people = 0
    if sweep.left is not None:
        people = int(np.unique(sweep.left.subject[tallies.subjects_in(group)[sweep.left.subject]]).size)
    return SearchGroup(
        group.label, probes, hits, fpir, mated, fnir, _too_small(tallies, people) if group.label else None
    )


def _matched(tallies: Tallies, sweep: Sweep, threshold: float) -> Iterable[MatchedPair]:
    """Each probe's best stranger at or above a threshold, most alike first."""
    found, left, right = sweep.candidates, sweep.left, sweep.right or sweep.left
    if found is None or left is None or right is None:
        return
    best = np.where(nonmated_probes(found), found.scores[:, 0], -np.inf)
    order = np.lexsort((np.arange(best.size), -best))
    for probe in order[:LISTED_PAIRS]:
        reference = int(found.references[probe, 0])
        if not np.isfinite(best[probe]) or float(best[probe]) < threshold:
            break
        who, whom = int(left.subject[probe]), int(right.subject[reference])
        yield MatchedPair(
            score=float(best[probe]),
            probe=_name(tallies, who),
            reference=_name(tallies, whom),
            probe_group=_label(tallies, who),
            reference_group=_label(tallies, whom),
            probe_path=left.paths[probe] if left.paths else None,
            reference_path=right.paths[reference] if right.paths else None,
        )


def _name(tallies: Tallies, subject: int) -> str:
    return tallies.names[subject] if tallies.names else f"person {subject + 1}"


def _label(tallies: Tallies, subject: int) -> dict[str, str | None]:
    return dict(zip(tallies.columns, tallies.cells[int(tallies.cell[subject])], strict=True))


def _counts(tallies: Tallies, sweep: Sweep) -> Counts:
    unlabelled = {
        column: int(sum(tallies.cells[int(c)][k] is None for c in tallies.cell))
        for k, column in enumerate(tallies.columns)
    }
    templates = int(sweep.left.subject.size) if sweep.left is not None else 0
    failed = tallies.failures
    return Counts(
        subjects=len(tallies.cell) if sweep.has_subjects else 0,
        templates=templates,
        mated=int(sweep.mated.sum()),
        nonmated=int(sweep.nonmated.sum()),
        unlabelled=unlabelled,
        photos_failed=int(failed.failed.sum()) if failed else 0,
        subjects_failed=int(((failed.photos > 0) & (failed.failed == failed.photos)).sum()) if failed else 0,
        failures=tuple(_failures(tallies)),
    )


def _failures(tallies: Tallies) -> Iterable[Json]:
    """Failure to enrol per cell: photos tried and failed, people tried and lost."""
    failed = tallies.failures
    if failed is None or not failed.failed.any():
        return
    for columns in groupings(tallies, None) or [()]:
        for group in tallies.groups(columns) if columns else [tallies.everyone]:
            member = tallies.subjects_in(group) & (failed.photos > 0)
            lost = int((failed.failed[member] == failed.photos[member]).sum())
            yield {
                "group": dict(group.label),
                "photos": int(failed.photos[member].sum()),
                "photos_failed": int(failed.failed[member].sum()),
                "subjects": int(member.sum()),
                "subjects_failed": lost,
            }


def _not_tested(tallies: Tallies, sweep: Sweep, groups: list[Group]) -> Iterable[Untested]:
    if not tallies.columns:
        yield Untested("any group of people", "the data has no group column such as gender or ethnicity")
    for group in groups:
        people = int(tallies.subjects_in(group).sum())
        why = _too_small(tallies, people)
        if why:
            yield Untested(str(group), why)
    if not sweep.mated.any():
        yield Untested("whether people are recognised again (FNMR)", "no person has two photos in the data")
    yield Untested("people and photos unlike these", "children, other groups, other cameras, other years of ageing")

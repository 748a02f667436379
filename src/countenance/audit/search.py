"""The ACLU's test: every probe searched in a gallery of other people; who is matched to whom."""

from collections.abc import Iterable, Sequence

import numpy as np

from countenance.audit.labels import label_of, name_of, too_small
from countenance.audit.published import risk_ratio
from countenance.audit.rates import false_negative_identification, false_positive_identification, nonmated_probes
from countenance.audit.result import MatchedPair, Operating, Search, SearchContrast, SearchGroup, SearchPoint
from countenance.audit.tallies import Candidates, Float32Array, Group, Sides, Sweep, Tallies

__all__ = ["search"]

SWEEP_POINTS = 25
LISTED_PAIRS = 1000


def search(
    tallies: Tallies, sweep: Sweep, points: Sequence[Operating], groups: Sequence[Group], rank: int = 1
) -> Search | None:
    """The thresholds of interest and a sweep of round ones; None when the sweep kept no candidates."""
    found = sweep.candidates
    if found is None or sweep.left is None:
        return None
    strangers = nonmated_probes(found)
    chosen = {p.threshold: (p.origin, p.target_fmr) for p in reversed(points) if p.threshold is not None}
    for threshold in _nice_sweep(found.scores[strangers, 0]):
        chosen.setdefault(threshold, ("sweep", None))
    people = sweep.left.subject[strangers]
    once = np.unique(people).size == people.size
    listed = []
    for threshold, (origin, target) in sorted(chosen.items()):
        whole = _search_group(tallies, sweep, tallies.everyone, threshold, rank)
        parts = tuple(_search_group(tallies, sweep, g, threshold, rank) for g in groups)
        parts = tuple(p for p in parts if p.probes)
        compared = tuple(_contrasts(parts)) if once else ()
        listed.append(SearchPoint(threshold, whole, parts, origin, target, compared))
    lowest = min((p.threshold for p in points if p.threshold is not None), default=-np.inf)
    return Search(
        probes=int(strangers.sum()),
        references=int(found.searched[strangers].max(initial=0)),
        points=tuple(listed),
        pairs=tuple(_matched(tallies, found, sweep.left, sweep.right or sweep.left, lowest)),
        rank=rank,
    )


def _contrasts(groups: Sequence[SearchGroup]) -> Iterable[SearchContrast]:
    """Each group large enough to speak of against all others of its grouping; p-values by Holm (1979)."""
    for by in dict.fromkeys(tuple(g.group) for g in groups):
        members = [g for g in groups if tuple(g.group) == by]
        probes, hits = (sum(getattr(g, name) for g in members) for name in ("probes", "falsely_matched"))
        tested = [
            (g, risk_ratio(g.falsely_matched, g.probes, hits - g.falsely_matched, probes - g.probes))
            for g in members
            if g.too_small is None and g.probes < probes
        ]
        worst = 0.0
        for rank, (group, found) in enumerate(sorted(tested, key=lambda pair: pair[1].p_value)):
            worst = max(worst, min(1.0, (len(tested) - rank) * found.p_value))
            yield SearchContrast(by, group.group, found.value, found.interval, worst)


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
    return SearchGroup(group.label, probes, hits, fpir, mated, fnir, too_small(tallies, group, sweep.left))


def _matched(tallies: Tallies, found: Candidates, left: Sides, right: Sides, threshold: float) -> Iterable[MatchedPair]:
    """Each probe's best stranger at or above a threshold, most alike first."""
    best = np.where(nonmated_probes(found), found.scores[:, 0], -np.inf)
    order = np.lexsort((np.arange(best.size), -best))
    for probe in order[:LISTED_PAIRS]:
        reference = int(found.references[probe, 0])
        if not np.isfinite(best[probe]) or float(best[probe]) < threshold:
            break
        who, whom = int(left.subject[probe]), int(right.subject[reference])
        yield MatchedPair(
            score=float(best[probe]),
            probe=name_of(tallies, who),
            reference=name_of(tallies, whom),
            probe_group=label_of(tallies, who),
            reference_group=label_of(tallies, whom),
            probe_path=left.paths[probe] if left.paths else None,
            reference_path=right.paths[reference] if right.paths else None,
        )

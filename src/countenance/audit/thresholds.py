"""Thresholds for a target FMR: with a guarantee, with an interval, certified on people who did not help to choose.

All of these take a threshold to meet a target only from the right side: the FMR there is at most the target, never the
nearest value above it. ``docs/estimators/thresholds.md`` has the formulas and when not to use them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from countenance.audit.intervals import (
    Dependence,
    PairSums,
    dependence,
    dependent_zero_bound,
    guaranteed_bound,
    pair_rate_interval,
    zero_error_bounds,
)
from countenance.audit.pairrates import PairRates
from countenance.audit.rates import false_match, false_nonmatch, rates_along, threshold_for
from countenance.audit.result import Estimate, Json
from countenance.audit.subjecttail import SubjectTail
from countenance.audit.tallies import FloatArray, Group, Sweep, Tallies
from countenance.errors import NotEnoughDataError

__all__ = [
    "Certificate",
    "CertifiedGroup",
    "GroupThreshold",
    "ReferenceRate",
    "certify",
    "certify_each",
    "choose",
    "reference_group",
]

CANDIDATES = 400
RULE_OF_3 = -math.log(0.025)


@dataclass(frozen=True)
class GroupThreshold:
    """A threshold for a target FMR in one group.

    ``threshold``: the smallest whose measured FMR is at most the target. ``interval``: the thresholds at which the
    FMR may truly be the target, from the smallest whose lower FMR bound is at most the target to the smallest whose
    upper bound is. ``guaranteed`` is that upper end: there the FMR is at most the target with 97.5 % confidence.
    None, with ``reason``, where the data cannot say.
    """

    target_fmr: float
    threshold: float | None
    guaranteed: float | None
    interval: tuple[float, float] | None
    reason: str | None = None


def choose(tallies: Tallies, sweep: Sweep, group: Group, target_fmr: float) -> GroupThreshold:
    """The threshold for a target FMR in a group, with its interval, among the grid values of the pass.

    The interval inverts the interval of the FMR: a threshold lies in it when the target lies in the FMR's interval
    there. Bounds are made monotone in the threshold: the guaranteed threshold is the smallest from which *every*
    higher one, too, has its upper bound at or below the target. Ties are matches (``score >= threshold``).

    A guarantee needs enough pairs: with M pairs of people and no error the upper bound is 3.69 / M at the least, and
    `dependent_zero_bound` where people resemble many others.
    """
    try:
        threshold = threshold_for(sweep, group, target_fmr)
    except NotEnoughDataError as error:
        return GroupThreshold(target_fmr, None, None, None, str(error))
    if sweep.dependence is None:
        why = "without knowing who was compared, no interval on the threshold can be given"
        return GroupThreshold(target_fmr, threshold, None, None, why)
    fmr, _ = rates_along(sweep, group)
    grid = _candidates(sweep.grid, fmr, float(sweep.ladder[0]))

    rates = PairRates(tallies, sweep, group)
    certain = _downwards(grid, lambda at: rates.bound(at) <= target_fmr)
    if not certain:
        pairs, least = rates.sums(threshold).pairs, rates.bound(float(sweep.grid[-1]))
        return GroupThreshold(target_fmr, threshold, None, None, _too_few(group, pairs, target_fmr, least))
    possible = _downwards(grid, lambda at: rates.interval(at).low <= target_fmr)
    upper, lower = certain[-1], min(certain[-1], possible[-1])
    return GroupThreshold(target_fmr, threshold, upper, (lower, upper))


@dataclass(frozen=True)
class ReferenceRate:
    """One group's rates at a threshold that was set on the reference group."""

    group: Group
    fmr: Estimate
    fnmr: Estimate

    def to_json(self) -> Json:
        """Group and both rates."""
        return {"group": dict(self.group.label)} | self.fmr.to_json("fmr") | self.fnmr.to_json("fnmr")


def reference_group(
    tallies: Tallies, sweep: Sweep, groups: Sequence[Group], reference: Group, target_fmr: float
) -> tuple[float, tuple[ReferenceRate, ...]]:
    """Set the threshold on one group and read every group's rates there, as NIST does (Grother, Ngan, Hanaoka 2019).

    NIST's reports choose a group with low FMR, then show how many times the target the others reach. Returns the
    threshold and a row a group. Raises NotEnoughDataError when the reference group has too few pairs for the
    target.
    """
    threshold = threshold_for(sweep, reference, target_fmr)
    rows = [
        ReferenceRate(g, false_match(tallies, sweep, g, threshold), false_nonmatch(tallies, sweep, g, threshold))
        for g in groups
    ]
    return threshold, tuple(rows)


@dataclass(frozen=True)
class CertifiedGroup:
    """One group behind a certified threshold: its FMR on the half that chose, and on the half that was held out."""

    group: Group
    subjects: int
    chosen: Estimate
    held_out: Estimate
    threshold: float

    def to_json(self) -> Json:
        """Group, people, the threshold it alone would need, and both rates."""
        found: Json = {"group": dict(self.group.label), "subjects": self.subjects, "threshold": self.threshold}
        return found | self.chosen.to_json("chosen_fmr") | self.held_out.to_json("held_out_fmr")


@dataclass(frozen=True)
class Certificate:
    """The outcome of `certify`. ``threshold`` is None, with ``reason``, when certification was refused.

    ``groups`` were certified (or would have been); ``too_small`` names every group that could not be, and why.
    """

    target_fmr: float
    threshold: float | None
    groups: tuple[CertifiedGroup, ...]
    too_small: tuple[tuple[Group, str], ...]
    seed: int
    reason: str | None = None

    def to_json(self) -> Json:
        """All fields."""
        return {
            "target_fmr": self.target_fmr,
            "threshold": self.threshold,
            "reason": self.reason,
            "groups": [g.to_json() for g in self.groups],
            "too_small": [{"group": dict(g.label), "why": why} for g, why in self.too_small],
            "seed": self.seed,
        }


def certify(tallies: Tallies, groups: Sequence[Group], target_fmr: float, seed: int = 0) -> Certificate:
    """Choose a threshold on a random half of the people and check it on the other half.

    For each group the smallest grid value from which every upper FMR bound (97.5 %, within the group, among the
    half that chooses) is at most the target; the certified threshold is the highest of these, that of the worst
    group. Because the bound is made monotone in the threshold, choosing costs nothing: the FMR at the choice
    exceeds the target only when the bound fails at the one threshold where the FMR is the target (Bates et al.
    2021, section 2).

    The held-out half then has to agree: its measured FMR must be at most the target in every certified group. If it
    does not, the answer is a refusal, and a second try with another seed would be cheating. The guarantee is the first
    half's; the second can only refuse, so it takes nothing away from it. It is there for what a bound cannot know:
    a wrong label or a wolf that only one half holds. Asking it for an upper bound, too, would be the same guarantee
    twice, and refuse most of the thresholds at which the first bound only just holds. Nothing is
    extrapolated: only thresholds above the tail's cut are candidates. Halves are drawn within each cell, so every
    group is halved.

    Raises NotEnoughDataError when there is no verification sweep with people in it.
    """
    return certify_each(tallies, groups, (target_fmr,), seed)[0]


def certify_each(
    tallies: Tallies, groups: Sequence[Group], targets: Sequence[float], seed: int = 0
) -> tuple[Certificate, ...]:
    """`certify` for several targets on the same halves, for little more than the cost of one."""
    sweep = tallies.need("verification")
    tail = SubjectTail.of(sweep)
    chooses = _half(tallies, tail, seed)
    members = [tallies.subjects_in(group) for group in groups]
    halves = [
        (group, _Half(tail.only(member & chooses), sweep.grid), _Half(tail.only(member & ~chooses), sweep.grid))
        for group, member in zip(groups, members, strict=True)
    ]
    complete = int(sweep.nonmated.sum()) <= tail.score.size
    return tuple(_certified(halves, target, seed, -np.inf if complete else tail.cut) for target in targets)


def _certified(
    halves: Sequence[tuple[Group, "_Half", "_Half"]], target_fmr: float, seed: int, cut: float
) -> Certificate:
    """One target; nothing is listed below ``cut``."""
    found: list[tuple[Group, _Half, _Half, float]] = []
    small: list[tuple[Group, str]] = []
    for group, half, rest in halves:
        pairs = min(half.tail.pairs, rest.tail.pairs)
        at = half.lowest_certain(target_fmr) if pairs * target_fmr >= RULE_OF_3 else None
        if at is None:
            small.append((group, _too_few(group, pairs, target_fmr, half.least)))
        else:
            found.append((group, half, rest, at))
    if not found:
        none = f"no group is large enough to certify FMR {target_fmr:g}"
        return Certificate(target_fmr, None, (), tuple(small), seed, none)
    threshold = max(at for *_, at in found)
    rows = tuple(
        CertifiedGroup(g, half.tail.people + rest.tail.people, half.estimate(threshold), rest.estimate(threshold), at)
        for g, half, rest, at in found
    )
    reason = _refusal(rows, target_fmr)
    if threshold <= cut:
        reason = f"these tallies list no comparison below {cut:g}: ask for a lower target than {target_fmr:g}"
    return Certificate(target_fmr, None if reason else threshold, rows, tuple(small), seed, reason)


class _Half:
    """One half of a group; what was computed of it is kept for the next target."""

    def __init__(self, tail: SubjectTail, grid: FloatArray) -> None:
        self.tail = tail
        self._grid = grid[grid >= tail.cut]
        self._bounds: dict[float, float] = {}

    def lowest_certain(self, target_fmr: float) -> float | None:
        """The smallest candidate from which on every upper bound is at most the target."""
        below = self._rates <= target_fmr
        candidates = _candidates(self._grid[below], self._rates[below], self.tail.cut)
        certain = _downwards(candidates, lambda t: self.bound(t) <= target_fmr)
        return certain[-1] if certain else None

    @property
    def least(self) -> float:
        """The upper bound at the highest threshold."""
        return self.bound(float(self._grid[-1])) if self._grid.size and self.tail.pairs else 1.0

    def estimate(self, threshold: float) -> Estimate:
        """FMR at a threshold, with its interval and, with no error, the other bounds."""
        sums, errors = self._sums(threshold), self.tail.above(threshold)
        found = Estimate(sums.rate, pair_rate_interval(sums), errors=errors, trials=sums.pairs)
        if errors:
            return found
        dependent = dependent_zero_bound(sums) if sums.known else None
        disjoint = zero_error_bounds(sums.pairs, self.tail.people)[1]
        return replace(found, disjoint_bound=disjoint, dependent_bound=dependent)

    def bound(self, threshold: float) -> float:
        """The upper bound of the FMR there."""
        if threshold not in self._bounds:
            self._bounds[threshold] = guaranteed_bound(self._sums(threshold))
        return self._bounds[threshold]

    def _sums(self, threshold: float) -> PairSums:
        return replace(self.tail.sums(threshold), known=self._dependence)

    @cached_property
    def _rates(self) -> FloatArray:
        return self.tail.rates(self._grid)

    @cached_property
    def _dependence(self) -> Dependence | None:
        """The dependence at FMR 0.1 or the lowest score listed; None where nothing or everything matches there."""
        tail = self.tail
        if tail.score.size == 0:
            return None
        at = int(np.searchsorted(np.cumsum(tail.weight), 0.1 * tail.pairs))
        sums = tail.sums(max(float(tail.score[min(at, tail.score.size - 1)]), tail.cut))
        return dependence(sums) if 0.0 < sums.rate < 1.0 else None


def _half(tallies: Tallies, tail: SubjectTail, seed: int) -> NDArray[np.bool_]:
    """(S,) a random half of the people of each cell who took part."""
    random = np.random.default_rng(seed)
    chosen = np.zeros(tallies.cell.size, dtype=np.bool_)
    for cell in range(len(tallies.cells)):
        people = random.permutation(tail.subject[tallies.cell[tail.subject] == cell])
        # an odd one out goes to either half, or many small cells would all favour the same
        chosen[people[: (people.size + int(random.integers(2))) // 2]] = True
    return chosen


def _refusal(rows: Sequence[CertifiedGroup], target_fmr: float) -> str | None:
    failed = [r for r in rows if r.held_out.value is not None and r.held_out.value > target_fmr]
    if not failed:
        return None
    told = ", ".join(f"{r.group} {r.held_out.value:.2g}" for r in failed)
    return f"refused: among the people held out the FMR exceeds {target_fmr:g} ({told}); do not choose again"


def _too_few(group: Group, pairs: int, target_fmr: float, least: float) -> str:
    """``least``: the upper bound at the highest threshold."""
    need = RULE_OF_3 / target_fmr
    if pairs < need:
        takes = f"to guarantee FMR {target_fmr:g} takes {need:,.0f} without one error"
        return f"{group} has {pairs:,} pairs of people; {takes}"
    none = f"{group}: no threshold on this scale has an upper FMR bound of {target_fmr:g} or less"
    return f"{none}; with {pairs:,} pairs of people it is {least:.2g} at the highest"


def _candidates(grid: FloatArray, fmr: FloatArray, lowest: float) -> FloatArray:
    """Grid values from ``lowest`` up where the FMR falls, thinned evenly in its logarithm to at most `CANDIDATES`."""
    falls = (np.diff(fmr, prepend=2.0) < 0) & (grid >= lowest)
    grid, fmr = grid[falls], fmr[falls]
    if grid.size <= CANDIDATES:
        return grid
    level = -np.log(np.maximum(fmr, fmr[fmr > 0].min() / 2))
    at = np.searchsorted(level, np.linspace(level[0], level[-1], CANDIDATES))
    thinned: FloatArray = grid[np.unique(np.minimum(at, grid.size - 1))]
    return thinned


def _downwards(grid: FloatArray, holds: Callable[[float], bool]) -> list[float]:
    """Grid values from the highest down, for as long as ``holds`` is true of each."""
    return list(takewhile(holds, grid[::-1].tolist()))

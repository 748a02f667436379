"""Two systems measured on the same people: which one errs less, or that this test could not tell.

Both systems saw the same people, so what a hard photo does to one it often does to the other. Comparing them person by
person removes that common part; two separate intervals would not. ``docs/estimators/comparison.md`` has the formulas.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from countenance.audit.rates import rates_along
from countenance.audit.result import Json
from countenance.audit.tallies import DependenceSums, FloatArray, Group, IntArray, MatedSums, Sweep, Tallies
from countenance.errors import NotEnoughDataError, TalliesError

__all__ = ["Comparison", "Contrast", "compare"]

FMR_TARGETS = (1e-2, 1e-3, 1e-4, 1e-5)
FNMR_TARGETS = (0.1, 0.05, 0.01)
DRAWS = 1000
FEWEST = 30.0
FNMR, FMR = "FNMR", "FMR"
ROUNDING = 1e-9
RULE_OF_3 = -math.log(0.025)


@dataclass(frozen=True)
class Contrast:
    """One rate of both systems in one group, at a target of the other rate.

    ``what`` is ``FNMR`` (at ``target`` FMR; ``change`` is second minus first) or ``FMR`` (at ``target`` FNMR;
    ``change`` is second over first). ``interval`` is that of the change. Values are None, with ``reason``, where the
    data is too little.
    """

    what: str
    target: float
    group: Group
    first: float | None
    second: float | None
    change: float | None
    interval: tuple[float, float] | None
    reason: str | None = None

    @property
    def verdict(self) -> str | None:
        """``first`` or ``second``: the system with the lower rate; None when this test could not tell."""
        if self.interval is None:
            return None
        equal = 0.0 if self.what == FNMR else 1.0
        if self.interval[0] <= equal <= self.interval[1]:
            return None
        return "second" if self.interval[1] < equal else "first"

    def to_json(self) -> Json:
        """All fields, with the verdict."""
        return {
            "what": self.what,
            "target": self.target,
            "group": dict(self.group.label),
            "first": self.first,
            "second": self.second,
            "change": self.change,
            "interval": list(self.interval) if self.interval else None,
            "lower": self.verdict,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Comparison:
    """Both systems by name, every contrast, and sentences. ``notes`` say where the data of the two differ."""

    first: str
    second: str
    people: int
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """One a contrast that could be computed; "could not tell" is one of the answers."""
        return tuple(_sentence(self.first, self.second, c) for c in self.contrasts if c.interval is not None)

    def to_json(self) -> Json:
        """All fields."""
        return {
            "first": self.first,
            "second": self.second,
            "people": self.people,
            "contrasts": [c.to_json() for c in self.contrasts],
            "sentences": list(self.sentences),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Curve:
    """One system in one group along its ladder, from the lowest rung: what each person adds to both rates.

    ``fmr`` and ``fnmr`` (l,) measured; ``false`` (n, l) relative influence of each person on the FMR; ``missed`` (n, l)
    share of each person's mated comparisons that are below the rung, and ``tried`` (n,) whether there are any.
    """

    fmr: FloatArray
    fnmr: FloatArray
    false: FloatArray
    missed: FloatArray
    tried: FloatArray

    def drawn(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """FMR and FNMR (b, l) when each person counts ``weight`` (b, n) times; FMR to first order (Hajek)."""
        fmr = self.fmr * np.maximum(1.0 + (weight - 1.0) @ self.false, 0.05)
        fmr = np.minimum.accumulate(fmr, axis=1)  # the first-order step may rise where few errors are left
        fnmr = (weight @ (self.missed * self.tried[:, None])) / np.maximum(weight @ self.tried, 1e-9)[:, None]
        return fmr, fnmr


def compare(first: Tallies, second: Tallies, seed: int = 0) -> Comparison:
    """Compare two systems on the same people: FNMR at the same FMR, and FMR at the same FNMR.

    Each system gets its own threshold for a target, so scales of scores do not matter. People are resampled (1,000
    times), the same draw for both systems: the thresholds move with the draw, so their uncertainty is in the
    interval too. Rates between the rungs of the ladder are read on straight lines (FNMR against the logarithm of
    FMR), every person counting once. Contrasts for everyone, and for each group of each column.

    Raises TalliesError when the two were not measured on the same people (matched by name, or by number where the
    names were not kept), NotEnoughDataError when either has no verification or does not know who was compared.
    """
    measured = _measured(first), _measured(second)
    order = _matched(first, second)
    notes = _unlike(measured[0].mated.comparisons, measured[1].mated.comparisons[order])
    random = np.random.default_rng(seed)
    groups = [first.everyone, *(g for column in first.columns for g in first.groups([column]))]
    contrasts: list[Contrast] = []
    for group in groups:
        member = np.flatnonzero(first.subjects_in(group))
        if member.size < 2:
            continue
        there = second.everyone if not group.label else _same_group(second, group)
        curves = [_curve(measured[0], group, member), _curve(measured[1], there, order[member])]
        weight = random.multinomial(member.size, np.full(member.size, 1.0 / member.size), size=DRAWS).astype(np.float64)
        contrasts += _contrasts(curves, weight, group, member.size)
    names = (first.system.name, second.system.name)
    names = (f"{names[0]} (first)", f"{names[1]} (second)") if names[0] == names[1] else names
    return Comparison(*names, int(order.size), tuple(contrasts), tuple(notes))


class _Measured(NamedTuple):
    """One system's verification, with its sums over people."""

    sweep: Sweep
    sums: DependenceSums
    mated: MatedSums


def _measured(tallies: Tallies) -> _Measured:
    sweep = tallies.need("verification")
    if sweep.dependence is None or sweep.mated_sums is None:
        raise NotEnoughDataError(f"{tallies.system.name}: it is not known who was compared, so people cannot be paired")
    return _Measured(sweep, sweep.dependence, sweep.mated_sums)


def _matched(first: Tallies, second: Tallies) -> IntArray:
    """(S,) the second's number of each of the first's subjects."""
    if first.columns != second.columns or first.cell.size != second.cell.size:
        raise TalliesError("--against: the two were not measured on the same people; give the same data to both")
    order = np.arange(first.cell.size)
    if first.names is not None and second.names is not None:
        number = {name: k for k, name in enumerate(second.names)}
        missing = [name for name in first.names if name not in number]
        if missing:
            raise TalliesError(f"--against: {len(missing)} people are missing in the second, such as {missing[0]}")
        order = np.array([number[name] for name in first.names], dtype=np.int64)
    labels = [first.cells[int(c)] for c in first.cell]
    if labels != [second.cells[int(second.cell[k])] for k in order]:
        raise TalliesError("--against: people have other groups in the second; give the same data to both")
    return order


def _unlike(first: IntArray, second: IntArray) -> list[str]:
    """A note where people have other numbers of mated comparisons in the second system."""
    unlike = int((first != second).sum())
    note = f"{unlike:,} people have more usable photos in one system than in the other; each is compared on their own"
    return [note] if unlike else []


def _same_group(tallies: Tallies, group: Group) -> Group:
    return next(g for g in tallies.groups(list(group.label)) if g.label == group.label)


def _curve(measured: _Measured, group: Group, people: IntArray) -> _Curve:
    """The ladder of one system, its people in the order given."""
    sweep, rows, mated = measured
    at = np.searchsorted(sweep.grid, sweep.ladder)
    fmr, fnmr = (rate[at] for rate in rates_along(sweep, group))
    fnmr = np.where(fnmr < ROUNDING, 0.0, fnmr)
    share = rows.rows[:, people][:, :, group.cells].sum(axis=2, dtype=np.float64).T
    met = rows.row_pairs[people][:, group.cells].sum(axis=1)
    total = share.sum(axis=0)
    # a person's pairs are also somebody else's: weights of both count, so the influence is twice the share
    false = 2.0 * share / np.where(total > 0, total, 1.0) - 2.0 * (met / max(met.sum(), 1))[:, None]
    made = mated.comparisons[people]
    missed = 1.0 - mated.matches[:, people].T / np.maximum(made, 1)[:, None]
    return _Curve(fmr, fnmr, false, missed, (made > 0).astype(np.float64))


def _contrasts(curves: Sequence[_Curve], weight: FloatArray, group: Group, people: int) -> list[Contrast]:
    drawn = [c.drawn(weight) for c in curves]
    found = []
    pairs = people * (people - 1) / 2
    for target in FMR_TARGETS:
        why = None
        if pairs * target < FEWEST:
            why = f"{people:,} people have too few pairs to compare at FMR {target:g}"
        found.append(_contrast(FNMR, target, group, curves, drawn, people, why))
    tried = min(float(c.tried.sum()) for c in curves)
    for target in FNMR_TARGETS:
        why = None
        if tried * target < FEWEST:
            why = f"{tried:,.0f} people with two photos are too few to compare at FNMR {target:g}"
        found.append(_contrast(FMR, target, group, curves, drawn, people, why))
    return found


def _contrast(
    what: str,
    target: float,
    group: Group,
    curves: Sequence[_Curve],
    drawn: Sequence[tuple[FloatArray, FloatArray]],
    people: int,
    why: str | None,
) -> Contrast:
    read: Callable[[FloatArray, FloatArray, float], float | None] = _fnmr_at if what == FNMR else _log_fmr_at
    values = [read(c.fmr, c.fnmr, target) for c in curves]
    if why is None and (values[0] is None or values[1] is None):
        why = f"the thresholds counted do not reach {'FMR' if what == FNMR else 'FNMR'} {target:g} in both systems"
    elif why is None and what == FMR and math.exp(min(v for v in values if v is not None)) * people**2 < 2 * FEWEST:
        why = f"at FNMR {target:g} a system has too few false matches among {people:,} people to compare"
    if why is not None or values[0] is None or values[1] is None:
        return Contrast(what, target, group, None, None, None, None, why)
    changes = []
    for one, two in zip(zip(*drawn[0], strict=True), zip(*drawn[1], strict=True), strict=True):
        a, b = read(*one, target), read(*two, target)
        if a is not None and b is not None:
            changes.append(b - a)
    if len(changes) < 0.9 * DRAWS:
        why = f"too near the end of the data: {target:g} is not reached in every draw of people"
        return Contrast(what, target, group, None, None, None, None, why)
    low, high = np.quantile(changes, [0.025, 0.975])
    first, second, change = values[0], values[1], values[1] - values[0]
    if what == FNMR:  # a handful of misses says less than resampling them suggests
        floor = RULE_OF_3 / min(float(c.tried.sum()) for c in curves)
        low, high = min(low, change - floor), max(high, change + floor)
    else:
        first, second, change, low, high = (math.exp(x) for x in (first, second, change, low, high))
    return Contrast(what, target, group, first, second, change, (float(low), float(high)))


def _fnmr_at(fmr: FloatArray, fnmr: FloatArray, target: float) -> float | None:
    """FNMR where FMR is ``target``, on a straight line in log FMR between two rungs; None outside the ladder."""
    there = fmr > 0
    if not there.any() or not fmr[there][-1] <= target <= fmr[there][0] or np.isnan(fnmr).any():
        return None
    return float(np.interp(math.log(target), np.log(fmr[there])[::-1], fnmr[there][::-1]))


def _log_fmr_at(fmr: FloatArray, fnmr: FloatArray, target: float) -> float | None:
    """Logarithm of the FMR at the lowest FMR whose FNMR is at most ``target``; None outside the ladder."""
    there = fmr > 0
    rising = fnmr[there]
    if not there.any() or np.isnan(rising).any() or not rising[0] <= target <= rising[-1]:
        return None
    at = int(np.searchsorted(rising, target, side="right"))
    if at == rising.size:
        return float(np.log(fmr[there][-1]))
    part = (target - rising[at - 1]) / (rising[at] - rising[at - 1])
    logs = np.log(fmr[there])
    return float(logs[at - 1] + part * (logs[at] - logs[at - 1]))


def _sentence(first: str, second: str, found: Contrast) -> str:
    low, high = found.interval or (0.0, 0.0)
    who = "" if not found.group.label else f" in {found.group}"
    if found.what == FNMR:
        where = f"At FMR {found.target:g}{who}"
        told = f"{100 * (found.first or 0):.2g} % and {100 * (found.second or 0):.2g} % of mated comparisons are missed"
        size = f"difference {100 * (found.change or 0):+.2g} points [{100 * low:+.2g}, {100 * high:+.2g}]"
    else:
        where = f"At FNMR {found.target:g}{who}"
        told = f"FMR is {found.first:.2g} and {found.second:.2g}"
        size = f"ratio {found.change:.2g} [{low:.2g}, {high:.2g}]"
    if found.verdict is None:
        return f"{where} this test could not tell {first} and {second} apart: {told}, {size}."
    better = first if found.verdict == "first" else second
    return f"{where} {better} errs less: {told} by {first} and {second}, {size}."

"""Published measures of inequality between groups, and how far chance alone moves them.

Arrays only: rates of g groups in the last axis. `countenance.audit.differentials` applies them to tallies.
Each measure sorts its groups by their rates, unless told that they are ``ordered``: then it takes the first for the
lowest and the last for the highest, whatever their rates. It raises NotEnoughDataError with fewer than two groups.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from countenance.audit.intervals import Interval
from countenance.audit.result import Differential, Estimate, Json
from countenance.audit.tallies import FloatArray
from countenance.errors import NotEnoughDataError

__all__ = ["Spread", "contrasts", "fdr", "garbe", "gini", "max_geomean", "max_min", "measured"]

DRAWS = 1000
STRETCH = np.concatenate([1.0 - np.array([1.0, 0.75, 0.5]), 1.0 - 0.35 * 0.7 ** np.arange(11), [1.0, 1.1, 1.25, 1.5]])
"""From no difference to beyond the measured one, and closest near it: where rates are well known, the end is there."""
LEVEL = 0.025
TOWARDS, BEYOND = 0.04, 0.01
"""How the 5 % are spent: that groups differ less than the interval says, and that they differ more."""
Z = float(ndtri(1.0 - LEVEL))
INDEPENDENT = (
    "it is not known who was compared: no interval, and chance alone may give more than these independent comparisons"
)


def _compared(ordered: bool, *rates: FloatArray) -> tuple[FloatArray, ...]:
    """The rates in rising order, or as they are. Raises NotEnoughDataError with fewer than two."""
    if any(r.shape[-1] < 2 for r in rates):
        raise NotEnoughDataError("groups are compared, so at least two need a rate")
    return rates if ordered else tuple(np.sort(r, axis=-1) for r in rates)


def max_min(rates: FloatArray, *, ordered: bool = False) -> FloatArray:
    """Largest over smallest rate, (..., g) -> (...): 1 when equal (or all zero), infinite where one is zero."""
    (rates,) = _compared(ordered, rates)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = rates[..., -1] / rates[..., 0]
    return np.where(rates[..., -1] > 0, ratio, 1.0)


def max_geomean(rates: FloatArray, *, ordered: bool = False) -> FloatArray:
    """Largest rate over the geometric mean, (..., g) -> (...) (Grother 2022, NIST IR 8429); zeros as `max_min`."""
    (rates,) = _compared(ordered, rates)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = rates[..., -1] / np.exp(np.log(rates).mean(axis=-1))
    return np.where(rates[..., -1] > 0, ratio, 1.0)


def gini(rates: FloatArray, *, ordered: bool = False) -> FloatArray:
    """Gini coefficient with the small-sample factor: ``n / (n - 1) * sum_ij |x_i - x_j| / (2 n^2 mean)``.

    (..., g) -> (...), g >= 2. 0 when equal (also when all are zero), 1 when one group has all the errors.
    """
    (rates,) = _compared(ordered, rates)
    n = rates.shape[-1]
    total = 2.0 * (rates @ (2.0 * np.arange(1, n + 1) - n - 1))
    mean = rates.mean(axis=-1)
    found: FloatArray = np.divide(total, 2 * n * (n - 1) * mean, out=np.zeros_like(mean), where=mean > 0)
    return found


def garbe(fmr: FloatArray, fnmr: FloatArray, alpha: float = 0.5, *, ordered: bool = False) -> FloatArray:
    """Gini aggregation rate for biometric equitability: ``alpha * gini(FMR) + (1 - alpha) * gini(FNMR)``; 0 when equal.

    (..., g) twice -> (...). Howard, Laird, Rubin, Sirotin, Tipton, Vemury (2022).
    """
    return alpha * gini(fmr, ordered=ordered) + (1.0 - alpha) * gini(fnmr, ordered=ordered)


def fdr(fmr: FloatArray, fnmr: FloatArray, alpha: float = 0.5, *, ordered: bool = False) -> FloatArray:
    """Fairness discrepancy rate: ``1 - alpha * max|FMR_i - FMR_j| - (1 - alpha) * max|FNMR_i - FNMR_j|``.

    (..., g) twice -> (...); 1 when equal. de Freitas Pereira, Marcel (2021). Where a system is useful, differences
    in FMR are orders of magnitude below those in FNMR, so at alpha 0.5 this measure hardly sees the FMR (Howard et
    al. 2022).
    """
    fmr, fnmr = _compared(ordered, fmr, fnmr)
    apart, missed = fmr[..., -1] - fmr[..., 0], fnmr[..., -1] - fnmr[..., 0]
    found: FloatArray = 1.0 - alpha * apart - (1.0 - alpha) * missed
    return found


@dataclass(frozen=True)
class Spread:
    """One error rate of g groups, how sure each is, and what chance alone would make of equal groups.

    ``rates`` (g,) as measured. ``place`` (g,): the logit of each; a group without errors stands at half an error.
    ``below``, ``above`` (g,): how far its interval reaches down and up, over 1.96; ``own`` (g,): the variance that
    would be there if comparisons were independent. ``counting``, ``drawing`` (draws, g): standard normal numbers, for
    that part of the variance and for what people add. ``chance`` (draws, g): rates drawn for groups that all have the
    pooled rate; ``floor`` (g,): half an error of theirs. ``known``: whether people are, so that all this means
    something.
    """

    rates: FloatArray
    place: FloatArray
    below: FloatArray
    above: FloatArray
    own: FloatArray
    counting: FloatArray
    drawing: FloatArray
    chance: FloatArray
    floor: FloatArray
    known: bool

    @classmethod
    def of(cls, estimates: Sequence[Estimate], random: np.random.Generator) -> Self:
        """From estimates that all have a value. NotEnoughDataError without any."""
        if not estimates:
            raise NotEnoughDataError("no group has a rate, so there is none to compare")
        rates = np.array([e.value for e in estimates], dtype=np.float64)
        worth = np.maximum([effective_trials(e) for e in estimates], 1.0)
        pooled = float(rates @ np.rint(worth) / np.rint(worth).sum())
        made = np.array([trials_at(e, pooled) for e in estimates])
        chance = random.binomial(made.astype(np.int64), pooled, size=(DRAWS, rates.size)) / made
        half = np.clip(rates, 0.5 / worth, 1.0 - 0.5 / worth)
        place = logit(half)
        error = 1.0 / np.sqrt(worth * half * (1.0 - half))
        below, above = _arms(estimates, place, error)
        trials = np.array([e.trials or w for e, w in zip(estimates, worth, strict=True)], dtype=np.float64)
        own = np.minimum(1.0 / (trials * half * (1.0 - half)), error**2)
        known = all(e.interval is not None for e in estimates)
        counting, drawing = random.standard_normal((2, *chance.shape))
        return cls(rates, place, below, above, own, counting, drawing, chance, 0.5 / made, known)

    @property
    def error(self) -> FloatArray:
        """(g,) standard errors of the logits."""
        return (self.below + self.above) / 2.0

    @cached_property
    def truths(self) -> FloatArray:
        """(s, g) logits that might be true: away from the pooled rate by `STRETCH` times the measured pattern.

        0 is no difference. Groups that cannot be told from the lowest (or the highest) stand beside it in the pattern,
        since being lowest of several is partly luck.
        """
        worth = 1.0 / (self.error**2 * expit(self.place) * expit(-self.place))
        mean = float(logit(expit(self.place) @ worth / worth.sum()))
        return mean + STRETCH[:, None] * (_tied(self.place, self.error) - mean)

    @cached_property
    def outcomes(self) -> FloatArray:
        """(s, draws, g) rates that might be measured if these were true, in rising order.

        The part of a variance that people cause is the same everywhere; the rest is that of the rate. Where an interval
        reaches far up, what is measured may lie far below the truth.
        """
        rate, there = expit(self.place), expit(self.truths)
        own = self.own * rate * (1.0 - rate) / (there * (1.0 - there))
        people = self._people(self.above, self.below)
        found = self.truths[:, None, :] + people + _counted(self.counting, there[:, None, :], own[:, None, :])
        return np.sort(expit(found), axis=-1)

    @cached_property
    def around(self) -> FloatArray:
        """(draws, g) rates that might be true given what was measured, groups in the order of their measured rates."""
        people = self._people(self.below, self.above)
        found = expit(self.place + people + _counted(self.counting, expit(self.place), self.own))
        return np.take(found, np.argsort(self.place, kind="stable"), axis=-1)

    def _people(self, down: FloatArray, up: FloatArray) -> FloatArray:
        """(draws, g) what drawing people adds to the logits, as lopsided as the intervals are."""
        part = np.sqrt(np.maximum(self.error**2 - self.own, 0.0)) / self.error
        return self.drawing * np.where(self.drawing < 0.0, down, up) * part


def _counted(normal: FloatArray, rate: FloatArray, variance: FloatArray) -> FloatArray:
    """What counting adds to a logit: lopsided, since a count that is low by chance is so by more of its logarithm.

    A normal number to the third of a cube root (Wilson, Hilferty 1931), of the given variance.
    """
    lopsided = (1.0 - 2.0 * rate) * np.sqrt(variance) / 3.0
    lopsided = np.where(np.abs(lopsided) < 1e-6, 1e-6, lopsided)
    found: FloatArray = np.sqrt(variance) * np.log(np.maximum(1.0 - lopsided**2 + lopsided * normal, 0.02)) / lopsided
    return found


def _arms(estimates: Sequence[Estimate], place: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(g,) how far intervals reach down and up on the logit scale, over 1.96; ``error`` where one has no such end."""
    below, above = error.copy(), error.copy()
    for at, (one, middle) in enumerate(zip(estimates, place, strict=True)):
        if one.interval is not None and one.interval.low > 0.0 and one.interval.high < 1.0:
            below[at] = max(middle - float(logit(one.interval.low)), 0.0) / Z
            above[at] = max(float(logit(one.interval.high)) - middle, 0.0) / Z
    return below, above


def _tied(place: FloatArray, error: FloatArray) -> FloatArray:
    """(g,) the places, with those that cannot be told from the lowest at their common mean, likewise the highest.

    Not told apart are two that differ by less than sqrt(2 ln g) standard errors: about the largest of g normal numbers.
    """
    tied = place.copy()
    reach = error * math.sqrt(2.0 * math.log(place.size))
    low, high = int(np.argmin(place)), int(np.argmax(place))
    up, down = place - place[low], place[high] - place
    for alike in (
        (up <= down) & (up <= np.hypot(reach, reach[low])),
        (down < up) & (down <= np.hypot(reach, reach[high])),
    ):
        weight = alike / error**2
        tied[alike] = weight @ place / max(weight.sum(), 1e-300)
    return tied


def effective_trials(rate: Estimate) -> float:
    """Trials of an independent rate whose interval on the logit scale is as wide; the comparisons, without interval."""
    found, value = rate.interval, rate.value or 0.0
    if found is None:
        return float(rate.trials or 1)
    if value <= 0.0 or value >= 1.0:
        return -math.log(LEVEL) / max(found.high - found.low, 1e-300)
    if found.low <= 0.0 or found.high >= 1.0:
        return 1.0
    width = float(logit(found.high) - logit(found.low)) / (2 * Z)
    return 1.0 / (width**2 * value * (1.0 - value))


def trials_at(rate: Estimate, truth: float) -> float:
    """Effective trials of a group if its rate were ``truth`` instead of what was measured; whole, at least 1.

    The variance has a part as of independent comparisons and a part that people cause. The latter keeps its size
    relative to the square of the rate, so a group that is much rarer in error has more effective trials than now.
    """
    now, value = effective_trials(rate), rate.value or 0.0
    if rate.interval is None or not rate.trials or not 0.0 < value < 1.0:
        return max(1.0, round(now))
    people = max(0.0, (1.0 - value) / value * (1.0 / now - 1.0 / rate.trials))
    odds = max(truth, 1e-300) / max(1.0 - truth, 1e-12)
    return float(max(round(1.0 / (1.0 / rate.trials + people * odds)), 1))


def measured(
    measure: Callable[..., FloatArray], *spreads: Spread, falls: bool = False, ratio: bool = False
) -> Differential:
    """A measure with its interval, its value under no difference and the p-value of no difference.

    ``measure`` takes one array of rates (..., g) for each of ``spreads``, and ``ordered``; ``falls`` when it is smaller
    for more unequal groups; a ``ratio`` takes a group that by chance has no error for one with half an error.

    The end of the interval towards equality inverts a test: the least unequal truth at which outcomes at least as
    unequal as the measured one have a chance of 4 %, found along the measured pattern (`Spread.truths`). Percentiles
    would not do there: the largest of several noisy rates is biased upwards. The other end is the 99th percentile of
    the measure with the groups kept in their measured order, which has no such bias; and never less than what chance
    alone gives one time in twenty, so that no truth below that is missed on this side and all of the 5 % can be spent
    on the other (as in Feldman, Cousins 1998, near a boundary): equality is excluded just when p is below 5 %.
    """
    sign = -1.0 if falls else 1.0

    def unequal(rates: Iterable[FloatArray], *, ordered: bool = False) -> FloatArray:
        return sign * measure(*rates, ordered=ordered)

    value = float(measure(*(s.rates for s in spreads)))
    if not all(s.known for s in spreads) or not math.isfinite(value):
        by_chance = unequal(np.maximum(s.chance, s.floor) if ratio else s.chance for s in spreads)
        under, p_value = _by_chance(by_chance, sign * value, sign)
        if all(s.known for s in spreads):
            return Differential(None, None, under, "infinite", p_value)
        return Differential(value if math.isfinite(value) else None, None, under, INDEPENDENT)
    seen = float(unequal(expit(s.place) for s in spreads))
    truth, outcome = unequal(expit(s.truths) for s in spreads), unequal((s.outcomes for s in spreads), ordered=True)
    under, p_value = _by_chance(outcome[0], seen, sign)
    near = float(np.quantile(outcome[0], 1.0 - TOWARDS - BEYOND, method="nearest"))
    least = _crossing((outcome >= seen - 1e-12).mean(axis=1), truth, near)
    around = unequal((s.around for s in spreads), ordered=True)
    highest = max(float(np.quantile(around, 1.0 - BEYOND)), near)
    ends = sign * min(least, sign * value), sign * max(highest, sign * value)
    return Differential(value, Interval(min(ends), max(ends)), under, None, p_value)


def _by_chance(drawn: FloatArray, seen: float, sign: float) -> tuple[tuple[float, float] | None, float]:
    """Median and 95th percentile of what equal groups give, None where that is infinite; the p-value of what was."""
    median, most = sign * np.quantile(drawn, [0.5, 0.95], method="nearest")
    p_value = float((1 + np.count_nonzero(drawn >= seen - 1e-12)) / (1 + drawn.size))
    return ((float(median), float(most)) if np.isfinite(most) else None), p_value


def _crossing(share: FloatArray, truth: FloatArray, near: float) -> float:
    """The truth at which a share first reaches its level, by a straight line in its normal quantile; else the last."""
    level = np.where(truth <= near, TOWARDS + BEYOND, TOWARDS)
    if not (share >= level).any():
        return float(truth[-1])
    at = int(np.argmax(share >= level))
    if at == 0:
        return float(truth[0])
    low, wanted, high = ndtri(np.clip([share[at - 1], level[at], share[at]], 0.5 / DRAWS, 1.0 - 0.5 / DRAWS))
    part = max(wanted - low, 0.0) / max(high - low, 1e-12)
    return float(truth[at - 1] + part * (truth[at] - truth[at - 1]))


def contrasts(names: Sequence[str], rates: Sequence[Estimate]) -> list[Json]:
    """Each group against all others: ratio of rates, and its p-value adjusted by Holm (1979) for the number of groups.

    Normal on the logit scale with the widths of the intervals. ``ratio`` is None where the others have no error;
    then, and without intervals, ``p_adjusted`` is None.
    """
    value = np.array([e.value or 0.0 for e in rates])
    trials = np.array([effective_trials(e) for e in rates])
    rows: list[Json] = []
    for at, name in enumerate(names):
        rest = np.arange(len(names)) != at
        others = float(value[rest] @ trials[rest] / trials[rest].sum())
        p_value = None
        if all(e.interval is not None for e in rates) and 0.0 < others < 1.0:
            one = min(max(float(value[at]), 0.5 / trials[at]), 1.0 - 0.5 / max(trials[at], 1.0))
            spread = math.sqrt(1 / (trials[at] * one * (1 - one)) + 1 / (trials[rest].sum() * others * (1 - others)))
            p_value = 2.0 * float(ndtr(-abs(logit(one) - logit(others)) / spread))
        ratio = float(value[at]) / others if others > 0 else None
        rows.append({"name": name, "ratio": ratio, "p_adjusted": p_value})
    tested = sorted((r for r in rows if r["p_adjusted"] is not None), key=lambda r: float(r["p_adjusted"]))
    worst = 0.0
    for rank, row in enumerate(tested):
        worst = max(worst, min(1.0, (len(tested) - rank) * float(row["p_adjusted"])))
        row["p_adjusted"] = worst
    return rows

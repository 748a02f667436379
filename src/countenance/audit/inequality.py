"""Published measures of inequality between groups, and how far chance alone moves them.

Arrays only: rates of g groups in the last axis. `countenance.audit.differentials` applies them to tallies.
Each measure raises NotEnoughDataError with fewer than two groups.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from countenance.audit.intervals import Interval
from countenance.audit.result import Differential, Estimate, Json
from countenance.audit.tallies import FloatArray
from countenance.errors import NotEnoughDataError

__all__ = ["Spread", "contrasts", "fdr", "garbe", "gini", "max_geomean", "max_min", "measured"]

DRAWS = 1000
STRETCH = np.linspace(0.0, 1.5, 31)
LEVEL = 0.025
CANCELS, RULED = 0.12, 6
"""Calibrated: a rate that few people rule needs room for its skewness, which is partly gone in a ratio of two such."""
Z = float(ndtri(1.0 - LEVEL))
INDEPENDENT = (
    "it is not known who was compared: no interval, and chance alone may give more than these independent comparisons"
)


def _compared(*rates: FloatArray) -> None:
    if any(r.shape[-1] < 2 for r in rates):
        raise NotEnoughDataError("groups are compared, so at least two need a rate")


def max_min(rates: FloatArray) -> FloatArray:
    """Largest over smallest rate, (..., g) -> (...): 1 when equal (or all zero), infinite where one is zero."""
    _compared(rates)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = rates.max(axis=-1) / rates.min(axis=-1)
    return np.where(rates.max(axis=-1) > 0, ratio, 1.0)


def max_geomean(rates: FloatArray) -> FloatArray:
    """Largest rate over the geometric mean, (..., g) -> (...) (Grother 2022, NIST IR 8429); zeros as `max_min`."""
    _compared(rates)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = rates.max(axis=-1) / np.exp(np.log(rates).mean(axis=-1))
    return np.where(rates.max(axis=-1) > 0, ratio, 1.0)


def gini(rates: FloatArray) -> FloatArray:
    """Gini coefficient with the small-sample factor: ``n / (n - 1) * sum_ij |x_i - x_j| / (2 n^2 mean)``.

    (..., g) -> (...), g >= 2. 0 when equal (also when all are zero), 1 when one group has all the errors.
    """
    _compared(rates)
    n = rates.shape[-1]
    ordered = np.sort(rates, axis=-1)
    total = 2.0 * (ordered @ (2.0 * np.arange(1, n + 1) - n - 1))
    mean = rates.mean(axis=-1)
    found: FloatArray = np.divide(total, 2 * n * (n - 1) * mean, out=np.zeros_like(mean), where=mean > 0)
    return found


def garbe(fmr: FloatArray, fnmr: FloatArray, alpha: float = 0.5) -> FloatArray:
    """Gini aggregation rate for biometric equitability: ``alpha * gini(FMR) + (1 - alpha) * gini(FNMR)``; 0 when equal.

    (..., g) twice -> (...). Howard, Laird, Rubin, Sirotin, Tipton, Vemury (2022).
    """
    return alpha * gini(fmr) + (1.0 - alpha) * gini(fnmr)


def fdr(fmr: FloatArray, fnmr: FloatArray, alpha: float = 0.5) -> FloatArray:
    """Fairness discrepancy rate: ``1 - alpha * max|FMR_i - FMR_j| - (1 - alpha) * max|FNMR_i - FNMR_j|``.

    (..., g) twice -> (...); 1 when equal. de Freitas Pereira, Marcel (2021). Where a system is useful, differences
    in FMR are orders of magnitude below those in FNMR, so at alpha 0.5 this measure hardly sees the FMR (Howard et
    al. 2022).
    """
    _compared(fmr, fnmr)
    found: FloatArray = 1.0 - alpha * np.ptp(fmr, axis=-1) - (1.0 - alpha) * np.ptp(fnmr, axis=-1)
    return found


@dataclass(frozen=True)
class Spread:
    """One error rate of g groups, how sure each is, and what chance alone would make of equal groups.

    ``rates`` (g,) as measured. ``place`` (g,): the logit of each; a group without errors stands at half an error.
    ``error`` (g,): its standard error, of which the variance ``own`` (g,) would be there if comparisons were
    independent. ``normal`` (draws, g): standard normal numbers. ``chance`` (draws, g): rates drawn for groups that all
    have the pooled rate; ``floor`` (g,): half an error of theirs. ``known``: whether people are, so that all this means
    something.
    """

    rates: FloatArray
    place: FloatArray
    error: FloatArray
    own: FloatArray
    normal: FloatArray
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
        variance = 1.0 / (worth * half * (1.0 - half))
        trials = np.array([e.trials or w for e, w in zip(estimates, worth, strict=True)], dtype=np.float64)
        own = np.minimum(1.0 / (trials * half * (1.0 - half)), variance)
        error = np.sqrt(variance) * (1.0 - CANCELS * (1.0 - own / variance) ** RULED)
        known = all(e.interval is not None for e in estimates)
        return cls(rates, logit(half), error, own, random.standard_normal(chance.shape), chance, 0.5 / made, known)

    def stretched(self) -> tuple[FloatArray, FloatArray]:
        """(s, g) logits that might be true, and their standard errors there.

        Away from their weighted mean, by `STRETCH` times the measured pattern: 0 is no difference. Groups that cannot
        be told from the lowest (or the highest) stand beside it in the pattern, since being lowest of several is
        partly luck. The part of a variance that people cause is the same everywhere; the rest is that of the rate.
        """
        weight = 1.0 / self.error**2
        mean = float(weight @ self.place / weight.sum())
        truth = mean + STRETCH[:, None] * (_tied(self.place, self.error) - mean)
        people, rate = np.maximum(self.error**2 - self.own, 0.0), expit(self.place)
        there = expit(truth)
        own = self.own * rate * (1.0 - rate) / (there * (1.0 - there))
        return truth, self.error * np.sqrt((own + people) / (self.own + people))


def _tied(place: FloatArray, error: FloatArray) -> FloatArray:
    """(g,) the places, with those that cannot be told from the lowest moved there, likewise to the highest.

    Not told apart are two that differ by less than sqrt(2 ln g) standard errors: about the largest of g normal numbers.
    """
    tied = place.copy()
    error = error * math.sqrt(2.0 * math.log(place.size))
    low, high = int(np.argmin(place)), int(np.argmax(place))
    up, down = place - place[low], place[high] - place
    tied[(up <= down) & (up < np.hypot(error, error[low]))] = place[low]
    tied[(down < up) & (down < np.hypot(error, error[high]))] = place[high]
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

    ``measure`` takes one array of rates (..., g) for each of ``spreads``; ``falls`` when it is smaller for more unequal
    groups; a ``ratio`` takes a group that by chance has no error for one with half an error.

    The end of the interval towards equality inverts a test: the least unequal truth at which outcomes at least as
    unequal as the measured one have a chance of 2.5 %, found along the measured pattern (`Spread.stretched`);
    equality itself where that is not excluded. Percentiles would not do there: the largest of several noisy rates
    is biased upwards. The other end is a percentile, where that bias is on the safe side.
    """
    sign = -1.0 if falls else 1.0

    def unequal(rates: Iterable[FloatArray]) -> FloatArray:
        return sign * measure(*rates)

    value = float(measure(*(s.rates for s in spreads)))
    by_chance = unequal(np.maximum(s.chance, s.floor) if ratio else s.chance for s in spreads)
    median, most = sign * np.quantile(by_chance, [0.5, 0.95], method="nearest")
    under = (float(median), float(most)) if np.isfinite(most) else None
    if not all(s.known for s in spreads):
        return Differential(value if math.isfinite(value) else None, None, under, INDEPENDENT)
    p_value = float((1 + np.count_nonzero(by_chance >= sign * value - 1e-12)) / (1 + DRAWS))
    if not math.isfinite(value):
        return Differential(None, None, under, "infinite", p_value)
    paths = [s.stretched() for s in spreads]
    drawn = unequal(
        expit(path[:, None, :] + error[:, None, :] * s.normal) for (path, error), s in zip(paths, spreads, strict=True)
    )
    seen = float(unequal(expit(s.place) for s in spreads))
    least = _crossing((drawn >= seen - 1e-12).mean(axis=1), unequal(expit(path) for path, _ in paths))
    highest = float(np.quantile(unequal(expit(s.place + s.error * s.normal) for s in spreads), 1.0 - LEVEL))
    ends = sign * min(least, sign * value), sign * max(highest, sign * value)
    return Differential(value, Interval(min(ends), max(ends)), under, None, p_value)


def _crossing(share: FloatArray, truth: FloatArray) -> float:
    """The truth at which a share first exceeds the level, by a straight line between two stretches."""
    at = int(np.argmax(share > LEVEL))
    if at == 0:
        return float(truth[0])
    part = (LEVEL - share[at - 1]) / (share[at] - share[at - 1])
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

"""Published measures of inequality between groups, and how far chance alone moves them.

Arrays only: rates of g groups in the last axis. `countenance.audit.differentials` applies them to tallies.
Each measure sorts its groups by their rates, unless told that they are ``ordered``: then it takes the first for the
lowest and the last for the highest, whatever their rates. It raises NotEnoughDataError with fewer than two groups.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from countenance.audit.intervals import Interval
from countenance.audit.result import Differential, Estimate, Json
from countenance.audit.spread import DRAWS, Spread, effective_trials
from countenance.audit.tallies import FloatArray
from countenance.errors import NotEnoughDataError

__all__ = ["contrasts", "fdr", "garbe", "gini", "max_geomean", "max_min", "measured"]

Truth = list[FloatArray]
"""For each of the rates that a measure takes, logits (g,) of its groups, rising."""

TOWARDS, BEYOND = 0.035, 0.015
"""How the 5 % are spent: that groups differ less than the interval says, and that they differ more."""
INWARDS = np.concatenate([0.5 * np.arange(1, 7), 3.0 * 1.3 ** np.arange(1, 40)])
"""Standard errors: finest where an end is likely, and far enough to make any groups equal."""
OUTWARDS: FloatArray = -INWARDS[INWARDS < 15.0]
LUCKY = 0.16
"""Groups more equal than this share of what equal ones give are taken as if they were as unequal as that."""
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
        ratio: FloatArray = np.exp(np.log(rates[..., -1:] / rates).mean(axis=-1))  # exactly 1 where all are equal
    return np.where(rates[..., -1] > 0, ratio, 1.0)


def gini(rates: FloatArray, *, ordered: bool = False) -> FloatArray:
    """Gini coefficient with the small-sample factor: ``n / (n - 1) * sum_ij |x_i - x_j| / (2 n^2 mean)``.

    (..., g) -> (...), g >= 2. 0 when equal (also when all are zero), 1 when one group has all the errors.
    """
    (rates,) = _compared(ordered, rates)
    n = rates.shape[-1]
    total = 2.0 * ((rates - rates[..., :1]) @ (2.0 * np.arange(1, n + 1) - n - 1))  # exactly 0 where all are equal
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


def measured(
    measure: Callable[..., FloatArray], *spreads: Spread, falls: bool = False, ratio: bool = False
) -> Differential:
    """A measure with its interval, its value under no difference and the p-value of no difference.

    ``measure`` takes one array of rates (..., g) for each of ``spreads``, all of the same g groups, and ``ordered``;
    ``falls`` when it is smaller for more unequal groups; a ``ratio`` takes a group that by chance has no error for one
    with half an error.

    Both ends invert tests: the least unequal truth at which outcomes at least as unequal as the measured one have a
    chance of 3.5 %, and the most unequal one at which outcomes at most as unequal have a chance of 1.5 %. The measure
    does not say what the truth is, so it is the nearest to a guess of all that are as unequal (`Spread.guesses`,
    `_path`; Lee, Young 2005); of two guesses, the lower ends hold. Percentiles would not do: the largest of several
    noisy rates is biased upwards. What a guess gets wrong moves both ends the same way, so that one misses the truth
    more often and the other less.

    Groups measured as more equal than equal ones are in all but 16 % of draws may be so by luck, and are not for that
    said to differ less (as power-constrained limits; Cowan, Cranmer, Gross, Vitells 2011). So the other end never
    misses truths near equality, and there all of the 5 % are spent on the end towards it: equality is excluded just
    when p is below 5 %.
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

    at_equal = unequal((s.at_equal for s in spreads), ordered=True)
    under, p_value = _by_chance(at_equal, seen, sign)
    guesses = zip(*(s.guesses for s in spreads), strict=True)
    found = [_ends(unequal, spreads, list(guess), seen, at_equal) for guess in guesses]
    least, most = (min(ends) for ends in zip(*found, strict=True))
    ends = sign * min(least, sign * value), sign * max(most, sign * value)
    return Differential(value, Interval(min(ends), max(ends)), under, None, p_value)


def _ends(
    unequal: Callable[..., FloatArray], spreads: Sequence[Spread], guess: Truth, seen: float, at_equal: FloatArray
) -> tuple[float, float]:
    """The least and the most unequal truth near a guess at which outcomes as unequal as ``seen`` are likely enough.

    ``at_equal`` (draws,): outcomes if there is no difference.
    """
    lucky = float(np.quantile(at_equal, LUCKY, method="nearest"))
    path = _path(unequal, spreads, guess)
    truth = unequal((expit(np.array(logits)) for logits in zip(*path, strict=True)), ordered=True)

    @cache
    def outcomes(step: int) -> FloatArray:
        if step == 0:
            return at_equal
        return unequal((s.outcome(logits) for s, logits in zip(spreads, path[step], strict=True)), ordered=True)

    def towards(step: int) -> float:
        never_beyond = (outcomes(step) <= lucky + 1e-12).mean() >= BEYOND
        level = TOWARDS + BEYOND if never_beyond else TOWARDS
        return _normal((outcomes(step) >= seen - 1e-12).mean()) - _normal(level)

    def beyond(step: int) -> float:
        return _normal((outcomes(step) > max(seen, lucky) + 1e-12).mean()) - _normal(1.0 - BEYOND)

    return _crossing(towards, truth), _crossing(beyond, truth)


def _normal(share: float) -> float:
    """The normal quantile of a share of draws."""
    return float(ndtri(min(max(share, 0.5 / DRAWS), 1.0 - 0.5 / DRAWS)))


def _path(unequal: Callable[..., FloatArray], spreads: Sequence[Spread], guess: Truth) -> list[Truth]:
    """What may be true, from no difference by way of a guess to far beyond it, ever more unequal.

    Of all truths that are as unequal as one of them, that one is nearest to the guess in standard errors.
    """
    inwards = _pulled(unequal, spreads, guess, INWARDS)
    return [[s.equal for s in spreads], *reversed(inwards), guess, *_pulled(unequal, spreads, guess, OUTWARDS)]


def _pulled(
    unequal: Callable[..., FloatArray], spreads: Sequence[Spread], guess: Truth, pulls: FloatArray
) -> list[Truth]:
    """A guess pulled along the slope of the measure, or pushed where ``pulls`` are negative, until all are equal.

    ``pulls``: standard errors. Returned are truths ever less unequal, or ever more.

    The slope is that where the step before ended; a step that does not lead on, because the slope changes on the way,
    is left out. So for Gini the truths are only nearly the nearest.
    """
    now, last = guess, float(unequal(map(expit, guess), ordered=True))
    found: list[Truth] = []
    for pull in pulls:
        slopes = [_slope(unequal, now, at) for at in range(len(now))]
        length = math.sqrt(sum(float((s.error**2 * slope**2).sum()) for s, slope in zip(spreads, slopes, strict=True)))
        along = [pull * slope / max(length, 1e-300) for slope in slopes]
        now = [s.nearest(start, force) for s, start, force in zip(spreads, guess, along, strict=True)]
        if all(np.ptp(logits) < 1e-12 for logits in now):
            break
        value = float(unequal(map(expit, now), ordered=True))
        if (last - value) * pull > 0.0:
            found.append(now)
            last = value
    return found


def _slope(unequal: Callable[..., FloatArray], truth: Truth, at: int) -> FloatArray:
    """(g,) how steeply a measure rises with each logit of one of its rates."""
    size, step = truth[at].size, 1e-6
    here = np.concatenate([np.zeros((1, size)), step * np.eye(size)])
    moved = unequal((expit(t + (here if k == at else 0.0 * here[:, :1])) for k, t in enumerate(truth)), ordered=True)
    found: FloatArray = (moved[1:] - moved[0]) / step
    return found


def _by_chance(drawn: FloatArray, seen: float, sign: float) -> tuple[tuple[float, float] | None, float]:
    """Median and 95th percentile of what equal groups give, None where that is infinite; the p-value of what was."""
    median, most = sign * np.quantile(drawn, [0.5, 0.95], method="nearest")
    p_value = float((1 + np.count_nonzero(drawn >= seen - 1e-12)) / (1 + drawn.size))
    return ((float(median), float(most)) if np.isfinite(most) else None), p_value


def _crossing(excess: Callable[[int], float], truth: FloatArray) -> float:
    """The truth at which an excess that rises from step to step is zero, by a straight line; else the first or last.

    Found by halving: draws are the same everywhere, so that what exceeds grows with the truth. Equality is asked by
    itself, since so near to it whole errors may make the excess waver, and its answer has to be that of the p-value.
    """
    at = 0 if excess(0) >= 0.0 else bisect_left(range(truth.size), 0.0, key=excess)
    if at in (0, truth.size):
        return float(truth[min(at, truth.size - 1)])
    before, after = excess(at - 1), excess(at)
    return float(truth[at - 1] + (truth[at] - truth[at - 1]) * before / (before - after))


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

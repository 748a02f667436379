"""Published measures of inequality between groups, and how far chance alone moves them.

Arrays only: rates of g groups in the last axis. `countenance.audit.differentials` applies them to tallies.
Each measure raises NotEnoughDataError with fewer than two groups.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import logit, ndtr, ndtri

from countenance.audit.intervals import Interval
from countenance.audit.result import Differential, Estimate, Json
from countenance.audit.tallies import FloatArray
from countenance.errors import NotEnoughDataError

__all__ = ["Spread", "contrasts", "fdr", "garbe", "gini", "max_geomean", "max_min", "measured"]

DRAWS = 1000
STRETCH = np.linspace(0.0, 5.0, 41)
LEVEL = 0.025
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
    """One error rate of g groups, and what it would be in other draws of people.

    ``rates`` (g,) as measured. ``truth`` (s, g) and ``draws`` (s, draws, g): rates that might be true, and rates then
    measured, as the groups' distance from the pooled rate is stretched by `STRETCH`: 0 is no difference, 1 the distance
    measured (at least as large as its own noise). ``floor`` (s, 1, g): half an error, below which a ratio has no
    meaning. ``known``: whether people are, so that the draws mean something.
    """

    rates: FloatArray
    truth: FloatArray
    draws: FloatArray
    floor: FloatArray
    known: bool

    @classmethod
    def of(cls, estimates: Sequence[Estimate], random: np.random.Generator) -> Self:
        """From estimates that all have a value. NotEnoughDataError without any."""
        if not estimates:
            raise NotEnoughDataError("no group has a rate, so there is none to compare")
        rates = np.array([e.value for e in estimates], dtype=np.float64)
        trials = np.maximum(np.rint([effective_trials(e) for e in estimates]), 1.0)
        pooled = float(rates @ trials / trials.sum())
        shape = (STRETCH.size, rates.size)
        if pooled <= 0.0:
            truth = np.zeros(shape)
        else:
            own = np.clip(rates, 0.5 / trials, 1.0)
            noise = float(np.sqrt(2.0 / (trials * own)).max())
            away = np.log(own) - math.log(pooled)
            away = np.linspace(-noise, noise, rates.size) / 2 if not np.ptp(away) else away
            away *= max(1.0, noise / float(np.ptp(away)))
            truth = np.minimum(pooled * np.exp(STRETCH[:, None] * away), 1.0)
        made = np.stack([trials_at(e, truth[:, k]) for k, e in enumerate(estimates)], axis=1)[:, None, :]
        found = random.binomial(made.astype(np.int64), truth[:, None, :], size=(shape[0], DRAWS, shape[1])) / made
        return cls(rates, truth, found, 0.5 / made, all(e.interval is not None for e in estimates))

    def ratio(self, measure: Callable[[FloatArray], FloatArray]) -> Callable[[FloatArray], FloatArray]:
        """A ratio that takes a group without errors for one with half an error, in what is drawn as in what is true."""

        def bounded(rates: FloatArray) -> FloatArray:
            if rates.ndim == 1:
                return measure(rates)
            return measure(np.maximum(rates, self.floor if rates.ndim == 3 else self.floor[:, 0]))

        return bounded


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


def trials_at(rate: Estimate, truth: FloatArray) -> FloatArray:
    """(s,) effective trials of a group if its rate were ``truth`` (s,) instead of what was measured; whole, at least 1.

    The variance has a part as of independent comparisons and a part that people cause. The latter keeps its size
    relative to the square of the rate, so a group that is much rarer in error has more effective trials than now.
    """
    now, value = effective_trials(rate), rate.value or 0.0
    if rate.interval is None or not rate.trials or not 0.0 < value < 1.0:
        return np.full(truth.size, max(1.0, round(now)))
    people = max(0.0, (1.0 - value) / value * (1.0 / now - 1.0 / rate.trials))
    odds = np.maximum(truth, 1e-300) / np.maximum(1.0 - truth, 1e-12)
    return np.asarray(np.maximum(np.rint(1.0 / (1.0 / rate.trials + people * odds)), 1.0))


def measured(measure: Callable[..., FloatArray], *spreads: Spread, falls: bool = False) -> Differential:
    """A measure with its interval, its value under no difference and the p-value of no difference.

    ``measure`` takes one array of rates (..., g) for each of ``spreads``; ``falls`` when it is smaller for more unequal
    groups. The interval inverts a test: the value of the measure at each stretch of the measured pattern is inside when
    what was measured is neither among the 2.5 % most equal nor the 2.5 % most unequal outcomes there. Percentiles of a
    bootstrap would not do: the largest of several noisy rates is biased upwards. The interval begins at equality where
    equality is not excluded.
    """
    sign = -1.0 if falls else 1.0
    value = float(measure(*(s.rates for s in spreads)))
    truth, outcomes = measure(*(s.truth for s in spreads)), sign * measure(*(s.draws for s in spreads))
    median, most = np.quantile(sign * outcomes[0], [0.5, 0.05 if falls else 0.95], method="nearest")
    under = (float(median), float(most)) if np.isfinite(most) else None
    if not all(s.known for s in spreads):
        return Differential(value if math.isfinite(value) else None, None, under, INDEPENDENT)
    p_value = float((1 + np.count_nonzero(outcomes[0] >= sign * value - 1e-12)) / (1 + DRAWS))
    if not math.isfinite(value):
        return Differential(None, None, under, "infinite", p_value)
    above = (outcomes >= sign * value - 1e-12).mean(axis=1)
    below = (outcomes <= sign * value + 1e-12).mean(axis=1)
    low = _crossing(above, truth)
    high = _crossing(below[::-1], truth[::-1])
    return Differential(value, Interval(min(low, high), max(low, high)), under, None, p_value)


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

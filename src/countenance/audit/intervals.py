"""Confidence intervals for error rates whose comparisons are not independent.

One person is in many comparisons, so an error rate varies with the people drawn, not with the comparisons made. Two
shapes of dependence occur: *dyadic* (a non-mated pair shares either of its two subjects with other pairs) and
*one-way* (all mated comparisons, or all searches, of one subject). Both are measured from sums over subjects.

The interval is the same for both (`_corrected`): on the logit scale, with the variance of the design
(Aronow, Samii, Assenova 2015; Cameron, Gelbach, Miller 2011), a t quantile whose degrees of freedom come from how few
subjects carry that variance (Satterthwaite 1946), and a shift for skewness (Johnson 1978; Hall 1992, section 3.10).
Where few errors are seen the design's variance is itself poorly known. A lower threshold of the same comparisons, with
many more errors, tells how strongly comparisons that share a person hang together (`dependence`); the variance that
this implies at the threshold of interest is a floor.
The plain Wilson form with an effective number of pairs (Fogliato, Patil, Perona 2024) lacks the last two and covers as
little as 85 % of the time where few people cause most false matches. ``docs/estimators/intervals.md`` has the
formulas and the tested coverage.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from countenance.audit.dyadic import (
    Dependence,
    PairSums,
    dependence,
    dot,
    dyadic_variance,
    moments_of,
    pair_variance,
    shared_covariance,
)
from countenance.errors import NotEnoughDataError

__all__ = [
    "ClusterSums",
    "Dependence",
    "Interval",
    "PairSums",
    "clopper_pearson",
    "cluster_rate_interval",
    "dependence",
    "dependent_zero_bound",
    "dyadic_variance",
    "guaranteed_bound",
    "pair_rate_interval",
    "search_rate_interval",
    "wilson",
    "zero_error_bounds",
]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval for a rate: ``0 <= low <= high <= 1``.

    ``freedom``: degrees of freedom of its variance, where the dependence was measured at a lower threshold.
    """

    low: float
    high: float
    freedom: float = field(default=math.inf, compare=False, repr=False)

    def to_json(self) -> list[float]:
        """``[low, high]``."""
        return [self.low, self.high]


@dataclass(frozen=True)
class ClusterSums:
    """Sufficient statistics of a rate over clusters that are independent of each other (FNMR, FNIR: subjects).

    ``errors`` (n,): the weight of the errors of each subject; ``trials`` (n,): the weight of all its trials. With the
    share of errors and 1 every subject counts once; with counts every comparison counts once.
    """

    errors: FloatArray
    trials: FloatArray


def pair_rate_interval(sums: PairSums, confidence: float = 0.95) -> Interval:
    """Two-sided interval for a false match rate within a group or across two.

    Variance by `dyadic_variance`, never below that of independent pairs nor below what `PairSums.known` implies;
    small-sample correction as described above.
    With no errors the interval is ``[0, b]``, b being the first of `zero_error_bounds`; likewise mirrored at rate 1.
    Raises NotEnoughDataError without a pair.
    """
    p = sums.rate
    if p <= 0.0 or p >= 1.0 - 1e-9:  # a sum of shares that is all but 1 is 1
        bound = _bound(sums.pairs, confidence)
        return Interval(0.0, bound) if p <= 0.0 else Interval(1.0 - bound, 1.0)
    found = pair_variance(sums)
    variance = max(found.dyadic, found.independent, found.implied)
    if variance <= 0.0:
        variance = p * (1.0 - p) / sums.pairs
    # A handful of errors always looks carried by a handful of people; four is what their number alone would explain.
    carriers, part = max(found.residuals.carriers, 4.0), 1.0
    if sums.known is not None:
        # Satterthwaite: the implied variance is known as well as its carriers allow, what exceeds it as badly as ever.
        excess = variance - found.implied
        carriers = variance**2 / (found.implied**2 / sums.known.carriers + excess**2 / carriers)
        # Where the variance is right, the logit scale itself does about a quarter of the shift (lognormal row sums);
        # where it rests on the same few errors, both it and the skewness come out too small.
        part = 0.75
    shared = 1.0 - found.independent / variance
    interval = _corrected(p, variance, carriers, part * shared * found.residuals.skewness, confidence)
    return interval if sums.known is None else replace(interval, freedom=max(carriers, 2.0))


def cluster_rate_interval(sums: ClusterSums, confidence: float = 0.95) -> Interval:
    """Two-sided interval for a rate over independent clusters, such as FNMR with subjects as clusters.

    If every cluster is wholly right or wholly wrong and all weigh the same, they are independent coin tosses: exact
    interval (Clopper, Pearson 1934). Otherwise the linearised variance of a ratio with the factor n / (n - 1) and the
    small-sample correction; never wider upwards than if every cluster were wholly right or wrong, the worst case.
    With no errors (or nothing but errors) the one-sided bound for the number of clusters. Raises NotEnoughDataError
    without a trial.
    """
    there = sums.trials > 0
    errors, trials = sums.errors[there], sums.trials[there]
    n = int(trials.size)
    if n == 0:
        raise NotEnoughDataError("no subject was tried, so there is no rate")
    total = float(trials.sum())
    p = min(max(float(errors.sum()) / total, 0.0), 1.0)
    if p <= 0.0 or p >= 1.0:
        bound = _bound(n, confidence)
        return Interval(0.0, bound) if p <= 0.0 else Interval(1.0 - bound, 1.0)
    worst = total**2 / dot(trials, trials)  # Kish's number of equal clusters
    exact = clopper_pearson(p * worst, worst, confidence)
    residuals = errors - p * trials
    found = moments_of(residuals)
    variance = found.second / total**2 * n / max(n - 1, 1)
    if n == 1 or variance <= 0.0 or bool(np.all((errors == 0.0) | (errors == trials)) and np.ptp(trials) == 0.0):
        return exact
    wide = _corrected(p, variance, found.carriers, found.skewness, confidence)
    if p < 0.5:
        return Interval(wide.low, min(wide.high, exact.high))
    return Interval(max(wide.low, exact.low), wide.high)


def search_rate_interval(sums: ClusterSums, confidence: float = 0.95) -> Interval:
    """Two-sided interval for FPIR(N), the gallery that was searched taken as fixed; probe subjects are drawn.

    ``errors`` holds the share (or number) of each probe subject's searches that found another person, ``trials`` 1
    (or the number of searches). One search a subject gives the exact interval of `clopper_pearson`.
    """
    return cluster_rate_interval(sums, confidence)


def wilson(p: float, n_eff: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a rate ``p`` seen in ``n_eff`` effective trials (Wilson 1927)."""
    if n_eff <= 0:
        raise NotEnoughDataError("no trial, so there is no rate")
    z = _z(confidence)
    scale = 1.0 + z * z / n_eff
    centre = (p + z * z / (2.0 * n_eff)) / scale
    half = z * math.sqrt(p * (1.0 - p) / n_eff + z * z / (4.0 * n_eff**2)) / scale
    return Interval(max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)))


def clopper_pearson(errors: float, trials: float, confidence: float = 0.95) -> Interval:
    """Exact two-sided interval for ``errors`` in ``trials`` independent trials (Clopper, Pearson 1934)."""
    if trials <= 0:
        raise NotEnoughDataError("no trial, so there is no rate")
    tail = (1.0 - confidence) / 2.0
    low = float(special.betaincinv(errors, trials - errors + 1.0, tail)) if errors > 0 else 0.0
    high = float(special.betaincinv(errors + 1.0, trials - errors, 1.0 - tail)) if errors < trials else 1.0
    return Interval(low, high)


def zero_error_bounds(pairs: int, subjects: int) -> tuple[float, float]:
    """One-sided 97.5 % upper bounds on a rate of which no error was seen: ``(3.69 / M, 3.69 / floor(n / 2))``.

    The first takes the M subject pairs as independent. The second counts disjoint pairs only (no person twice), which
    needs no assumption. The constant is ``-ln(0.025)``. Both are at most 1. Raises NotEnoughDataError without a pair.
    """
    if pairs <= 0 or subjects < 2:
        raise NotEnoughDataError("no pair of different subjects was compared, so there is no false match rate")
    return _bound(pairs, 0.95), _bound(subjects // 2, 0.95)


def dependent_zero_bound(sums: PairSums, confidence: float = 0.95) -> float:
    """One-sided upper bound on a rate of which no error was seen, given the dependence in ``sums.known``.

    The rate at which no error has a chance of 2.5 % if errors are negative binomial with the variance that dependence
    implies (errors come in clusters, so none is likelier). At least the first of `zero_error_bounds`, which takes pairs
    as independent. Raises NotEnoughDataError without a pair or without a known dependence.
    """
    _ = sums.rate
    known = sums.known
    if known is None:
        raise NotEnoughDataError("the bound needs the dependence between comparisons, measured at a lower threshold")
    target = math.log((1.0 - confidence) / 2.0)

    def excess(log_rate: float) -> float:
        p = math.exp(log_rate)
        spread = shared_covariance(sums, known, p) / (sums.size * p) ** 2
        expected = sums.pairs * p
        chance = -math.log1p(expected * spread) / spread if spread > 1e-9 else -expected
        return chance - target

    independent = _bound(sums.pairs, confidence)
    low, high = math.log(independent), math.log(0.5)
    if low >= high or excess(high) > 0.0:
        return 1.0
    return max(independent, math.exp(optimize.brentq(excess, low, high))) if excess(low) > 0.0 else independent


def guaranteed_bound(sums: PairSums, confidence: float = 0.95) -> float:
    """The upper bound for promises: that of `pair_rate_interval`; without an error `dependent_zero_bound`, if known.

    ``3.69 / M`` takes pairs as independent, and too few people to meet a wolf among them would look like proof.
    Raises NotEnoughDataError without a pair.
    """
    if sums.rate <= 0.0 and sums.known is not None:
        return dependent_zero_bound(sums, confidence)
    return pair_rate_interval(sums, confidence).high


def _bound(trials: float, confidence: float) -> float:
    return min(1.0, -math.log((1.0 - confidence) / 2.0) / trials)


def _z(confidence: float) -> float:
    return float(special.ndtri(0.5 + confidence / 2.0))


def _corrected(p: float, variance: float, carriers: float, skewness: float, confidence: float) -> Interval:
    """Interval on the logit scale with a t quantile and a shift for skewness, away from the nearer of 0 and 1.

    ``carriers``: degrees of freedom of the variance. ``skewness``: of the estimator.
    """
    z = _z(confidence)
    quantile = z if carriers > 1e6 else float(special.stdtrit(max(carriers, 2.0), 0.5 + confidence / 2.0))
    skewness = max(skewness, 0.0) if p < 0.5 else min(skewness, 0.0)
    spread = math.sqrt(variance) / (p * (1.0 - p))
    centre = float(special.logit(p)) + skewness * (2.0 * z * z + 1.0) / 6.0 * spread
    low = float(special.expit(centre - quantile * spread))
    high = float(special.expit(centre + quantile * spread))
    return Interval(min(low, p), max(high, p))

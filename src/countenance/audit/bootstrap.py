"""Bands for whole curves by resampling subjects.

An interval at one threshold says nothing about the next: a curve that is too high here is likely too high there. A
band that holds the whole curve needs that correlation, and resampling people shows it. Each replicate draws as many
people as there are, with replacement; a pair of people then counts as often as the product of its two people's draws,
and pairs of a person with a copy of themself are left out.

Two known faults of this bootstrap are mended. Its mean is moved back onto the estimate (the *recentred* bootstrap:
Conti, Clémençon 2022). It counts the variance that pairs have of their own three times (the vertex bootstrap of
Snijders, Borgatti 1999; Fogliato, Patil, Perona 2024), so only its correlations are used, with the intervals of
`countenance.audit.intervals` at the single thresholds.

Where only sums over people are at hand, as below a sweep's tail, `curve_draws` draws from the normal law that
resampling tends to (the *multiplier* bootstrap: Chernozhukov, Chetverikov, Kato 2013), with covariances between
thresholds by the same dyadic formula as the variance at one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from countenance.audit.blas import one_thread
from countenance.audit.intervals import Interval, PairSums, guaranteed_bound
from countenance.errors import NotEnoughDataError

__all__ = ["CurveBand", "bootstrap_rates", "bootstrap_weights", "curve_band", "curve_draws", "rate_band"]

DRAWS = 4000

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class CurveBand:
    """``low`` and ``high`` (T,) hold the true curve at all T thresholds at once, with the confidence asked for.

    ``widening``: how many times wider the band is than the intervals at single thresholds, on the logit scale.
    """

    low: FloatArray
    high: FloatArray
    widening: float


def bootstrap_weights(subjects: int, replicates: int, seed: int) -> NDArray[np.uint16]:
    """(replicates, subjects) how often each subject is drawn; every row sums to ``subjects``. Same seed, same draws.

    Raises NotEnoughDataError with fewer than two subjects.
    """
    if subjects < 2:
        raise NotEnoughDataError("people are resampled to see how a curve varies; that needs at least two")
    rng = np.random.default_rng(seed)
    return np.stack(
        [np.bincount(rng.integers(subjects, size=subjects), minlength=subjects) for _ in range(replicates)]
    ).astype(np.uint16)


def bootstrap_rates(
    first: IntArray, second: IntArray, share: FloatArray, level: IntArray, levels: int, weights: NDArray[np.uint16]
) -> FloatArray:
    """(replicates, levels) the rate of each replicate at each of ``levels`` rising thresholds.

    The pairs that match at the lowest threshold: ``first``, ``second`` (k,) number their subjects, all of whom are
    compared with each other; ``share`` (k,) is the pair's share of comparisons, and ``level`` (k,) how many of the
    thresholds they reach, minus one. A pair may be listed in parts.

    Raises NotEnoughDataError where a replicate holds no two different people.
    """
    draws = weights.astype(np.float64)
    # Drawn pairs of different people: (n^2 - sum of squares) / 2, n being the same in each replicate.
    pairs = (draws.sum(axis=1) ** 2 - (draws * draws).sum(axis=1)) / 2.0
    if not np.all(pairs > 0.0):
        raise NotEnoughDataError("too few people to be resampled: a draw held nobody, or one person only")
    rates = np.empty((len(weights), levels))
    for k, drawn in enumerate(draws):
        at = np.bincount(level, weights=drawn[first] * drawn[second] * share, minlength=levels)
        rates[k] = at[::-1].cumsum()[::-1] / pairs[k]
    return rates


def curve_band(
    rates: FloatArray, intervals: Sequence[Interval], replicates: FloatArray, confidence: float = 0.95
) -> CurveBand:
    """A simultaneous band around a curve: the intervals at single thresholds, widened alike on the logit scale.

    ``rates`` (T,) and ``intervals`` (T,) are the estimates; ``replicates`` (B, T) those of `bootstrap_rates`. The
    widening is the ratio of the quantile of the largest standardised deviation over all thresholds (max-t) to that of
    one threshold. Where a rate is 0 or 1 the interval is kept. Raises NotEnoughDataError where no rate lies between.
    """
    inside = (rates > 0.0) & (rates < 1.0)
    if not inside.any():
        raise NotEnoughDataError("the curve is 0 or 1 throughout, so there is no band around it")
    recentred = replicates[:, inside] - replicates[:, inside].mean(axis=0)
    deviation = np.sqrt((recentred * recentred).mean(axis=0))
    standard = np.abs(recentred) / np.where(deviation > 0.0, deviation, 1.0)
    largest = float(np.quantile(standard.max(axis=1), confidence))
    widening = max(1.0, largest / float(special.ndtri(0.5 + confidence / 2.0)))
    low = np.array([i.low for i in intervals])
    high = np.array([i.high for i in intervals])
    centre = special.logit(rates[inside])
    low[inside] = special.expit(centre - widening * (centre - _logit(low[inside])))
    high[inside] = special.expit(centre + widening * (_logit(high[inside]) - centre))
    return CurveBand(low, high, widening)


def curve_draws(sums: Sequence[PairSums], draws: int = DRAWS, seed: int = 0) -> FloatArray:
    """(draws, T) how a group's FMR may deviate at T rising thresholds at once, each in its own standard errors.

    ``sums`` (T,) are those of a ladder's rungs (``keep`` 1), within one group. Normal, with the correlations of
    ``sum_i R_i R'_i - sum_ij r_ij r'_ij`` (see `dyadic_variance`); what makes people differ is nowhere taken below 0.
    A pair's share at both thresholds is taken for its share at the higher, exact for one photo each. Same seed, same
    draws. Raises NotEnoughDataError without a pair.
    """
    if not sums:
        raise NotEnoughDataError("a curve takes at least one threshold")
    rate = np.array([one.rate for one in sums])
    errors, squares = np.array([one.errors for one in sums]), np.array([one.squares for one in sums])
    residuals = np.stack([one.rows - p * one.row_pairs for one, p in zip(sums, rate, strict=True)])
    both = squares[np.maximum.outer(np.arange(rate.size), np.arange(rate.size))]
    own = both - np.outer(rate, errors) - np.outer(errors, rate) + np.outer(rate, rate) * sums[0].pairs
    people = np.einsum("ik,jk->ij", residuals, residuals) - 2.0 * own
    there = np.diag(people) > 0.0
    covariance = own + people * np.outer(there, there)
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale[scale == 0.0] = 1.0
    correlation = covariance / np.outer(scale, scale)
    with one_thread():  # so small that waking other cores would cost more
        values, vectors = np.linalg.eigh(correlation)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        found: FloatArray = np.random.default_rng(seed).standard_normal((draws, rate.size)) @ root.T
    return found


def rate_band(sums: Sequence[PairSums], intervals: Sequence[Interval], seed: int = 0) -> CurveBand:
    """`curve_band` (95 %) around a group's FMR at T rising thresholds, from its sums there (see `curve_draws`).

    ``intervals`` (T,) are those of `pair_rate_interval`. Without an error the band ends at `guaranteed_bound` for the
    confidence that the widening amounts to. Raises NotEnoughDataError without a pair, and where the FMR is 0 or 1 at
    every threshold.
    """
    rates = np.array([one.rate for one in sums])
    band = curve_band(rates, intervals, curve_draws(sums, seed=seed))
    wider = 2.0 * float(special.ndtr(band.widening * special.ndtri(0.975))) - 1.0
    bounds = [guaranteed_bound(one, wider) if p <= 0.0 else 0.0 for one, p in zip(sums, rates, strict=True)]
    return CurveBand(band.low, np.maximum(band.high, bounds), band.widening)


def _logit(p: FloatArray) -> FloatArray:
    """Logit, with the ends a hair inside 0 and 1."""
    tiny = math.ulp(0.0)
    found: FloatArray = special.logit(np.clip(p, tiny, 1.0 - 1e-16))
    return found

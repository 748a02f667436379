"""Bands for whole curves by resampling subjects.

An interval at one threshold says nothing about the next: a curve that is too high here is likely too high there. A
band that holds the whole curve needs that correlation, and resampling people shows it. Each replicate draws as many
people as there are, with replacement; a pair of people then counts as often as the product of its two people's draws,
and pairs of a person with a copy of themself are left out.

Two known faults of this bootstrap are mended. Its mean is moved back onto the estimate (the *recentred* bootstrap:
Conti, Clémençon 2022). It counts the variance that pairs have of their own three times (the vertex bootstrap of
Snijders, Borgatti 1999; Fogliato, Patil, Perona 2024), so only its correlations are used, with the intervals of
`countenance.audit.intervals` at the single thresholds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from countenance.audit.intervals import Interval
from countenance.errors import NotEnoughDataError

__all__ = ["CurveBand", "bootstrap_rates", "bootstrap_weights", "curve_band"]

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


def _logit(p: FloatArray) -> FloatArray:
    """Logit, with the ends a hair inside 0 and 1."""
    tiny = math.ulp(0.0)
    found: FloatArray = special.logit(np.clip(p, tiny, 1.0 - 1e-16))
    return found

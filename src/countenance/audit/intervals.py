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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from countenance.errors import NotEnoughDataError

__all__ = [
    "ClusterSums",
    "Dependence",
    "Interval",
    "PairSums",
    "clopper_pearson",
    "cluster_rate_interval",
    "dependence",
    "dyadic_variance",
    "pair_rate_interval",
    "search_rate_interval",
    "wilson",
    "zero_error_bounds",
]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval for a rate: ``0 <= low <= high <= 1``."""

    low: float
    high: float

    def to_json(self) -> list[float]:
        """``[low, high]``."""
        return [self.low, self.high]


@dataclass(frozen=True)
class Dependence:
    """How strongly comparisons that share a person hang together, as measured by `dependence` at one threshold.

    ``rows``, ``columns``: the correlation, in [0, 1], of the latent Gaussian scores of two pairs that share a subject
    of the first, or of the second, group; equal within one group. ``carriers``: how many subjects it rests on.
    """

    rows: float
    columns: float
    carriers: float


@dataclass(frozen=True)
class PairSums:
    """Sufficient statistics of one false match rate at one threshold, over pairs of different subjects.

    Weighted by subject, ``x_ij`` in [0, 1] is the share of the comparisons of subjects i and j that match, and every
    pair counts once:

    ``pairs``: M, the number of subject pairs compared.
    ``errors``, ``squares``: the sums of ``x_ij`` and of ``x_ij**2`` over pairs.
    ``rows`` (n,): ``sum_j x_ij`` of each subject of the group, or of the first of two groups.
    ``row_pairs`` (n,): the number of pairs each of them is in.
    ``columns``, ``column_pairs``: the same for the second of two disjoint groups; None within one group.

    Weighted by comparison, ``c_ij`` of ``n_ij`` comparisons match; then ``errors``, ``squares`` and ``rows`` sum
    ``c_ij`` instead of ``x_ij``, ``row_pairs`` sums ``n_ij``, and three more are needed: ``comparisons``, the sum of
    ``n_ij``; ``cross``, the sum of ``c_ij * n_ij``; ``size_squares``, the sum of ``n_ij**2``.

    ``keep``: the sums may be those of a lower threshold, of whose errors only this share is left at the threshold of
    interest. The rate is then ``keep * errors / M``, under the assumption that who causes false matches changes
    slowly with the threshold.

    ``known``: the dependence measured at a lower threshold of the same comparisons, best where FMR is about 0.1.
    """

    pairs: int
    errors: float
    squares: float
    rows: FloatArray
    row_pairs: FloatArray
    columns: FloatArray | None = None
    column_pairs: FloatArray | None = None
    comparisons: float | None = None
    cross: float | None = None
    size_squares: float | None = None
    keep: float = 1.0
    known: Dependence | None = None

    @property
    def size(self) -> float:
        """What the rate is divided by: subject pairs, or comparisons."""
        return float(self.pairs if self.comparisons is None else self.comparisons)

    @property
    def rate(self) -> float:
        """The rate itself, in [0, 1]. Raises NotEnoughDataError without a pair."""
        if self.size <= 0:
            raise NotEnoughDataError("no pair of different subjects was compared, so there is no false match rate")
        return min(self.keep * self.errors / self.size, 1.0)


@dataclass(frozen=True)
class ClusterSums:
    """Sufficient statistics of a rate over clusters that are independent of each other (FNMR, FNIR: subjects).

    ``errors`` (n,): the weight of the errors of each subject; ``trials`` (n,): the weight of all its trials. With the
    share of errors and 1 every subject counts once; with counts every comparison counts once.
    """

    errors: FloatArray
    trials: FloatArray


def dyadic_variance(sums: PairSums) -> float:
    """Variance of a rate over subject pairs, allowing pairs that share a subject to be dependent.

    Within a group ``[sum R_i^2 - sum r_ij^2] / M^2``; across two ``[sum R_i^2 + sum C_j^2 - sum r_ij^2] / M^2``, with
    residuals ``r_ij = x_ij - p`` and their sums R, C by subject (Aronow, Samii, Assenova 2015; Cameron, Gelbach,
    Miller 2011). May be zero or negative: see `pair_rate_interval`. Raises NotEnoughDataError without a pair.
    """
    _ = sums.rate
    return _pair_variance(sums).dyadic


def dependence(sums: PairSums) -> Dependence:
    """Measure the dependence between comparisons that share a person, at a threshold where many match.

    How often two pairs that share a subject both match, the sums tell without bias. The correlation is that of a
    bivariate normal with the same probability of both exceeding the threshold (a Gaussian copula). Best where FMR is
    about 0.1: enough errors, and still the upper tail. Raises NotEnoughDataError at a rate of 0 or 1.
    """
    p = sums.rate
    if p <= 0.0 or p >= 1.0:
        raise NotEnoughDataError(f"dependence cannot be measured at a false match rate of {p:g}; use a lower threshold")
    found = _pair_variance(sums)
    own = 2.0 if sums.columns is None else 1.0
    joint = []
    for matches, partners in ((sums.rows, found.row_partners), (sums.columns, found.column_partners)):
        if matches is not None:
            both = _dot(matches, matches) - own * sums.squares
            joint.append(_correlation(p, both / partners) if partners > 0 else 0.0)
    return Dependence(joint[0], joint[-1], found.residuals.carriers)


def pair_rate_interval(sums: PairSums, confidence: float = 0.95) -> Interval:
    """Two-sided interval for a false match rate within a group or across two.

    Variance by `dyadic_variance`, never below that of independent pairs nor below what `PairSums.known` implies;
    small-sample correction as described above.
    With no errors the interval is ``[0, b]``, b being the first of `zero_error_bounds`; likewise mirrored at rate 1.
    Raises NotEnoughDataError without a pair.
    """
    p = sums.rate
    if p <= 0.0 or p >= 1.0:
        bound = _bound(sums.pairs, confidence)
        return Interval(0.0, bound) if p <= 0.0 else Interval(1.0 - bound, 1.0)
    found = _pair_variance(sums)
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
    return _corrected(p, variance, carriers, part * shared * found.residuals.skewness, confidence)


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
    worst = total**2 / _dot(trials, trials)  # Kish's number of equal clusters
    exact = clopper_pearson(p * worst, worst, confidence)
    residuals = errors - p * trials
    found = _moments(residuals)
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


def _bound(trials: float, confidence: float) -> float:
    return min(1.0, -math.log((1.0 - confidence) / 2.0) / trials)


def _z(confidence: float) -> float:
    return float(special.ndtri(0.5 + confidence / 2.0))


@dataclass(frozen=True)
class _Moments:
    """What residual sums by subject show.

    ``second``: their sum of squares. ``carriers``: how many subjects carry it, n/3 for normal residuals, 1 if a single
    subject does it all. ``skewness``: that of the sum of independent residuals of which these are the values seen.
    """

    second: float
    carriers: float
    skewness: float


def _dot(x: FloatArray, y: FloatArray) -> float:
    """Sum of products; not by BLAS, which would wake every core for a few thousand numbers."""
    return float(np.einsum("i,i->", x, y))


def _moments(residuals: FloatArray) -> _Moments:
    squares = residuals * residuals
    second, fourth = float(squares.sum()), _dot(squares, squares)
    if fourth <= 0.0:
        return _Moments(second, math.inf, 0.0)
    return _Moments(second, second**2 / fourth, _dot(squares, residuals) / second**1.5)


@dataclass(frozen=True)
class _PairVariance:
    """Variances of one rate: by the dyadic estimator, if pairs were independent, and as the known dependence implies.

    ``residuals``: moments of the residual sums of all subjects. ``row_partners``, ``column_partners``: ordered pairs of
    pairs that share a subject of the first, of the second group.
    """

    dyadic: float
    independent: float
    implied: float
    residuals: _Moments
    row_partners: float
    column_partners: float


def _pair_variance(sums: PairSums) -> _PairVariance:
    p = sums.errors / sums.size
    cross = sums.errors if sums.cross is None else sums.cross
    size_squares = sums.pairs if sums.size_squares is None else sums.size_squares
    residuals = sums.rows - p * sums.row_pairs
    twice = 2.0 if sums.columns is None else 1.0
    row_partners = _dot(sums.row_pairs, sums.row_pairs) - twice * size_squares
    column_partners = 0.0
    if sums.columns is not None and sums.column_pairs is not None:
        residuals = np.concatenate([residuals, sums.columns - p * sums.column_pairs])
        column_partners = _dot(sums.column_pairs, sums.column_pairs) - size_squares
    own = max(sums.squares - 2.0 * p * cross + p * p * size_squares, 0.0)
    # Errors of a lower threshold thinned at random: their dependence scales with keep^2, their own noise with keep.
    thinned = sums.keep * (1.0 - sums.keep) * sums.squares
    scale = sums.size**2
    moments = _moments(residuals)
    dyadic = (sums.keep**2 * (moments.second - own) + thinned) / scale
    independent = (sums.keep**2 * own + thinned) / scale
    implied = independent
    if sums.known is not None:
        together = row_partners * _both(sums.rate, sums.known.rows) + column_partners * _both(
            sums.rate, sums.known.columns
        )
        implied += together / scale
    return _PairVariance(dyadic, independent, implied, moments, row_partners, column_partners)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def _both(p: float, correlation: float) -> float:
    """Covariance of two normals' exceeding the threshold that each exceeds with chance p (Plackett 1954)."""
    r = correlation * (_NODES + 1.0) / 2.0
    t = float(special.ndtri(p))
    density = np.exp(-t * t / (1.0 + r)) / np.sqrt(1.0 - r * r)
    return correlation / 2.0 * float(_WEIGHTS @ density) / (2.0 * math.pi)


def _correlation(p: float, both: float) -> float:
    """The correlation in [0, 0.999] at which two normals both exceed that threshold with probability ``both``."""
    covariance = both - p * p
    if covariance <= 0.0:
        return 0.0
    if covariance >= _both(p, 0.999):
        return 0.999
    return float(optimize.brentq(lambda r: _both(p, r) - covariance, 0.0, 0.999, xtol=1e-9))


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

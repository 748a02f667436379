"""Dependence between comparisons that share a person: sums over subjects, variances, and how strong it is.

Everything a false match rate's interval needs can be read off sums over subjects. Two pairs of people are dependent
when they share a person; the variance allows for that (Aronow, Samii, Assenova 2015; Cameron, Gelbach, Miller 2011).
Where few match this variance is itself poorly known. A lower threshold of the same comparisons, with many more errors,
tells how strongly comparisons that share a person hang together (`dependence`), and what that implies above.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from countenance.errors import NotEnoughDataError

__all__ = [
    "Dependence",
    "Moments",
    "PairSums",
    "PairVariance",
    "dependence",
    "dot",
    "dyadic_variance",
    "moments_of",
    "pair_variance",
    "shared_covariance",
]

FloatArray = NDArray[np.float64]


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


def dyadic_variance(sums: PairSums) -> float:
    """Variance of a rate over subject pairs, allowing pairs that share a subject to be dependent.

    Within a group ``[sum R_i^2 - sum r_ij^2] / M^2``; across two ``[sum R_i^2 + sum C_j^2 - sum r_ij^2] / M^2``, with
    residuals ``r_ij = x_ij - p`` and their sums R, C by subject (Aronow, Samii, Assenova 2015; Cameron, Gelbach,
    Miller 2011). May be zero or negative: see `pair_rate_interval`. Raises NotEnoughDataError without a pair.
    """
    return pair_variance(sums).dyadic


def dependence(sums: PairSums) -> Dependence:
    """Measure the dependence between comparisons that share a person, at a threshold where many match.

    How often two pairs that share a subject both match, the sums tell without bias. The correlation is that of a
    bivariate normal with the same probability of both exceeding the threshold (a Gaussian copula). Best where FMR is
    about 0.1: enough errors, and still the upper tail. Raises NotEnoughDataError at a rate of 0 or 1.
    """
    p = sums.rate
    if p <= 0.0 or p >= 1.0:
        raise NotEnoughDataError(f"dependence cannot be measured at a false match rate of {p:g}; use a lower threshold")
    own = 2.0 if sums.columns is None else 1.0
    joint = []
    for matches, partners in zip((sums.rows, sums.columns), _partners(sums), strict=True):
        if matches is not None:
            both = dot(matches, matches) - own * sums.squares
            joint.append(_correlation(p, both / partners) if partners > 0 else 0.0)
    return Dependence(joint[0], joint[-1], pair_variance(sums).residuals.carriers)


@dataclass(frozen=True)
class Moments:
    """What residual sums by subject show.

    ``second``: their sum of squares. ``carriers``: how many subjects carry it, n/3 for normal residuals, 1 if a single
    subject does it all. ``skewness``: that of the sum of independent residuals of which these are the values seen.
    """

    second: float
    carriers: float
    skewness: float


def moments_of(residuals: FloatArray) -> Moments:
    """Moments of the residual sums of independent subjects, (n,). Without a subject NotEnoughDataError."""
    if not residuals.size:
        raise NotEnoughDataError("no subject took part, so nothing varies")
    squares = residuals * residuals
    second, fourth = float(squares.sum()), dot(squares, squares)
    if fourth <= 0.0:
        return Moments(second, math.inf, 0.0)
    return Moments(second, second**2 / fourth, dot(squares, residuals) / second**1.5)


def dot(x: FloatArray, y: FloatArray) -> float:
    """Sum of products; not by BLAS, which would wake every core for a few thousand numbers."""
    return float(np.einsum("i,i->", x, y))


@dataclass(frozen=True)
class PairVariance:
    """Variances of one rate: by the dyadic estimator, if pairs were independent, and as the known dependence implies.

    ``residuals``: moments of the residual sums of all subjects.
    """

    dyadic: float
    independent: float
    implied: float
    residuals: Moments


def pair_variance(sums: PairSums) -> PairVariance:
    """The variances of a rate. Raises NotEnoughDataError without a pair."""
    _ = sums.rate
    p = sums.errors / sums.size
    cross = sums.errors if sums.cross is None else sums.cross
    size_squares = sums.pairs if sums.size_squares is None else sums.size_squares
    residuals = sums.rows - p * sums.row_pairs
    if sums.columns is not None and sums.column_pairs is not None:
        residuals = np.concatenate([residuals, sums.columns - p * sums.column_pairs])
    own = max(sums.squares - 2.0 * p * cross + p * p * size_squares, 0.0)
    # Errors of a lower threshold thinned at random: their dependence scales with keep^2, their own noise with keep.
    thinned = sums.keep * (1.0 - sums.keep) * sums.squares
    scale = sums.size**2
    moments = moments_of(residuals)
    dyadic = (sums.keep**2 * (moments.second - own) + thinned) / scale
    independent = (sums.keep**2 * own + thinned) / scale
    implied = independent
    if sums.known is not None:
        implied += shared_covariance(sums, sums.known, sums.rate) / scale
    return PairVariance(dyadic, independent, implied, moments)


def shared_covariance(sums: PairSums, known: Dependence, p: float) -> float:
    """Sum of the covariances of all ordered pairs of different pairs that share a subject, were the rate p."""
    rows, columns = _partners(sums)
    return rows * _both(p, known.rows) + columns * _both(p, known.columns)


def _partners(sums: PairSums) -> tuple[float, float]:
    """Number (or weight) of ordered pairs of different pairs that share a subject of the first group; of the second."""
    size_squares = sums.pairs if sums.size_squares is None else sums.size_squares
    rows = dot(sums.row_pairs, sums.row_pairs)
    if sums.column_pairs is None:
        return rows - 2.0 * size_squares, 0.0
    return rows - size_squares, dot(sums.column_pairs, sums.column_pairs) - size_squares


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

"""The tail of the false matches beyond the data: peaks over threshold, always an extrapolation and marked as one.

``docs/estimators/tail.md`` has the formulas, the tested coverage and when not to use it.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from countenance.audit.dyadic import moments_of
from countenance.audit.intervals import Dependence, Interval, dependence
from countenance.audit.power import shared_covariance
from countenance.audit.rates import pair_sums, rates_along
from countenance.audit.result import Estimate, Json, TailFit
from countenance.audit.subjecttail import SubjectTail
from countenance.audit.tallies import FloatArray, Group, Sweep, Tallies
from countenance.errors import NotEnoughDataError

__all__ = ["ParetoTail", "fit_pareto", "tail_fit"]

MOST, FEWEST = 300, 100
HIGHEST_FMR = 0.05
LOWEST_ERRORS = 3.0
LEVELS = (30.0, 10.0, LOWEST_ERRORS)
PRIOR_SHAPE, PRIOR_SD = -0.1, 0.1
SHAPES = np.linspace(-0.5, 0.4, 73)
SCALES = np.linspace(-1.2, 1.2, 61)
POINTS = 60
ALONE, MERGED = 100, 300
CERTAIN = 0.4
"""Share of the people who carry a dependence, as degrees of freedom of what it implies at a far higher threshold: that
is less certain than the dependence itself. Found by simulation."""
# the likelihood is lopsided: simulated roots of the deviance lie between these 95 % of the time, not within 1.96
DOWN, UP = 1.82, 2.15
PART = 0.75
ALWAYS = "Extrapolated beyond the data by a fitted tail; not a measurement."


@dataclass(frozen=True)
class ParetoTail:
    """A generalised Pareto distribution fitted to the scores above ``cut`` of one group of people.

    ``tail``: those comparisons. ``shape`` and ``scale`` at the highest penalised likelihood; ``deviance`` (shapes,
    scales) on the grid of `SHAPES` and ``scales``; ``strength``: how many independent scores one of weight 1 is worth;
    ``known``: the dependence measured at a lower threshold.
    """

    cut: float
    tail: SubjectTail
    shape: float
    scale: float
    scales: FloatArray
    deviance: FloatArray
    strength: float
    known: Dependence | None

    @property
    def exceedances(self) -> float:
        """Weight of the comparisons above the cut: pairs of people."""
        return float(self.tail.weight.sum())

    @property
    def lowest_fmr(self) -> float:
        """The lowest FMR this data may be stretched to: a tenth of the rate that 30 errors measure, 3 / M."""
        return LOWEST_ERRORS / self.tail.pairs

    def log_fmr(self, threshold: float, shape: FloatArray, scale: FloatArray) -> FloatArray:
        """Logarithm of the FMR at a threshold from the cut up, for shapes and scales; very low beyond the end point."""
        over = threshold - self.cut
        inside = np.maximum(1.0 + shape * over / scale, 1e-30)
        tiny = np.abs(shape) < 1e-9
        drop = np.where(tiny, over / scale, np.log(inside) / np.where(tiny, 1.0, shape))
        found: FloatArray = math.log(self.exceedances / self.tail.pairs) - drop
        return found

    def fmr(self, threshold: float) -> Estimate:
        """The FMR at a threshold, with its interval: the profile likelihood, widened for people in many comparisons.

        Raises NotEnoughDataError where the FMR would be below `lowest_fmr`, and ValueError below the cut.
        """
        if threshold < self.cut:
            raise ValueError(f"the fitted tail begins at {self.cut:g}")
        value = float(self.log_fmr(threshold, np.array(self.shape), np.array(self.scale)))
        if value < math.log(self.lowest_fmr) - 1e-9:
            raise NotEnoughDataError(f"at {threshold:g} the fitted tail is more than ten times beyond the data")
        around = self.log_fmr(threshold, SHAPES[:, None], self.scales[None, :])
        wider, shift = self._wider(threshold, math.exp(value))
        low = -self._reach(-around, wider * max(DOWN - shift, 0.0) ** 2)
        high = self._reach(around, wider * (UP + shift) ** 2)
        return Estimate(math.exp(value), Interval(min(1.0, math.exp(low)), min(1.0, math.exp(high))), reason=ALWAYS)

    def _reach(self, around: FloatArray, most: float) -> float:
        """The highest value with a profile deviance of at most ``most``, where ``around`` is that of each fit.

        The share above the cut is uncertain as well: k exceedances, so its logarithm by 1 / sqrt(k).
        """
        inside = self.deviance <= most
        left = np.sqrt((most - self.deviance[inside]) / (self.exceedances * self.strength))
        return float((around[inside] + left).max())

    def threshold(self, fmr: float) -> float:
        """The threshold at which the fitted FMR is ``fmr``, at most that at the cut."""
        drop = math.log(self.exceedances / self.tail.pairs / fmr)
        stretched = drop if abs(self.shape) < 1e-9 else math.expm1(self.shape * drop) / self.shape
        return self.cut + self.scale * stretched

    def _wider(self, threshold: float, fmr: float) -> tuple[float, float]:
        """How many times larger the variance of the logarithm is than if pairs of people were independent; at least 1.

        The larger of two: the infinitesimal jackknife over subjects (each person's influence on the fitted rate, all
        comparisons together), and what the dependence measured at a lower threshold implies at this rate; both are
        relative to the rate, and of its logarithm people add less (a lognormal one). Student's t makes room for how
        poorly a known dependence tells that, as in `countenance.audit.spread`. Second, by how much the root of the
        deviance is shifted upwards because few people carry the variance: as in `countenance.audit.intervals`, three
        quarters of Johnson's shift for the skewness of their influence.
        """
        influence = self._influence(threshold) * self.tail.weight
        people, pairs = self.tail.people, self.tail.pairs
        own = np.bincount(self.tail.pair, influence)
        ends = np.concatenate([self.tail.first, self.tail.second])
        rows = np.bincount(ends, np.tile(influence, 2), people) - influence.sum() * 2.0 / people
        alone, found = float(own @ own), moments_of(rows)
        wider = (found.second - alone) / alone
        if self.known is not None and self.known.rows > 0.0:
            partners = people * (people - 1.0) * (people - 2.0)
            shared = shared_covariance(fmr, self.known.rows) / (pairs * fmr) ** 2
            wider = max(wider, 1.0 + partners * shared / alone)
        added = math.log1p(max(wider - 1.0, 0.0) * alone) / alone
        wider = 1.0 + added
        shift = PART * added / wider * max(found.skewness, 0.0) * (2.0 * 1.96**2 + 1.0) / 6.0
        if self.known is not None and self.known.rows > 0.0 and added > 0.0:
            freedom = max(CERTAIN * self.known.carriers, 2.0) * (wider / added) ** 2
            wider *= (float(stdtrit(min(freedom, 1e6), 0.975)) / 1.96) ** 2
        return wider, shift

    def _influence(self, threshold: float) -> FloatArray:
        """(k,) influence of one comparison of weight 1 on the logarithm of the FMR at a threshold."""
        shape = self.shape if abs(self.shape) > 1e-6 else 1e-6
        over = (self.tail.score - self.cut) / self.scale
        inside = 1.0 + shape * over
        on_shape = np.log(inside) / shape**2 - (1.0 + 1.0 / shape) * over / inside
        on_scale = -1.0 + (1.0 + shape) * over / inside
        scores = np.stack([on_shape, on_scale])
        information = (scores * self.tail.weight) @ scores.T + np.diag([PRIOR_SD**-2, 1e-9]) / self.strength
        reach = (threshold - self.cut) / self.scale
        end = max(1.0 + shape * reach, 1e-3)
        slope = np.array([math.log(end) / shape**2 - reach / (shape * end), reach / end])
        found: FloatArray = np.linalg.solve(information, slope) @ scores + 1.0 / self.exceedances
        return found


def fit_pareto(tail: SubjectTail, known: Dependence | None = None) -> ParetoTail:
    """Fit a generalised Pareto distribution to the highest scores, every pair of people counting once.

    The cut is the score that about 300 pairs of people exceed (fewer where the list is shorter). Likelihood on a grid,
    with a penalty that holds the shape near -0.1 (sd 0.1): comparison scores have light tails that end or nearly do,
    and without it a few hundred exceedances often put the end of the tail among the data (Coles, Dixon 1999, penalised
    likelihood; Martins, Stedinger 2000, a prior on the shape).

    Raises NotEnoughDataError with fewer than 100 exceedances, with more than 5 % of all pairs above the cut (that is no
    tail), and when all exceedances are equal.
    """
    if tail.pairs == 0 or tail.score.size == 0:
        raise NotEnoughDataError("no score is listed, so no tail can be fitted")
    part = _highest(tail, MOST)
    part = _highest(tail, MOST / _strength(part))
    strength, count = _strength(part), float(part.weight.sum())
    if count * strength < FEWEST:
        raise NotEnoughDataError(f"{count:.0f} pairs of people exceed the highest cut; a tail needs at least {FEWEST}")
    if count > HIGHEST_FMR * tail.pairs:
        raise NotEnoughDataError(f"{count:.0f} of {tail.pairs:,} pairs of people are no tail; more people are needed")
    over = part.score - part.cut
    scales = float(over @ part.weight) / count * np.exp(SCALES)
    likelihood = strength * _log_likelihood(*_merged(over, part.weight), scales)
    likelihood -= 0.5 * ((SHAPES[:, None] - PRIOR_SHAPE) / PRIOR_SD) ** 2
    deviance = 2.0 * (likelihood.max() - likelihood)
    best = np.unravel_index(int(np.argmin(deviance)), deviance.shape)
    return ParetoTail(part.cut, part, float(SHAPES[best[0]]), float(scales[best[1]]), scales, deviance, strength, known)


def _highest(tail: SubjectTail, most: float) -> SubjectTail:
    """The comparisons above the score that a weight of ``most`` reaches, or above the lowest."""
    at = min(int(np.searchsorted(np.cumsum(tail.weight), most)), tail.score.size - 1)
    cut = float(tail.score[at])
    used = tail.score > cut
    kept = {name: getattr(tail, name)[used] for name in ("score", "first", "second", "weight")}
    return replace(tail, cut=cut, **kept)


def _strength(tail: SubjectTail) -> float:
    """How many independent scores those of one whole pair of people are worth: 1 with one photo, else more.

    Scores of one pair hang together, but are not all alike, and a weight of 1 may be spread over many pairs. Of the
    influences of single scores on the logarithm of the FMR at the end of the reach (of an exponential tail): their
    squares, over the squares of their sums by pair, a design effect (Kish 1965).
    """
    over = tail.score - tail.cut
    total = float(tail.weight.sum())
    if total == 0.0:
        return 1.0
    drop = math.log(max(total / LOWEST_ERRORS, 1.0))
    influence = 1.0 + drop * (over * total / float(over @ tail.weight) - 1.0)
    whole = np.bincount(tail.pair, tail.weight * influence)
    return float(tail.weight @ influence**2 / (whole @ whole))


def _merged(over: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Exceedances in falling order, at most 400 of them: of more, all but the highest 100 as means of neighbours.

    Photos of one pair give many; the likelihood changes by less than a thousandth.
    """
    if over.size <= ALONE + MERGED:
        return over, weight
    number = np.concatenate([np.arange(ALONE), ALONE + np.arange(over.size - ALONE) * MERGED // (over.size - ALONE)])
    total: FloatArray = np.bincount(number, weight).astype(np.float64)
    return np.bincount(number, weight * over) / total, total


def _log_likelihood(over: FloatArray, weight: FloatArray, scales: FloatArray) -> FloatArray:
    """(shapes, scales) log likelihood of weighted exceedances; minus infinity where one is impossible."""
    count = weight.sum()
    found = np.empty((SHAPES.size, scales.size))
    for row, shape in enumerate(SHAPES):
        inside = 1.0 + shape * over[None, :] / scales[:, None]
        if abs(shape) < 1e-9:
            total = -(over @ weight) / scales
        else:
            total = -(1.0 + 1.0 / shape) * (np.log(np.maximum(inside, 1e-300)) @ weight)
        found[row] = np.where(inside.min(axis=1) > 0.0, total, -np.inf)
    found -= count * np.log(scales)[None, :]
    return found


def tail_fit(tallies: Tallies, sweep: Sweep, group: Group) -> TailFit:
    """Extrapolate a group's FMR beyond its data, down to 3 / M and never lower.

    ``estimates``: thresholds at which the fitted FMR is 30 / M, 10 / M and 3 / M, with the interval of the FMR there.
    ``points``: (fitted, measured) score of the same rank, for a QQ plot: a straight line where the fit holds.

    Raises NotEnoughDataError as `fit_pareto` and `SubjectTail.of` do.
    """
    fit = fit_pareto(SubjectTail.of(sweep).only(tallies.subjects_in(group)), _known(tallies, sweep, group))
    estimates: list[Json] = []
    for level in LEVELS:
        threshold = fit.threshold(level / fit.tail.pairs)
        found = fit.fmr(threshold)
        estimates.append({"threshold": threshold, "extrapolated": True} | found.to_json("fmr"))
    rank = np.cumsum(fit.tail.weight) / (fit.exceedances + 1.0)
    fitted = np.array([fit.threshold(float(r) * fit.exceedances / fit.tail.pairs) for r in rank])
    chosen = np.unique(np.geomspace(1, rank.size, POINTS).round().astype(int)) - 1
    return TailFit(
        cut=fit.cut,
        exceedances=int(np.unique(fit.tail.pair).size),
        shape=fit.shape,
        shape_interval=_shapes(fit),
        scale=fit.scale,
        lowest_fmr=fit.lowest_fmr,
        estimates=tuple(estimates),
        points=tuple((float(fitted[k]), float(fit.tail.score[k])) for k in chosen),
        warning=_warning(fit),
    )


def _known(tallies: Tallies, sweep: Sweep, group: Group) -> Dependence | None:
    """The dependence at the rung where the FMR is nearest to 0.1; None where nothing or everything matches there."""
    fmr, _ = rates_along(sweep, group)
    at = np.searchsorted(sweep.grid, sweep.ladder)
    rung = int(np.argmin(np.abs(np.log(np.maximum(fmr[at], 1e-12) / 0.1))))
    sums = pair_sums(tallies, sweep, group, float(sweep.ladder[rung]))
    return dependence(sums) if 0.0 < sums.rate < 1.0 else None


def _shapes(fit: ParetoTail) -> tuple[float, float]:
    """Profile likelihood interval of the shape, widened like that of the FMR at the end of the fit's reach."""
    wider, _ = fit._wider(fit.threshold(fit.lowest_fmr), fit.lowest_fmr)
    inside = SHAPES[fit.deviance.min(axis=1) <= wider * 1.96**2]
    return float(inside.min()), float(inside.max())


def _warning(fit: ParetoTail) -> str:
    """Always that it is extrapolated; also when the fit is visibly off (Kolmogorov distance, as if independent)."""
    share = np.cumsum(fit.tail.weight)[::-1] / fit.exceedances
    level = math.log(fit.exceedances / fit.tail.pairs)
    model = np.array([fit.log_fmr(s, np.array(fit.shape), np.array(fit.scale)) - level for s in fit.tail.score[::-1]])
    distance = float(np.abs(share - np.exp(model)).max())
    if distance > 1.63 / math.sqrt(fit.exceedances * fit.strength):
        return f"{ALWAYS} The fitted tail does not follow the scores (distance {distance:.2f}): do not use it."
    return ALWAYS

"""One error rate of several groups: how sure each is, what they might truly be, and what might then be measured.

`countenance.audit.inequality` asks how far a measure of inequality may be from what was measured of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit, ndtri, stdtr, stdtrit

from countenance.audit.result import Estimate
from countenance.audit.tallies import FloatArray
from countenance.errors import NotEnoughDataError

__all__ = ["DRAWS", "KNOWN", "KNOWN_OF_EQUALS", "Spread", "effective_trials", "trials_at"]

DRAWS = 1000
KNOWN, KNOWN_OF_EQUALS = 0.5, 0.7
"""Share of an interval's degrees of freedom that draws have, and have if all groups are equal; found by simulation."""
LEVEL = 0.025
Z = float(ndtri(1.0 - LEVEL))


@dataclass(frozen=True)
class Spread:
    """One error rate of g groups, how sure each is, and what chance alone would make of equal groups.

    ``rates`` (g,) as measured, rising. ``place`` (g,): the logit of each; a group without errors stands at half an
    error. ``below``, ``above`` (g,): its standard errors downwards and upwards; ``own`` (g,): the variance that would
    be there if comparisons were independent. ``counting``, ``drawing`` (draws, g): for that part of the variance normal
    numbers, for what people add Student's t with ``freedom`` (g,) degrees of freedom, `KNOWN` of the intervals' but at
    least 2. ``trials`` (g,): comparisons; ``least`` (g,): the rate that a group without errors stands at. ``chance``
    (draws, g): rates drawn for groups that all have the pooled rate; ``floor`` (g,): half an error of theirs.
    ``known``: whether people are, so that all this means something.
    """

    rates: FloatArray
    place: FloatArray
    below: FloatArray
    above: FloatArray
    own: FloatArray
    counting: FloatArray
    drawing: FloatArray
    freedom: FloatArray
    trials: FloatArray
    least: FloatArray
    chance: FloatArray
    floor: FloatArray
    known: bool

    @classmethod
    def of(cls, estimates: Sequence[Estimate], random: np.random.Generator) -> Self:
        """From estimates that all have a value. NotEnoughDataError without any."""
        if not estimates:
            raise NotEnoughDataError("no group has a rate, so there is none to compare")
        estimates = sorted(estimates, key=_place)
        rates = np.array([e.value for e in estimates], dtype=np.float64)
        worth = np.maximum([effective_trials(e) for e in estimates], 1.0)
        pooled = float(rates @ np.rint(worth) / np.rint(worth).sum())
        made = np.array([trials_at(e, pooled) for e in estimates])
        chance = random.binomial(made.astype(np.int64), pooled, size=(DRAWS, rates.size)) / made
        place = np.array([_place(e) for e in estimates])
        half = expit(place)
        below, above = _arms(estimates, place, 1.0 / np.sqrt(worth * half * (1.0 - half)))
        trials = np.array([e.trials or w for e, w in zip(estimates, worth, strict=True)], dtype=np.float64)
        own = 1.0 / (trials * half * (1.0 - half))
        variance = ((below + above) / 2.0) ** 2
        people = np.maximum(variance - own, 0.0)
        # What people add is relative to the rate; its logarithm varies by less (a lognormal one by this much).
        scale = np.sqrt((np.minimum(own, variance) + np.log1p(people)) / variance)
        known = all(e.interval is not None for e in estimates)
        counting, normal = random.standard_normal(chance.shape), random.standard_normal(chance.shape)
        freedom = np.maximum(KNOWN * _freedom(estimates), 2.0)
        drawing = normal / np.sqrt(random.chisquare(freedom, chance.shape) / freedom)
        sure = below * scale, above * scale, own
        return cls(rates, place, *sure, counting, drawing, freedom, trials, 0.5 / worth, chance, 0.5 / made, known)

    @cached_property
    def error(self) -> FloatArray:
        """(g,) standard errors of the logits."""
        return (self.below + self.above) / 2.0

    @cached_property
    def equal(self) -> FloatArray:
        """(g,) the pooled rate for each, as logits."""
        worth = 1.0 / (self.error**2 * expit(self.place) * expit(-self.place))
        return np.full(self.place.size, logit(expit(self.place) @ worth / worth.sum()))

    @cached_property
    def guesses(self) -> list[FloatArray]:
        """What the logits (g,) may truly be, rising: one guess for two groups, two for more.

        Being lowest of several is partly luck. So groups fall into a lower and an upper camp, by which end they are
        nearer to, and each stands closer to the mean of its camp than measured (`_shrunk`). Which groups are in the
        upper camp may be luck as well: in a second guess only the highest is.
        """
        middle = (self.place[0] + self.place[-1]) / 2.0
        nearer = int(np.count_nonzero(self.place[:-1] <= middle)) or 1
        return [self._in_camps(size) for size in ((nearer, self.place.size - 1) if self.place.size > 2 else (nearer,))]

    def _in_camps(self, size: int) -> FloatArray:
        """(g,) the guess if the lowest ``size`` groups are one camp and the others another."""
        camps = slice(None, size), slice(size, None)
        return np.concatenate([_shrunk(self.place[camp], self.error[camp]) for camp in camps])

    def nearest(self, guess: FloatArray, pull: FloatArray) -> FloatArray:
        """(g,) rising logits, nearest in standard errors to a guess less ``pull`` (g,) times the squares of those.

        Groups that would change places become equal (isotonic regression).
        """
        found: FloatArray = isotonic_regression(guess - pull * self.error**2, weights=1.0 / self.error**2).x
        return found

    def outcome(self, truth: FloatArray) -> FloatArray:
        """(draws, g) rates that might be measured, in rising order, if ``truth`` (g,) were the logits.

        The part of a variance that people cause is the same everywhere; the rest is that of the rate. Where an interval
        reaches far up, what is measured may lie far below the truth. Errors are whole, so groups may be exactly equal.
        """
        return self._measured(truth, self._people)

    @cached_property
    def at_equal(self) -> FloatArray:
        """(draws, g) as `outcome`, if there is no difference: the same draws, by their quantiles.

        With `KNOWN_OF_EQUALS` for `KNOWN`, since with that equal groups are told apart less often than the level says.
        """
        lighter = stdtrit(KNOWN_OF_EQUALS / KNOWN * self.freedom, stdtr(self.freedom, self.drawing))
        return self._measured(self.equal, self._lopsided(lighter))

    def _measured(self, truth: FloatArray, people: FloatArray) -> FloatArray:
        """(draws, g) rates in rising order, of ``truth`` (g,) and what ``people`` (draws, g) add to the logits."""
        rate, there = expit(self.place), expit(truth)
        own = self.own * rate * (1.0 - rate) / (there * (1.0 - there))
        drawn = expit(truth + people + _counted(self.counting, there, own))
        return np.sort(np.clip(np.rint(drawn * self.trials) / self.trials, self.least, 1.0 - self.least), axis=-1)

    @cached_property
    def _people(self) -> FloatArray:
        """(draws, g) what drawing people adds to the logits measured."""
        return self._lopsided(self.drawing)

    def _lopsided(self, drawing: FloatArray) -> FloatArray:
        """(draws, g) what people add, of draws with mean 0: as lopsided as the intervals are."""
        part = np.sqrt(np.maximum(self.error**2 - self.own, 0.0)) / self.error
        found: FloatArray = drawing * np.where(drawing < 0.0, self.above, self.below) * part
        return found


def _counted(normal: FloatArray, rate: FloatArray, variance: FloatArray) -> FloatArray:
    """What counting adds to a logit: lopsided, since a count that is low by chance is so by more of its logarithm.

    A count to the power of two thirds is nearly normal (Anscombe's residual; McCullagh, Nelder 1989, section 2.4.2).
    Of the given variance, and its mean the rate.
    """
    lopsided = (1.0 - 2.0 * rate) * np.sqrt(variance) / 3.0
    lopsided = np.where(np.abs(lopsided) < 1e-6, 1e-6, lopsided)
    power = np.maximum(1.0 - lopsided**2 + 2.0 * lopsided * normal, 1e-6)
    found: FloatArray = np.sqrt(variance) * np.log(power) / (2.0 * lopsided)
    return found


def _arms(estimates: Sequence[Estimate], place: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(g,) how far intervals reach down and up on the logit scale, over their quantile of Student's t.

    ``error`` both ways where an interval has no such end.
    """
    below, above = error.copy(), error.copy()
    quantile = stdtrit(_freedom(estimates), 1.0 - LEVEL)
    for at, (one, middle) in enumerate(zip(estimates, place, strict=True)):
        if one.interval is not None and one.interval.low > 0.0 and one.interval.high < 1.0:
            below[at] = max(middle - float(logit(one.interval.low)), 1e-9) / quantile[at]
            above[at] = max(float(logit(one.interval.high)) - middle, 1e-9) / quantile[at]
    return below, above


def _freedom(estimates: Sequence[Estimate]) -> FloatArray:
    """(g,) degrees of freedom of each variance, a million for infinitely many."""
    return np.array([1e6 if e.interval is None else min(e.interval.freedom, 1e6) for e in estimates])


def _shrunk(place: FloatArray, error: FloatArray) -> FloatArray:
    """(g,) places moved towards their mean by c over how far they are apart, in squared standard errors.

    All the way where they are no further apart than c. Equal groups are g - 1 apart on average, and with that as c what
    is left would estimate the part of the differences that is true (Stein 1956; DerSimonian, Laird 1986). Here c is
    g / 4 of it, found by simulation: if many groups seem to differ it is worse to take luck for truth, and of two or
    three much may be true.
    """
    worth = 1.0 / error**2
    mean = worth @ place / worth.sum()
    apart = float(worth @ (place - mean) ** 2)
    by = place.size * (place.size - 1) / 4.0
    found: FloatArray = mean + max(0.0, 1.0 - by / max(apart, 1e-12)) * (place - mean)
    return found


def _place(estimate: Estimate) -> float:
    """The logit of a rate, half an effective error away from 0 and 1."""
    worth = max(effective_trials(estimate), 1.0)
    return float(logit(min(max(float(estimate.value or 0.0), 0.5 / worth), 1.0 - 0.5 / worth)))


def effective_trials(rate: Estimate) -> float:
    """Trials of an independent rate whose interval on the logit scale is as wide; the comparisons, without interval.

    Raises NotEnoughDataError without a rate.
    """
    found, value = rate.interval, rate.value
    if value is None:
        raise NotEnoughDataError("there is no rate, so nothing was tried")
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
    Raises NotEnoughDataError without a rate.
    """
    now, value = effective_trials(rate), rate.value or 0.0
    if rate.interval is None or not rate.trials or not 0.0 < value < 1.0:
        return max(1.0, round(now))
    people = max(0.0, (1.0 - value) / value * (1.0 / now - 1.0 / rate.trials))
    odds = max(truth, 1e-300) / max(1.0 - truth, 1e-12)
    return float(max(round(1.0 / (1.0 / rate.trials + people * odds)), 1))

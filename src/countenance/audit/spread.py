"""One error rate of several groups: how sure each is, what they might truly be, and what might then be measured.

`countenance.audit.inequality` asks how far a measure of inequality may be from what was measured of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri, stdtrit

from countenance.audit.dyadic import CERTAIN
from countenance.audit.result import Estimate
from countenance.audit.tallies import FloatArray
from countenance.errors import NotEnoughDataError

__all__ = ["DRAWS", "STRETCH", "Spread", "effective_trials", "trials_at"]

DRAWS = 1000
STRETCH = np.concatenate([1.0 - np.array([1.0, 0.75, 0.5]), 1.0 - 0.35 * 0.7 ** np.arange(11), [1.0, 1.1, 1.25, 1.5]])
"""From no difference to beyond the measured one, and closest near it: where rates are well known, the end is there."""
TOLD = 1.55
"""Standard errors of a difference from which two groups are taken as told apart, in shapes of what may be true."""
LEVEL = 0.025
Z = float(ndtri(1.0 - LEVEL))


@dataclass(frozen=True)
class Spread:
    """One error rate of g groups, how sure each is, and what chance alone would make of equal groups.

    ``rates`` (g,) as measured. ``place`` (g,): the logit of each; a group without errors stands at half an error.
    ``below``, ``above`` (g,): its standard errors downwards and upwards; ``own`` (g,): the variance that would be there
    if comparisons were independent. ``counting``, ``drawing`` (draws, g): for that part of the variance normal numbers,
    for what people add Student's t with `CERTAIN` of the degrees of freedom. ``chance`` (draws, g): rates drawn for
    groups that all have the pooled rate; ``floor`` (g,): half an error of theirs. ``known``: whether people are, so
    that all this means something.
    """

    rates: FloatArray
    place: FloatArray
    below: FloatArray
    above: FloatArray
    own: FloatArray
    counting: FloatArray
    drawing: FloatArray
    chance: FloatArray
    floor: FloatArray
    known: bool
    _outcomes: dict[tuple[int, int], FloatArray] = field(default_factory=dict, repr=False, compare=False)

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
        place = logit(half)
        below, above = _arms(estimates, place, 1.0 / np.sqrt(worth * half * (1.0 - half)))
        trials = np.array([e.trials or w for e, w in zip(estimates, worth, strict=True)], dtype=np.float64)
        variance = ((below + above) / 2.0) ** 2
        own = np.minimum(1.0 / (trials * half * (1.0 - half)), variance)
        # What people add is relative to the rate; its logarithm varies by less (a lognormal one by this much).
        scale = np.sqrt((own + np.log1p(variance - own)) / variance)
        known = all(e.interval is not None for e in estimates)
        freedom = np.maximum(CERTAIN * _freedom(estimates), 2.0)
        counting, drawing = random.standard_normal(chance.shape), random.standard_t(freedom, chance.shape)
        return cls(rates, place, below * scale, above * scale, own, counting, drawing, chance, 0.5 / made, known)

    @property
    def error(self) -> FloatArray:
        """(g,) standard errors of the logits."""
        return (self.below + self.above) / 2.0

    @cached_property
    def truths(self) -> FloatArray:
        """(h, s, g) logits that might be true: away from the pooled rate by `STRETCH` times each of the h `_shapes`.

        Stretched by 0 there is no difference.
        """
        worth = 1.0 / (self.error**2 * expit(self.place) * expit(-self.place))
        mean = float(logit(expit(self.place) @ worth / worth.sum()))
        return mean + STRETCH[:, None] * (_shapes(self.place, self.error)[:, None, :] - mean)

    def outcome(self, shape: int, step: int) -> FloatArray:
        """(draws, g) rates that might be measured if one of `truths` were true, in rising order.

        The part of a variance that people cause is the same everywhere; the rest is that of the rate. Where an interval
        reaches far up, what is measured may lie far below the truth.
        """
        if (shape, step) not in self._outcomes:
            truth, rate = self.truths[shape, step], expit(self.place)
            there = expit(truth)
            own = self.own * rate * (1.0 - rate) / (there * (1.0 - there))
            found = expit(truth + self._drawn + _counted(self.counting, there, own))
            self._outcomes[shape, step] = np.sort(found, axis=-1)
        return self._outcomes[shape, step]

    @cached_property
    def _drawn(self) -> FloatArray:
        return self._people(self.above, self.below)

    @cached_property
    def around(self) -> FloatArray:
        """(draws, g) rates that might be true given what was measured, groups in the order of their measured rates."""
        people = self._people(self.below, self.above)
        found = expit(self.place + people + _counted(self.counting, expit(self.place), self.own))
        return np.take(found, np.argsort(self.place, kind="stable"), axis=-1)

    def _people(self, down: FloatArray, up: FloatArray) -> FloatArray:
        """(draws, g) what drawing people adds to the logits, as lopsided as the intervals are."""
        part = np.sqrt(np.maximum(self.error**2 - self.own, 0.0)) / self.error
        return self.drawing * np.where(self.drawing < 0.0, down, up) * part


def _counted(normal: FloatArray, rate: FloatArray, variance: FloatArray) -> FloatArray:
    """What counting adds to a logit: lopsided, since a count that is low by chance is so by more of its logarithm.

    A normal number to the third of a cube root (Wilson, Hilferty 1931), of the given variance.
    """
    lopsided = (1.0 - 2.0 * rate) * np.sqrt(variance) / 3.0
    lopsided = np.where(np.abs(lopsided) < 1e-6, 1e-6, lopsided)
    found: FloatArray = np.sqrt(variance) * np.log(np.maximum(1.0 - lopsided**2 + lopsided * normal, 0.02)) / lopsided
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


def _shapes(place: FloatArray, error: FloatArray) -> FloatArray:
    """(h, g) shapes that inequality may have, given logits as measured; three, or one for two groups.

    Being lowest of several is partly luck, so groups that cannot be told from the lowest stand at their common mean,
    likewise the highest (`_tied`). Which of the two a group belongs to may be open, and some shapes look more unequal
    by luck than others. So all of these: each group belongs to the nearer; all but the highest belong to the lowest;
    all but the lowest to the highest.
    """
    order = np.argsort(np.argsort(place, kind="stable"), kind="stable")
    others = order < place.size - 1
    near = others & (place - place.min() <= place.max() - place)
    low = [near, others, order == 0][: 1 if place.size == 2 else 3]
    return np.array([_tied(_tied(place, error, among, 0), error, ~among, -1) for among in low])


def _tied(place: FloatArray, error: FloatArray, among: NDArray[np.bool_], end: int) -> FloatArray:
    """(g,) the places, but for those of ``among`` that are like their lowest (or, ``end`` -1, their highest).

    They stand at their common mean: those within `TOLD` standard errors of that one, then also those within as many of
    the mean of all that were found, until there are no more.
    """
    first = np.flatnonzero(among)[np.argsort(place[among], kind="stable")[end]]
    alike, mean, sure = np.arange(place.size) == first, place[first], error[first]
    while True:
        more = alike | (among & (np.abs(place - mean) <= TOLD * np.hypot(error, sure)))
        if np.array_equal(more, alike):
            return np.where(alike, mean, place)
        weight = more / error**2
        alike, mean, sure = more, weight @ place / weight.sum(), 1.0 / math.sqrt(weight.sum())


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

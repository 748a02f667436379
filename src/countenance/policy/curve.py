"""What `Similarity` means: the share of strangers who score lower, in per cent.

Similarity 99.99 says that one stranger in 10,000 would score at least this. It is read off the measured FMR of all
people, each pair counting once, so it means the same for every model; it never reaches 100.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from countenance.audit.intervals import zero_error_bounds
from countenance.audit.rates import rates_along
from countenance.audit.tallies import Tallies
from countenance.errors import NotEnoughDataError

__all__ = ["SimilarityCurve"]

_REMEMBERED = 1000
_STEP = 0.03  # in the logarithm of the FMR: between two points it changes by 3 %, or they are neighbours on the grid


@dataclass(frozen=True)
class SimilarityCurve:
    """Measured FMR along the score: ``scores`` (k,) rising, ``fmr`` (k,) falling, none below ``floor``.

    Between points the logarithm of the FMR is a straight line; below the first the FMR is 1, above the last the floor.
    """

    scores: tuple[float, ...]
    fmr: tuple[float, ...]
    floor: float

    def __post_init__(self) -> None:
        points = len(self.scores)
        rising = all(a < b for a, b in zip(self.scores, self.scores[1:], strict=False))
        falling = all(a >= b for a, b in zip(self.fmr, self.fmr[1:], strict=False))
        if points < 2 or points != len(self.fmr) or not (rising and falling):
            raise ValueError("a curve needs two points or more, scores rising and rates falling")
        if not 0 < self.floor <= self.fmr[-1] or self.fmr[0] > 1:
            raise ValueError("rates of a curve lie between its floor and 1")

    @classmethod
    def of(cls, tallies: Tallies) -> Self:
        """The curve of everyone in a verification; the floor is 3.69/M, M the number of pairs of people.

        Raises NotEnoughDataError when nobody was compared, or when all scores are the same.
        """
        sweep = tallies.need("verification")
        if not sweep.has_subjects:
            raise NotEnoughDataError("who was compared is not known: certify tallies of templates with subjects")
        floor = zero_error_bounds(int(sweep.pairs.sum()), len(tallies.cell))[0]
        fmr = np.maximum(rates_along(sweep, tallies.everyone)[0], floor)
        first = max(int(np.searchsorted(-fmr, -1.0, side="right")) - 1, 0)
        last = int(np.argmax(fmr <= floor)) if fmr[-1] <= floor else fmr.size - 1
        kept = [first + k for k in _thinned(fmr[first : last + 1].tolist())]
        if len(kept) < 2:
            raise NotEnoughDataError("all scores are alike, so none of them says anything")
        return cls(tuple(sweep.grid[kept].tolist()), tuple(fmr[kept].tolist()), floor)

    @property
    def ceiling(self) -> float:
        """The highest Similarity that these measurements can give."""
        return 100.0 * (1.0 - self.fmr[-1])

    def fmr_at(self, score: float) -> float:
        """Share of strangers who score at least ``score``; in [floor, 1]."""
        at = bisect_right(self.scores, score) - 1
        if at < 0:
            return 1.0
        if at >= len(self.scores) - 1:
            return self.fmr[-1]
        part = (score - self.scores[at]) / (self.scores[at + 1] - self.scores[at])
        value = math.exp(self._logs[at] + part * (self._logs[at + 1] - self._logs[at]))
        return min(max(value, self.fmr[at + 1]), self.fmr[at])

    def similarity(self, score: float) -> float:
        """``100 * (1 - FMR(score))``: in [0, 100), never falling as the score rises."""
        return 100.0 * (1.0 - self.fmr_at(score))

    def threshold(self, similarity: float) -> float:
        """The smallest score whose Similarity is at least this: the two compare alike, to the last bit.

        ``-inf`` for 0 and below; ``inf``, which no score reaches, above what these measurements can tell.
        """
        if similarity <= 0.0:
            return -math.inf
        if similarity > self.ceiling:
            return math.inf
        known = self._thresholds.get(similarity)
        if known is None:
            if len(self._thresholds) >= _REMEMBERED:
                self._thresholds.clear()
            known = self._thresholds[similarity] = self._bisected(similarity)
        return known

    def _bisected(self, similarity: float) -> float:
        low, high = math.nextafter(self.scores[0], -math.inf), self.scores[-1]
        while math.nextafter(low, math.inf) < high:
            middle = low + (high - low) / 2
            if middle in (low, high):
                break
            low, high = (low, middle) if self.similarity(middle) >= similarity else (middle, high)
        return high

    @cached_property
    def _thresholds(self) -> dict[float, float]:
        """Those found before: clients ask for the same Similarity again and again."""
        return {}

    @cached_property
    def _logs(self) -> tuple[float, ...]:
        return tuple(math.log(f) for f in self.fmr)


def _thinned(fmr: Sequence[float]) -> list[int]:
    """Numbers of the values to keep: where the rate has changed by a step, the value before a jump, and both ends."""
    kept, size = [0], len(fmr)
    for k in range(1, size):
        if k == size - 1 or math.log(fmr[kept[-1]] / fmr[k]) >= _STEP or (fmr[k] == fmr[-1] < fmr[k - 1]):
            if kept[-1] != k - 1 and math.log(fmr[k - 1] / fmr[k]) >= _STEP:
                kept.append(k - 1)
            kept.append(k)
    return kept

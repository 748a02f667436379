"""The tail of a sweep, person by person: whatever lies above the tail's cut, recomputed for any part of the people.

Above `Sweep.tail_cut` every non-mated comparison is listed, so rates and their dependence are exact at any
threshold and for any half or resample of the subjects. Below it only the ladder knows who was compared.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from countenance.audit.intervals import PairSums
from countenance.audit.tallies import FloatArray, IntArray, Sweep
from countenance.errors import NotEnoughDataError

__all__ = ["SubjectTail"]

MOST_MISSING = 0.001


@dataclass(frozen=True)
class SubjectTail:
    """Comparisons above ``cut`` among the n subjects that took part, all of whom met, but for ``missing`` pairs.

    ``score`` (k,) falling; ``first`` and ``second`` (k,) number people from 0 to n - 1; ``weight`` (k,) is one over
    the number of comparisons of that pair of people, so that every pair counts once. ``subject`` (n,) are their
    numbers in the tallies. Pairs that a person's verdict took out are ``missing``; which they are is not known, so each
    part of the people is counted as if all of them were missing there: its rates come out no lower than they are.
    """

    cut: float
    score: FloatArray
    first: IntArray
    second: IntArray
    weight: FloatArray
    subject: IntArray
    missing: int = 0

    @classmethod
    def of(cls, sweep: Sweep) -> Self:
        """The tail of a symmetric sweep.

        Raises NotEnoughDataError when there is no tail, when it is not known who was compared, or when more than a
        few pairs of people never met (a part of such a sweep cannot be counted without the comparisons themselves).
        """
        if sweep.tail is None or sweep.tail_cut is None or sweep.left is None or sweep.dependence is None:
            raise NotEnoughDataError("it is not known which people the highest scores belong to")
        if not sweep.symmetric:
            raise NotEnoughDataError("people of a search are on two sides; compare all photos with each other instead")
        subject, photos = np.unique(sweep.left.subject, return_counts=True)
        met = sweep.dependence.row_pairs[subject].sum(axis=1)
        missing = int((subject.size - 1 - met).sum()) // 2
        if missing > MOST_MISSING * subject.size * (subject.size - 1) / 2:
            raise NotEnoughDataError("some of the people were never compared, so a part of the data cannot be counted")
        size = np.zeros(int(subject[-1]) + 1, dtype=np.int64)
        size[subject] = photos
        left, right = sweep.left.subject[sweep.tail.left], sweep.left.subject[sweep.tail.right]
        first, second = np.searchsorted(subject, left), np.searchsorted(subject, right)
        weight = 1.0 / (size[left] * size[right])
        score = sweep.tail.score.astype(np.float64)
        return cls(sweep.tail_cut, score, first, second, weight, subject.astype(np.int64), missing)

    @property
    def people(self) -> int:
        """How many people met."""
        return int(self.subject.size)

    @property
    def pairs(self) -> int:
        """How many pairs of people were compared."""
        return max(self.people * (self.people - 1) // 2 - self.missing, 0)

    @property
    def pair(self) -> IntArray:
        """(k,) a number for the two people of each comparison."""
        return self._by_pair[0]

    def only(self, member: NDArray[np.bool_]) -> "SubjectTail":
        """The same among some of the people; ``member`` (S,) by number in the tallies."""
        kept = member[self.subject]
        number = np.cumsum(kept) - 1
        both = kept[self.first] & kept[self.second]
        return SubjectTail(
            self.cut,
            self.score[both],
            number[self.first[both]],
            number[self.second[both]],
            self.weight[both],
            self.subject[kept],
            self.missing,
        )

    def above(self, threshold: float) -> int:
        """How many listed comparisons match at a threshold (ties included). Raises ValueError below the cut."""
        if threshold < self.cut:
            raise ValueError(f"nothing is listed below {self.cut:g}")
        return int(np.searchsorted(-self.score, -threshold, side="right"))

    def rate(self, threshold: float) -> float:
        """FMR, every pair of people once. Raises NotEnoughDataError with fewer than two people."""
        if self.pairs == 0:
            raise NotEnoughDataError("fewer than two people, so there is no false match rate")
        return float(self.weight[: self.above(threshold)].sum()) / self.pairs

    def sums(self, threshold: float) -> PairSums:
        """What `pair_rate_interval` needs, at a threshold not below the cut. Without a pair NotEnoughDataError."""
        if self.pairs == 0:
            raise NotEnoughDataError("fewer than two people, so there is no false match rate")
        n = self.above(threshold)
        pair, low, high = self._by_pair
        share = np.bincount(pair[:n], self.weight[:n])
        rows = np.zeros(self.people)
        for people in (low, high):
            rows += np.bincount(people[: share.size], share, self.people)
        return PairSums(
            pairs=self.pairs,
            errors=float(share.sum()),
            squares=float(share @ share),
            rows=rows,
            row_pairs=np.full(self.people, self.people - 1.0),
        )

    def rates(self, thresholds: FloatArray) -> FloatArray:
        """FMR at many thresholds, none below the cut, every pair of people once. Without a pair NotEnoughDataError."""
        if self.pairs == 0:
            raise NotEnoughDataError("fewer than two people, so there is no false match rate")
        reached = np.concatenate([[0.0], np.cumsum(self.weight)])
        found: FloatArray = reached[np.searchsorted(-self.score, -thresholds, side="right")] / self.pairs
        return found

    @cached_property
    def _by_pair(self) -> tuple[IntArray, IntArray, IntArray]:
        """(k,) number of each comparison's pair of people, numbered as they appear, and both people of each pair."""
        low, high = np.minimum(self.first, self.second), np.maximum(self.first, self.second)
        _, at, number = np.unique(low * self.people + high, return_index=True, return_inverse=True)
        order = np.argsort(at)
        renumber = np.empty_like(order)
        renumber[order] = np.arange(order.size)
        return renumber[number], low[at[order]], high[at[order]]

"""Where in a sweep the comparisons of a group lie, and what their false match rate's interval is made of."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.audit.bootstrap import CurveBand, rate_band
from countenance.audit.intervals import Dependence, Interval, PairSums, dependence, guaranteed_bound, pair_rate_interval
from countenance.audit.tallies import FloatArray, Group, IntArray, Sweep, Tallies
from countenance.errors import NotEnoughDataError

__all__ = ["NO_SUBJECTS", "PairRates", "bin_of", "cell_pairs", "from_above", "names_of", "rung_of"]

Array = NDArray[Any]

DEPENDENCE_FMR = 0.1
NO_SUBJECTS = "it is not known who was compared, and comparisons that share a person are not independent"


class PairRates:
    """FMR within a group, or between two disjoint groups, along a sweep's thresholds; sums over people are kept.

    Every pair of people counts once (``weighting="subject"``) or every comparison (``"comparison"``). ``threshold`` is
    always a grid value. Raises NotEnoughDataError without subjects or without a comparison.
    """

    def __init__(
        self, tallies: Tallies, sweep: Sweep, group: Group, other: Group | None = None, weighting: str = "subject"
    ) -> None:
        if sweep.dependence is None:
            raise NotEnoughDataError(NO_SUBJECTS)
        self._cells = cell_pairs(sweep, group, other)
        if not sweep.pairs[self._cells].any():
            raise NotEnoughDataError(f"no comparison of different people in {names_of(group, other)}")
        self._tallies, self._sweep, self._sums = tallies, sweep, sweep.dependence
        self._group, self._other, self._by_subject = group, other, weighting == "subject"
        self._rungs: dict[int, PairSums] = {}
        self._known: dict[int, Dependence] = {}
        self._intervals: dict[float, Interval] = {}

    @property
    def ladder(self) -> FloatArray:
        """(L,) the sweep's thresholds at which all sums are exact."""
        return self._sweep.ladder

    @cached_property
    def _above(self) -> FloatArray:
        """(B,) weight of the comparisons at or above each grid value."""
        weights = self._sweep.nonmated_weight if self._by_subject else self._sweep.nonmated
        return from_above(weights[self._cells].sum(axis=0))

    @cached_property
    def _along(self) -> FloatArray:
        """(L,) FMR at each rung of the ladder, pairs of people counting once."""
        above = from_above(self._sweep.nonmated_weight[self._cells].sum(axis=0))
        found: FloatArray = above[np.searchsorted(self._sweep.grid, self._sweep.ladder)] / above[0]
        return np.clip(found, 0.0, 1.0)

    def sums(self, threshold: float) -> PairSums:
        """Sufficient statistics at a threshold, for `pair_rate_interval`.

        Between rungs of the ladder the row sums of the rung below are scaled to the errors counted at ``threshold``:
        who causes false matches changes slowly with the threshold. Thresholds the pass was asked for are rungs, so
        exact. The dependence between comparisons is measured besides at the rung where this group's FMR is nearest to
        `DEPENDENCE_FMR`, where errors are many.
        """
        found = self._sums_at(threshold)
        usable = (self._along > 0.0) & (self._along < 1.0) & (self._sweep.ladder < threshold)
        if not usable.any():
            return found
        logarithm = np.log(np.where(usable, self._along, 1.0))
        distance = np.where(usable, np.abs(logarithm - np.log(DEPENDENCE_FMR)), np.inf)
        return replace(found, known=self._dependence(int(np.argmin(distance))))

    def interval(self, threshold: float) -> Interval:
        """The interval of the FMR at a threshold."""
        if threshold not in self._intervals:
            self._intervals[threshold] = pair_rate_interval(self.sums(threshold))
        return self._intervals[threshold]

    def bound(self, threshold: float) -> float:
        """The upper bound with which a threshold is guaranteed: `guaranteed_bound`."""
        return guaranteed_bound(self.sums(threshold))

    def band(self) -> CurveBand:
        """Holds the whole curve along the ladder at once, see `rate_band`; within one group, by subject.

        Raises NotEnoughDataError where the FMR is 0 or 1 at every rung.
        """
        at = [float(threshold) for threshold in self.ladder]
        return rate_band([self.sums(one) for one in at], [self.interval(one) for one in at])

    def _dependence(self, rung: int) -> Dependence:
        if rung not in self._known:
            self._known[rung] = dependence(self._sums_at(float(self._sweep.ladder[rung])))
        return self._known[rung]

    def _sums_at(self, threshold: float) -> PairSums:
        rung, _ = rung_of(self._sweep, threshold)
        if rung not in self._rungs:
            self._rungs[rung] = self._sums_of(rung)
        found = self._rungs[rung]
        at = bin_of(self._sweep, threshold)
        here = float(self._above[at]) if at < self._above.size else 0.0
        return replace(found, keep=here / found.errors if found.errors > 0 else 1.0)

    def _sums_of(self, rung: int) -> PairSums:
        sums, cells, by_subject = self._sums, self._cells, self._by_subject
        rows, row_pairs, columns, column_pairs = self._partners(rung)
        found = PairSums(
            pairs=int(self._sweep.pairs[cells].sum()),
            errors=float(self._above[bin_of(self._sweep, float(self._sweep.ladder[rung]))]),
            squares=float((sums.squares if by_subject else sums.count_squares)[rung, cells].sum()),
            rows=rows,
            row_pairs=row_pairs,
            columns=columns,
            column_pairs=column_pairs,
        )
        if by_subject:
            return found
        return replace(
            found,
            comparisons=float(self._sweep.nonmated[cells].sum()),
            cross=float(sums.count_cross[rung, cells].sum()),
            size_squares=float(sums.size_squares[cells].sum()),
        )

    def _partners(self, rung: int) -> tuple[FloatArray, FloatArray, FloatArray | None, FloatArray | None]:
        """Row sums of the group's subjects over their partners; of a search or of two groups, the partners' too."""
        (here, there), (cells, partners), (made, back_made) = self._members, self._sides, self._made
        found = _rows(self._here[0][rung], here, partners)
        back = None if self._there is None else _rows(self._there[0][rung], there, cells)
        return found, made, back, back_made

    @cached_property
    def _made(self) -> tuple[FloatArray, FloatArray | None]:
        """The number of pairs, or comparisons, that the row sums are over."""
        (here, there), (cells, partners) = self._members, self._sides
        back = None if self._there is None else _rows(self._there[1], there, cells)
        return _rows(self._here[1], here, partners), back

    @cached_property
    def _members(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(S,) which subjects are of the group, and of its partners."""
        return self._tallies.subjects_in(self._group), self._tallies.subjects_in(self._other or self._group)

    @property
    def _sides(self) -> tuple[IntArray, IntArray]:
        """Cells of the group, and of its partners."""
        return self._group.cells, (self._other or self._group).cells

    @property
    def _here(self) -> tuple[Array, Array]:
        """Row sums by rung, and what they are over."""
        sums = self._sums
        return (sums.rows, sums.row_pairs) if self._by_subject else (sums.row_counts, sums.row_comparisons)

    @property
    def _there(self) -> tuple[Array, Array] | None:
        """The same of the partners, where those are others."""
        sums = self._sums
        if self._sweep.symmetric:
            return None if self._other is None else self._here
        rows, made = (
            (sums.column_rows, sums.column_pairs) if self._by_subject else (sums.column_counts, sums.column_comparisons)
        )
        if rows is None or made is None:
            raise NotEnoughDataError(NO_SUBJECTS)
        return rows, made


def cell_pairs(sweep: Sweep, group: Group, other: Group | None) -> IntArray:
    """Numbers of the cell pairs that lie within a group, or between two."""
    partner = group if other is None else other
    cells = 1 + max(int(some.max(initial=0)) for some in (sweep.cell_pairs, group.cells, partner.cells))
    asked = np.zeros((cells, cells), np.bool_)
    asked[np.ix_(group.cells, partner.cells)] = True
    if sweep.symmetric and other is not None:
        asked |= asked.T
    return np.flatnonzero(asked[sweep.cell_pairs[:, 0], sweep.cell_pairs[:, 1]])


def bin_of(sweep: Sweep, threshold: float) -> int:
    """Number of the first bin at or above a threshold; exact when the threshold is a grid value."""
    return int(np.searchsorted(sweep.grid, threshold, side="left"))


def rung_of(sweep: Sweep, threshold: float) -> tuple[int, bool]:
    """Number of the rung at or next below a threshold (the lowest, where none is), and whether it is exact."""
    at = max(int(np.searchsorted(sweep.ladder, threshold, side="right")) - 1, 0)
    return at, bool(sweep.ladder[at] == threshold)


def from_above(counts: Array) -> FloatArray:
    """(B,) sums of each bin and all above it."""
    found: FloatArray = counts[::-1].cumsum()[::-1].astype(np.float64)
    return found


def names_of(group: Group, other: Group | None) -> str:
    """One group, or two, in words."""
    return str(group) if other is None else f"{group} with {other}"


def _rows(values: Array, subjects: NDArray[np.bool_], cells: IntArray) -> FloatArray:
    """(n,) row sums of the chosen subjects over partners in the chosen cells; float64."""
    found: FloatArray = values[subjects][:, cells].sum(axis=1, dtype=np.float64)
    return found

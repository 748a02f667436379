"""What a worker sums over the tiles it is given, and how two workers' sums become one. All sums are integers."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from countenance.audit import kernels
from countenance.audit.plan import Plan
from countenance.audit.tallies import Float32Array, IntArray

__all__ = ["BEST", "TAIL", "Best", "Sums", "Tail"]

TAIL = 100_000
BEST = 20


@dataclass
class Tail:
    """Non-mated comparisons in regular bins ``cut`` and above, complete. Entries number templates of the input."""

    cut: int
    score: Float32Array
    left: IntArray
    right: IntArray

    def merge(self, other: "Tail", plan: Plan) -> "Tail":
        """Both lists above the higher cut."""
        joined = Tail(
            max(self.cut, other.cut),
            np.concatenate([self.score, other.score]),
            np.concatenate([self.left, other.left]),
            np.concatenate([self.right, other.right]),
        )
        return joined.above(joined.cut, plan)

    def bins(self, plan: Plan) -> IntArray:
        """(k,) the regular bin of each entry."""
        found = np.floor(self.score * np.float32(plan.grid.scale)).astype(np.int64) - plan.grid.offset
        return np.asarray(np.maximum(found, 0))

    def above(self, cut: int, plan: Plan) -> "Tail":
        """The part at or above ``cut``."""
        keep = self.bins(plan) >= cut
        return Tail(cut, self.score[keep], self.left[keep], self.right[keep])

    def shortened(self, plan: Plan, most: int = TAIL) -> "Tail":
        """Cut at the lowest bin that leaves at most ``most`` entries."""
        if self.score.size <= most:
            return self
        counts = np.bincount(self.bins(plan), minlength=len(plan.grid.base) + 1)
        over = np.flatnonzero(np.cumsum(counts[::-1])[::-1] > most)
        return self.above(int(over[-1]) + 1, plan)


@dataclass
class Best:
    """Per probe: the best references, rung counts (Q, L + 1), and how many non-mated references reach its mate."""

    score: Float32Array
    reference: IntArray
    counts: IntArray
    above_mate: IntArray

    def merge(self, other: "Best") -> "Best":
        """Of both lists the best; ties in the order of reference numbers."""
        score = np.concatenate([self.score, other.score], axis=1)
        reference = np.concatenate([self.reference, other.reference], axis=1)
        order = np.lexsort((reference, -score), axis=1)[:, :BEST]
        return Best(
            np.take_along_axis(score, order, axis=1),
            np.take_along_axis(reference, order, axis=1),
            self.counts + other.counts,
            self.above_mate + other.above_mate,
        )


_NONE = np.zeros((0, 1), np.int64)
_NO_BEST = Best(np.zeros((0, 1), np.float32), _NONE, _NONE, _NONE[:, 0])


@dataclass
class Sums:
    """Sums over some tiles of one plan; `merge` adds those of other tiles, in any order, with the same result.

    Arrays that end in L + 1 count by rung (how many ladder thresholds a score reaches); ``row_`` and ``col_`` are
    (subjects of the side, C, L + 1); ``squares``, ``count_squares``, ``cross`` (P, L + 1) are already sums at or above.
    Fields named ``_weight`` and ``squares`` are fixed point, in units of 2 ** -plan.unit_bits.
    """

    hist: IntArray
    hist_weight: IntArray
    row: IntArray
    row_weight: IntArray
    col: IntArray
    col_weight: IntArray
    squares: IntArray
    count_squares: IntArray
    cross: IntArray
    tail: Tail
    best: Best | None

    @classmethod
    def empty(cls, plan: Plan, tail_cut: int, search: bool) -> "Sums":
        """No tile counted yet. In a symmetric sweep the columns are the rows."""
        rungs, bins, pairs = len(plan.grid.ladder) + 1, len(plan.grid.base), len(plan.pairs)
        row, row_weight = (np.zeros((len(plan.left.subject), plan.cells, rungs), np.int64) for _ in range(2))
        col, col_weight = row, row_weight
        if not plan.symmetric:
            col, col_weight = (np.zeros((len(plan.right.subject), plan.cells, rungs), np.int64) for _ in range(2))
        hist, hist_weight = (np.zeros((pairs, bins), np.int64) for _ in range(2))
        squares, count_squares, cross = (np.zeros((pairs, rungs), np.int64) for _ in range(3))
        best = None
        if search:
            probes = len(plan.left.order)
            best = Best(
                np.full((probes, BEST), -np.inf, np.float32),
                np.full((probes, BEST), -1, np.int64),
                np.zeros((probes, rungs), np.int64),
                np.zeros(probes, np.int64),
            )
        none = np.zeros(0, np.int64)
        tail = Tail(tail_cut, np.zeros(0, np.float32), none, none)
        return cls(hist, hist_weight, row, row_weight, col, col_weight, squares, count_squares, cross, tail, best)

    def merge(self, other: "Sums", plan: Plan) -> "Sums":
        """The sums over both sets of tiles, which must not overlap."""
        added = {
            f.name: getattr(self, f.name) + getattr(other, f.name)
            for f in fields(self)
            if f.name not in {"tail", "best"}
        }
        if plan.symmetric:
            added |= {"col": added["row"], "col_weight": added["row_weight"]}
        best = self.best.merge(other.best) if self.best is not None and other.best is not None else None
        return Sums(**added, tail=self.tail.merge(other.tail, plan), best=best)


class Worker:
    """Counts tiles into one `Sums`; owns the buffers, so its memory is one tile."""

    def __init__(self, plan: Plan, tail_cut: int, mate: Float32Array | None) -> None:
        self.plan = plan
        self.sums = Sums.empty(plan, tail_cut, mate is not None)
        self.mate = np.zeros(0, np.float32) if mate is None else np.where(np.isneginf(mate), np.float32(np.inf), mate)
        room = plan.left.widest * plan.right.widest
        self._scores = np.empty(room, np.float32)
        self._tail = (np.empty(room, np.float32), np.empty(room, np.int64), np.empty(room, np.int64))

    def count(self, panels: tuple[int, int]) -> None:
        """Add one tile."""
        plan, sums = self.plan, self.sums
        (i0, i1, a), (j0, j1, b) = plan.left.panels[panels[0]], plan.right.panels[panels[1]]
        left, right, rungs = plan.left, plan.right, len(plan.grid.ladder) + 1
        p0, p1, q0, q1 = (int(x) for x in (left.starts[i0], left.starts[i1], right.starts[j0], right.starts[j1]))
        scores = self._scores[: (p1 - p0) * (q1 - q0)].reshape(p1 - p0, q1 - q0)
        np.dot(left.vectors[p0:p1], right.vectors[q0:q1].T, out=scores)
        for p in range(p1 - p0):
            kernels.row_scores(scores[p], left.norms[p0 + p], right.norms[q0:q1], plan.euclidean)
        pair = plan.cell_pair(a, b)
        row, row_weight = sums.row[:, b], sums.row_weight[:, b]
        col, col_weight = (np.zeros((j1 - j0, rungs), np.int64) for _ in range(2))
        best = sums.best or _NO_BEST
        count = kernels.tile(
            scores,
            (left.starts, left.subject, i0, i1, p0),
            (right.starts, right.subject, j0, j1, q0),
            plan.symmetric and panels[0] == panels[1],
            (np.float32(plan.grid.scale), plan.grid.offset),
            plan.grid.lut,
            plan.grid.steps,
            1 << plan.unit_bits,
            (
                sums.hist[pair],
                sums.hist_weight[pair],
                row,
                row_weight,
                col,
                col_weight,
                sums.squares[pair],
                sums.count_squares[pair],
                sums.cross[pair],
            ),
            (*self._tail, 0, sums.tail.cut),
            (
                sums.best is not None,
                left.order,
                right.order,
                best.counts,
                self.mate,
                best.above_mate,
                best.score,
                best.reference,
            ),
        )
        sums.col[j0:j1, a] += col
        sums.col_weight[j0:j1, a] += col_weight
        self._keep(count)

    def _keep(self, count: int) -> None:
        score, left, right = self._tail
        found = Tail(self.sums.tail.cut, score[:count], left[:count], right[:count])
        self.sums.tail = self.sums.tail.merge(found, self.plan)
        if self.sums.tail.score.size > 2 * TAIL:
            self.sums.tail = self.sums.tail.shortened(self.plan)


def suffix(by_rung: NDArray[np.int64]) -> IntArray:
    """(..., L) counts at or above each rung from (..., L + 1) counts by rung."""
    return np.cumsum(by_rung[..., :0:-1], axis=-1)[..., ::-1]

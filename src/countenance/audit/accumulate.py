"""What a worker sums over the tiles it is given, and how two workers' sums become one. All sums are integers."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.audit.plan import Plan
from countenance.audit.tallies import Float32Array, FloatArray, IntArray

__all__ = ["BEST", "TAIL", "Best", "Sums", "Tail", "weights"]

Counts = NDArray[np.signedinteger[Any]]

TAIL = 100_000
BEST = 20


@dataclass
class Tail:
    """Non-mated comparisons in regular bins ``cut`` and above, complete, as chunks of (score, left, right).

    Left and right number the templates of the input.
    """

    cut: int
    chunks: list[tuple[Float32Array, IntArray, IntArray]]

    @property
    def size(self) -> int:
        """Number of entries."""
        return sum(len(chunk[0]) for chunk in self.chunks)

    @property
    def whole(self) -> tuple[Float32Array, IntArray, IntArray]:
        """All chunks as one."""
        none = np.zeros(0, np.int64)
        score, left, right = zip((np.zeros(0, np.float32), none, none), *self.chunks, strict=True)
        return np.concatenate(score), np.concatenate(left), np.concatenate(right)

    def merge(self, other: "Tail", plan: Plan) -> "Tail":
        """Both lists above the higher cut."""
        return Tail(min(self.cut, other.cut), self.chunks + other.chunks).above(max(self.cut, other.cut), plan)

    def above(self, cut: int, plan: Plan) -> "Tail":
        """The part at or above ``cut``."""
        score, left, right = self.whole
        keep = _bins(score, plan) >= cut
        return Tail(cut, [(score[keep], left[keep], right[keep])])

    def shortened(self, plan: Plan, most: int = TAIL) -> "Tail":
        """Cut at the lowest bin that leaves at most ``most`` entries."""
        if self.size <= most:
            return self
        counts = np.bincount(_bins(self.whole[0], plan), minlength=len(plan.grid.base) + 1)
        over = np.flatnonzero(np.cumsum(counts[::-1])[::-1] > most)
        return self.above(int(over[-1]) + 1, plan)


def _bins(score: Float32Array, plan: Plan) -> IntArray:
    """(k,) the regular bin of each score."""
    found = np.floor(score * np.float32(plan.grid.scale)).astype(np.int64) - plan.grid.offset
    return np.asarray(np.maximum(found, 0))


@dataclass
class Best:
    """Per probe: the best references, counts at or above each rung (Q, L + 1), and how many non-mated references reach
    its mate."""

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


@dataclass
class Sums:
    """Sums over some tiles of one plan; `merge` adds those of other tiles, in any order, with the same result.

    Arrays with L + 1 places count comparisons at or above each rung, from the second place on; ``row`` and ``col`` are
    (C, L + 1, subjects of the side); ``squares``, ``count_squares``, ``cross`` are (P, L + 1).
    Fields named ``_weight`` and ``squares`` are fixed point, in units of 2 ** -plan.unit_bits. Where every subject pair
    has as many comparisons (plan.share), those named ``_weight`` are empty: `weights` has them.
    """

    hist: IntArray
    hist_weight: IntArray
    row: Counts
    row_weight: IntArray
    col: Counts
    col_weight: IntArray
    squares: IntArray
    count_squares: IntArray
    cross: IntArray
    tail: Tail
    best: Best | None

    @classmethod
    def empty(cls, plan: Plan, search: bool) -> "Sums":
        """No tile counted yet. In a symmetric sweep the columns are the rows."""
        rungs, bins, pairs = len(plan.grid.ladder) + 1, len(plan.grid.base), len(plan.pairs)
        most = max(int(a.sizes.max()) * len(b.order) for a, b in ((plan.left, plan.right), (plan.right, plan.left)))
        kind = np.int32 if most < 2**31 else np.int64
        some = 0 if plan.share else 1
        row = np.zeros((plan.cells, rungs, len(plan.left.subject)), kind)
        row_weight = np.zeros(tuple(n * some for n in row.shape), np.int64)
        col, col_weight = row, row_weight
        if not plan.symmetric:
            col = np.zeros((plan.cells, rungs, len(plan.right.subject)), kind)
            col_weight = np.zeros(tuple(n * some for n in col.shape), np.int64)
        hist, hist_weight = np.zeros((pairs, bins), np.int64), np.zeros((pairs * some, bins), np.int64)
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
        tail = Tail(plan.tail_cut, [])
        return cls(hist, hist_weight, row, row_weight, col, col_weight, squares, count_squares, cross, tail, best)

    def merge(self, other: "Sums", plan: Plan) -> "Sums":
        """The sums over both sets of tiles, which must not overlap; these take up the other's."""
        same = {"col", "col_weight"} if plan.symmetric else set()
        for f in fields(self):
            if f.name not in {"tail", "best"} | same:
                np.add(getattr(self, f.name), getattr(other, f.name), out=getattr(self, f.name))
        self.tail = self.tail.merge(other.tail, plan)
        self.best = self.best.merge(other.best) if self.best is not None and other.best is not None else None
        return self


def weights(plan: Plan, counts: Counts, weighted: IntArray) -> FloatArray:
    """The weights that belong to ``counts``: ``weighted`` out of fixed point, or the plan's one share of each count."""
    if plan.share:
        return np.asarray(counts * (plan.weight(plan.share) / plan.unit))
    return np.asarray(weighted * (1 / plan.unit))

"""One worker of the pass: takes tiles, counts them, and owns the buffers, so its memory is a few tiles."""

from typing import Any, NamedTuple

import numpy as np

from countenance.audit import kernels
from countenance.audit.accumulate import TAIL, Best, Sums
from countenance.audit.plan import Panel, Plan
from countenance.audit.tallies import Float32Array, IntArray

__all__ = ["Worker"]

DIAGONAL = 256
_NONE = np.zeros((0, 1), np.int64)
_NO_BEST = Best(np.zeros((0, 1), np.float32), _NONE, _NONE, _NONE[:, 0])


class _Counted(NamedTuple):
    """What a tile holds: histogram, columns at each rung, squares there, number of comparisons to list."""

    hist: Any
    col: Any
    squares: IntArray
    tail: int


class Worker:
    """Counts tiles into one `Sums`. ``mate`` (left templates,): each probe's best mated score, for a search.

    Several workers take the tiles of one plan; all sums are integers, so who took which changes nothing.
    """

    def __init__(self, plan: Plan, mate: Float32Array | None) -> None:
        self.plan = plan
        self.sums = Sums.empty(plan, mate is not None)
        self.mate = np.zeros(0, np.float32) if mate is None else np.where(np.isneginf(mate), np.float32(np.inf), mate)
        room = plan.left.widest * plan.right.widest
        self._scores = np.empty((plan.left.widest, _row_length(plan.right.widest)), np.float32)
        self._codes = np.empty(room, np.uint8)
        self._tail = (np.empty(room, np.float32), np.empty(room, np.int32), np.empty(room, np.int32))
        self._grid = self._watching()

    def _watching(self) -> tuple[Any, ...]:
        """The grid as the kernels take it; bins from the tail's cut on are marked."""
        grid = self.plan.grid
        watched = grid.lut.copy()
        watched[self.sums.tail.cut :] = kernels.SPLIT
        return np.float32(grid.scale), np.int32(grid.offset), grid.lut, grid.steps, watched

    def count(self, tile: tuple[int, int]) -> None:
        """Add one tile."""
        left, right = self.plan.left.panels[tile[0]], self.plan.right.panels[tile[1]]
        shape = left.end - left.start, right.end - right.start
        scores = self._scores[: shape[0], : shape[1]]
        vectors = self.plan.left.vectors[left.start : left.end], self.plan.right.vectors[right.start : right.end]
        diagonal = self.plan.symmetric and tile[0] == tile[1]
        step = DIAGONAL if diagonal else shape[0]  # below the diagonal nothing is looked at
        for at in range(0, shape[0], step):
            first = at if diagonal else 0
            np.matmul(vectors[0][at : at + step], vectors[1][first:].T, out=scores[at : at + step, first:])
        if _even(left, right):
            self._even(scores, left, right, diagonal)
        else:
            self._uneven(scores, left, right, diagonal)

    def _even(self, scores: Float32Array, left: Panel, right: Panel, diagonal: bool) -> None:
        """A tile in which every subject pair has as many comparisons, so that counts give the weights."""
        rungs = len(self.plan.grid.ladder) + 1
        row = np.empty((left.last - left.first, rungs), np.int32)
        codes = self._codes[: scores.size].reshape(scores.shape)
        scores = self._scores[: len(scores)]  # the loops are faster over whole rows, which lie one after the other
        skip = self._skip(left, right, diagonal)
        found = self._counted(scores, left, right, row, codes, skip)
        self._add(found, row, left, right)
        self._keep(found.tail, left.start, right.start)

    def _skip(self, left: Panel, right: Panel, diagonal: bool) -> IntArray:
        """(2, rows) the columns of each row's own subject, from and to; in a diagonal tile all up to its end."""
        if self.plan.symmetric and not diagonal:
            return np.zeros((2, left.end - left.start), np.int64)
        skip = np.clip(self.plan.mates[:, left.start : left.end] - right.start, 0, right.end - right.start)
        if diagonal:
            skip[0] = 0
        return np.ascontiguousarray(skip)

    def _counted(
        self, scores: Float32Array, left: Panel, right: Panel, row: Any, codes: Any, skip: IntArray
    ) -> _Counted:
        plan, rows = self.plan, (0, len(scores))
        rungs = len(plan.grid.ladder) + 1
        sizes, people = (left.size, right.size), right.last - right.first
        hist, col = np.zeros(len(plan.grid.base) + 1, np.uint32), np.zeros((rungs, people), np.uint16)
        norms = plan.left.norms[left.start : left.end], plan.right.norms[right.start : right.end]
        listed = kernels.flat(
            *(scores, (*rows, right.size, plan.euclidean), norms, skip // right.size, self._grid, hist, codes),
            (*self._tail, 0, self.sums.tail.cut),
        )
        squares = np.zeros(rungs, np.int64)
        room = np.empty(codes.shape[1], np.uint8 if left.size * right.size < 256 else np.uint16)
        kernels.levels(codes, (0, len(row)), sizes, room, row, col, squares)
        if self.sums.best is not None:
            found = self.sums.best
            order = plan.right.order[right.start : right.end]
            kernels.best(
                scores, (*rows, left.start), skip, order, self.mate, found.above_mate, found.score, found.reference
            )
            kernels.by_row(codes, *rows, found.counts[left.start : left.end])
        return _Counted(hist, col, squares, int(listed))

    def _add(self, found: _Counted, row: Any, left: Panel, right: Panel) -> None:
        """A tile's counts, into the sums."""
        plan, sums = self.plan, self.sums
        n, pair = left.size * right.size, plan.cell_pair(left.cell, right.cell)
        one = plan.weight(n)
        hist, rows, columns = found.hist[:-1], slice(left.first, left.last), slice(right.first, right.last)
        sums.hist[pair] += hist
        sums.row[right.cell, :, rows] += row.T
        sums.col[left.cell, :, columns] += found.col
        reached = row.sum(axis=0, dtype=np.int64)
        squares = found.squares if n > 1 else reached
        sums.count_squares[pair] += squares
        sums.cross[pair] += reached * n
        sums.squares[pair] += np.rint(squares * (plan.unit / (n * n))).astype(np.int64)
        if not plan.share:
            sums.hist_weight[pair] += hist * np.int64(one)
            sums.row_weight[right.cell, :, rows] += row.T * np.int64(one)
            sums.col_weight[left.cell, :, columns] += found.col * np.int64(one)

    def _uneven(self, scores: Float32Array, left: Panel, right: Panel, diagonal: bool) -> None:
        """A tile of people with different numbers of templates."""
        plan, sums = self.plan, self.sums
        for p in range(len(scores)):
            norms = plan.right.norms[right.start : right.end]
            kernels.row_scores(scores[p], plan.left.norms[left.start + p], norms, plan.euclidean)
        pair, rungs = plan.cell_pair(left.cell, right.cell), len(plan.grid.ladder) + 1
        shape = right.last - right.first, rungs
        col, col_weight = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        best = sums.best or _NO_BEST
        listed = kernels.tile(
            scores,
            (plan.left.starts, plan.left.subject, left.first, left.last, left.start),
            (plan.right.starts, plan.right.subject, right.first, right.last, right.start),
            diagonal,
            self._grid,
            plan.unit,
            (
                *(sums.hist[pair], sums.hist_weight[pair], sums.row[right.cell].T, sums.row_weight[right.cell].T),
                *(col, col_weight, sums.squares[pair], sums.count_squares[pair], sums.cross[pair]),
            ),
            (*self._tail, 0, sums.tail.cut),
            (
                *(sums.best is not None, plan.right.order, best.counts, self.mate, best.above_mate),
                *(best.score, best.reference),
            ),
        )
        sums.col[left.cell, :, right.first : right.last] += col.T.astype(sums.col.dtype)
        sums.col_weight[left.cell, :, right.first : right.last] += col_weight.T
        self._keep(int(listed), left.start, right.start)

    def _keep(self, count: int, p0: int, q0: int) -> None:
        """The tile's ``count`` comparisons to list, numbered as the input."""
        score, left, right = self._tail[0][:count], self._tail[1][:count], self._tail[2][:count]
        tail = self.sums.tail
        if count:
            tail.chunks.append((score.copy(), self.plan.left.order[p0 + left], self.plan.right.order[q0 + right]))
        if tail.size > 2 * TAIL:
            self.sums.tail = tail.shortened(self.plan)
            self._grid = self._watching()


def _row_length(columns: int) -> int:
    """Numbers in a row of scores: a few more than ``columns``, lest all rows begin at the same place of the cache."""
    return (columns // 64 + 1) * 64 + 32


def _even(left: Panel, right: Panel) -> bool:
    """Whether all subject pairs have as many comparisons, and so few that the fast counters hold them."""
    m, n = left.size, right.size
    few = (left.end - left.start) * n < 2**16 and (right.last - right.first) * (m * n) ** 2 < 2**31
    return m > 0 and n > 0 and few

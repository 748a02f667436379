"""One worker of the pass: takes tiles, counts them, and owns the buffers, so its memory is a few tiles."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from countenance.audit import kernels
from countenance.audit.accumulate import TAIL, Best, Sums
from countenance.audit.plan import Panel, Plan
from countenance.audit.tallies import Float32Array, IntArray

__all__ = ["Worker"]

Tile = tuple[int, int]
DIAGONAL = 256
_NONE = np.zeros((0, 1), np.int64)
_NO_BEST = Best(np.zeros((0, 1), np.float32), _NONE, _NONE, _NONE[:, 0])


class _Stripe(NamedTuple):
    """What one thread counted in its rows of a tile: histogram, columns by rung, sums of squares, length of its
    tail."""

    hist: Any
    col: Any
    squares: IntArray
    tail: int


class Worker:
    """Counts tiles into one `Sums`. ``mate`` (left templates,): each probe's best mated score, for a search.

    Rows of a tile are shared among ``threads`` threads of ``pool``. All sums are integers, so their number changes
    nothing.
    """

    def __init__(self, plan: Plan, mate: Float32Array | None, pool: ThreadPoolExecutor, threads: int) -> None:
        self.plan, self.pool, self.threads = plan, pool, threads
        self.sums = Sums.empty(plan, mate is not None)
        self.mate = np.zeros(0, np.float32) if mate is None else np.where(np.isneginf(mate), np.float32(np.inf), mate)
        room = plan.left.widest * plan.right.widest
        self._scores = [np.empty(room, np.float32) for _ in range(2)]
        self._codes = np.empty(room, np.uint8)
        self._tail = (np.empty(room, np.float32), np.empty(room, np.int32), np.empty(room, np.int32))
        self._grid = self._watching()

    def _watching(self) -> tuple[Any, ...]:
        """The grid as the kernels take it; bins from the tail's cut on are marked."""
        grid = self.plan.grid
        watched = grid.lut.copy()
        watched[self.sums.tail.cut :] = kernels.SPLIT
        return np.float32(grid.scale), np.int32(grid.offset), grid.lut, grid.steps, watched

    def count(self, tiles: Iterable[Tile], done: Callable[[Tile], None] = lambda _: None) -> None:
        """Add tiles. While one is counted the next is multiplied; they are counted one after the other, in their
        order."""
        with ThreadPoolExecutor(1) as counter:
            running: list[tuple[Tile, Future[None]]] = []
            for turn, tile in enumerate(tiles):
                if len(running) == 2:
                    self._finished(running, done)
                running.append((tile, counter.submit(self._tally, tile, self._multiply(tile, turn % 2))))
            while running:
                self._finished(running, done)

    @staticmethod
    def _finished(running: list[tuple[Tile, "Future[None]"]], done: Callable[[Tile], None]) -> None:
        tile, future = running.pop(0)
        future.result()
        done(tile)

    def _multiply(self, tile: Tile, buffer: int) -> Float32Array:
        """The dot products of a tile, in one of the two buffers."""
        left, right = self.plan.left.panels[tile[0]], self.plan.right.panels[tile[1]]
        shape = left.end - left.start, right.end - right.start
        scores = self._scores[buffer][: shape[0] * shape[1]].reshape(shape)
        vectors = self.plan.left.vectors[left.start : left.end], self.plan.right.vectors[right.start : right.end]
        diagonal = self.plan.symmetric and tile[0] == tile[1]
        step = DIAGONAL if diagonal else shape[0]  # below the diagonal nothing is looked at
        for at in range(0, shape[0], step):
            first = at if diagonal else 0
            np.matmul(vectors[0][at : at + step], vectors[1][first:].T, out=scores[at : at + step, first:])
        return scores

    def _tally(self, tile: Tile, scores: Float32Array) -> None:
        """Count one tile, whose dot products are ``scores``."""
        left, right = self.plan.left.panels[tile[0]], self.plan.right.panels[tile[1]]
        diagonal = self.plan.symmetric and tile[0] == tile[1]
        if _even(left, right):
            self._even(scores, left, right, diagonal)
        else:
            self._uneven(scores, left, right, diagonal)

    def _even(self, scores: Float32Array, left: Panel, right: Panel, diagonal: bool) -> None:
        """A tile in which every subject pair has as many comparisons, so that counts give the weights."""
        rungs = len(self.plan.grid.ladder) + 1
        row = np.empty((left.last - left.first, rungs), np.int32)
        codes = self._codes[: scores.size].reshape(scores.shape)
        skip = self._skip(left, right, diagonal)
        blocks = np.linspace(0, left.last - left.first, self.threads + 1).astype(int)
        if diagonal:  # the later rows of a diagonal tile are shorter
            blocks = np.rint(blocks[-1] * (1 - np.sqrt(1 - np.linspace(0, 1, self.threads + 1)))).astype(int)

        def work(k: int) -> _Stripe:
            return self._stripe(scores, (blocks[k], blocks[k + 1]), (left, right), row, codes, skip)

        stripes = list(self.pool.map(work, range(self.threads)))
        self._add(stripes, row, left, right)
        self._keep(self._listed(stripes, blocks * left.size * scores.shape[1], left.start, right.start))

    def _skip(self, left: Panel, right: Panel, diagonal: bool) -> IntArray:
        """(2, rows) the columns of each row's own subject, from and to; in a diagonal tile all up to its end."""
        if self.plan.symmetric and not diagonal:
            return np.zeros((2, left.end - left.start), np.int64)
        skip = np.clip(self.plan.mates[:, left.start : left.end] - right.start, 0, right.end - right.start)
        if diagonal:
            skip[0] = 0
        return np.ascontiguousarray(skip)

    def _stripe(
        self,
        scores: Float32Array,
        blocks: tuple[int, int],
        panels: tuple[Panel, Panel],
        row: Any,
        codes: Any,
        skip: IntArray,
    ) -> _Stripe:
        plan, (left, right) = self.plan, panels
        rows = int(blocks[0]) * left.size, int(blocks[1]) * left.size
        rungs = len(plan.grid.ladder) + 1
        sizes, people = (left.size, right.size), right.last - right.first
        straight = 0 if right.size == 1 else people * right.size
        place = np.arange(straight, dtype=np.int32).reshape(right.size, -1).T.ravel()
        hist, col = np.zeros(len(plan.grid.base) + 1, np.uint32), np.zeros((rungs, people), np.uint16)
        norms = plan.left.norms[left.start : left.end], plan.right.norms[right.start : right.end]
        tail = [part[rows[0] * scores.shape[1] :] for part in self._tail]
        listed = kernels.flat(
            *(scores, (*rows, plan.euclidean), norms, skip, self._grid, hist, place, codes),
            (*tail, 0, self.sums.tail.cut),
        )
        squares = np.zeros(rungs, np.int64)
        room = np.empty(people, np.uint8 if left.size * right.size < 256 else np.uint16)
        kernels.levels(codes, (int(blocks[0]), int(blocks[1])), sizes, room, row, col, squares)
        if self.sums.best is not None:
            found = self.sums.best
            order = plan.right.order[right.start : right.end]
            kernels.best(
                scores, (*rows, left.start), skip, order, self.mate, found.above_mate, found.score, found.reference
            )
            kernels.by_row(codes, *rows, found.counts[left.start : left.end])
        return _Stripe(hist, col, squares, int(listed))

    def _add(self, stripes: list[_Stripe], row: Any, left: Panel, right: Panel) -> None:
        """What the threads counted, into the sums."""
        plan, sums = self.plan, self.sums
        n, pair = left.size * right.size, plan.cell_pair(left.cell, right.cell)
        one = plan.weight(n)
        hist = sum(s.hist[:-1].astype(np.int64) for s in stripes)
        cols = sum(s.col.T.astype(np.int32) for s in stripes)
        sums.hist[pair] += hist
        sums.row[left.first : left.last, right.cell] += row
        sums.col[right.first : right.last, left.cell] += cols
        reached = row.sum(axis=0, dtype=np.int64)
        squares = sum(s.squares for s in stripes) if n > 1 else reached
        sums.count_squares[pair] += squares
        sums.cross[pair] += reached * n
        sums.squares[pair] += np.rint(squares * (plan.unit / (n * n))).astype(np.int64)
        if not plan.share:
            sums.hist_weight[pair] += hist * one
            sums.row_weight[left.first : left.last, right.cell] += row.astype(np.int64) * one
            sums.col_weight[right.first : right.last, left.cell] += cols.astype(np.int64) * one

    def _listed(self, stripes: list[_Stripe], begins: IntArray, p0: int, q0: int) -> Iterable[tuple[Any, Any, Any]]:
        """The tail entries of the threads, numbered as the input."""
        for stripe, begin in zip(stripes, begins, strict=False):
            score, left, right = (part[begin : begin + stripe.tail] for part in self._tail)
            yield score.copy(), self.plan.left.order[p0 + left], self.plan.right.order[q0 + right]

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
                *(sums.hist[pair], sums.hist_weight[pair], sums.row[:, right.cell], sums.row_weight[:, right.cell]),
                *(col, col_weight, sums.squares[pair], sums.count_squares[pair], sums.cross[pair]),
            ),
            (*self._tail, 0, sums.tail.cut),
            (
                *(sums.best is not None, plan.right.order, best.counts, self.mate, best.above_mate),
                *(best.score, best.reference),
            ),
        )
        sums.col[right.first : right.last, left.cell] += col.astype(sums.col.dtype)
        sums.col_weight[right.first : right.last, left.cell] += col_weight
        whole = _Stripe(None, None, _NONE, int(listed))
        self._keep(self._listed([whole], np.zeros(1, np.int64), left.start, right.start))

    def _keep(self, listed: Iterable[tuple[Any, Any, Any]]) -> None:
        tail = self.sums.tail
        tail.chunks += [chunk for chunk in listed if len(chunk[0])]
        if tail.size > 2 * TAIL:
            self.sums.tail = tail.shortened(self.plan)
            self._grid = self._watching()


def _even(left: Panel, right: Panel) -> bool:
    """Whether all subject pairs have as many comparisons, and so few that the fast counters hold them."""
    m, n = left.size, right.size
    few = (left.end - left.start) * n < 2**16 and (right.last - right.first) * (m * n) ** 2 < 2**31
    return m > 0 and n > 0 and few

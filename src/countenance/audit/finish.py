"""From the sums of a pass to the fields of a `Sweep`."""

import math
from typing import Any

import numpy as np

from countenance.audit.accumulate import Best, Sums, weights
from countenance.audit.plan import Plan, Side
from countenance.audit.prepare import Mated, pair_sums
from countenance.audit.tallies import (
    Candidates,
    DependenceSums,
    Float32Array,
    FloatArray,
    IntArray,
    MatedSums,
    Sides,
    Sweep,
    TailPairs,
)

__all__ = ["finish"]

MATED_LOW = 50_000


def finish(
    plan: Plan,
    sums: Sums,
    mated: Mated,
    mate: Float32Array | None,
    left: Sides,
    right: Sides,
    subjects: int,
) -> Sweep:
    """The sweep: ``mated`` its mated comparisons, ``mate`` each probe's best one (for a search), S ``subjects`` in
    all."""
    tail = sums.tail.shortened(plan)
    score, first, second = tail.whole
    if plan.symmetric:
        first, second = np.minimum(first, second), np.maximum(first, second)
    nonmated, weight = _split(plan, sums)
    mated_counts, mated_weight = _mated_counts(plan, mated)
    return Sweep(
        symmetric=plan.symmetric,
        grid=plan.grid.edges,
        ladder=plan.grid.ladder,
        cell_pairs=_cell_pairs(plan),
        pairs=plan.pairs,
        nonmated=nonmated,
        nonmated_weight=weight,
        mated=mated_counts,
        mated_weight=mated_weight,
        left=left,
        right=right,
        dependence=_dependence(plan, sums, subjects),
        mated_sums=_mated_sums(plan, mated, subjects),
        tail_cut=float(plan.grid.base[tail.cut]) if tail.cut < len(plan.grid.base) else math.inf,
        tail=_ordered(score, first, second, -1),
        mated_low=_mated_low(plan, mated),
        candidates=None if mate is None or sums.best is None else _candidates(plan, sums.best, mated, mate),
    )


def _ordered(score: Float32Array, left: IntArray, right: IntArray, sign: int) -> TailPairs:
    """By score (falling, where ``sign`` is -1), then left, then right; two plain sorts are faster than a lexsort.

    No two comparisons have both left and right in common, so only the second sort has to keep an order.
    """
    order = np.argsort(left * (1 + right.max(initial=0)) + right)
    order = order[np.argsort(sign * score[order], kind="stable")]
    return TailPairs(score[order], left[order], right[order])


def _cell_pairs(plan: Plan) -> IntArray:
    if plan.symmetric:
        return np.stack(np.triu_indices(plan.cells), axis=1).astype(np.int64)
    return np.stack(np.divmod(np.arange(plan.cells**2), plan.cells), axis=1).astype(np.int64)


def _split(plan: Plan, sums: Sums) -> tuple[IntArray, FloatArray]:
    """Counts and weights (P, B) on all edges: from those on the regular edges and those at the rungs, both exact."""
    grid = plan.grid
    found = []
    weighted = not plan.share
    for hist, rows in ((sums.hist, sums.row), (sums.hist_weight, sums.row_weight))[: 1 + weighted]:
        at_rungs = _pair_totals(plan, rows)
        reached = np.empty((len(plan.pairs), len(grid.edges)), np.int64)
        regular = np.searchsorted(grid.edges, grid.base)
        reached[:, regular] = np.cumsum(hist[:, ::-1], axis=1)[:, ::-1]
        rungs = np.searchsorted(grid.edges, grid.ladder)
        below = grid.ladder < grid.base[0]
        reached[:, rungs[~below]] = at_rungs[:, ~below]
        reached[:, rungs[below]] = hist.sum(axis=1)[:, None]
        found.append(-np.diff(reached, axis=1, append=0))
    return found[0], weights(plan, found[0], found[-1])


def _pair_totals(plan: Plan, rows: IntArray) -> IntArray:
    """(P, L) sums of the row sums over each cell pair; in a symmetric sweep a pair within a cell is in two rows."""
    reached = np.zeros((plan.cells, plan.cells, rows.shape[1] - 1), np.int64)
    for cell in range(plan.cells):  # subjects are sorted by cell
        first, last = np.searchsorted(plan.left.cell, [cell, cell + 1])
        reached[cell] = rows[:, 1:, first:last].sum(axis=2, dtype=np.int64)
    if not plan.symmetric:
        return reached.reshape(-1, reached.shape[-1])
    reached[np.diag_indices(plan.cells)] //= 2
    return reached[np.triu_indices(plan.cells)]


def _dependence(plan: Plan, sums: Sums, subjects: int) -> DependenceSums:
    one = 2.0**-plan.unit_bits
    rows = _margin(plan, plan.left, plan.right, sums.row, sums.row_weight, subjects)
    columns: tuple[Any, Any, Any, Any] = (None, None, None, None)
    if not plan.symmetric:
        columns = _margin(plan, plan.right, plan.left, sums.col, sums.col_weight, subjects)
    return DependenceSums(
        *rows,
        squares=np.ascontiguousarray(sums.squares[:, 1:].T * one),
        count_squares=np.ascontiguousarray(sums.count_squares[:, 1:].T).astype(np.float64),
        count_cross=np.ascontiguousarray(sums.cross[:, 1:].T).astype(np.float64),
        size_squares=pair_sums(plan.left, plan.right, plan.symmetric, plan.cells, 2).astype(np.float64),
        column_rows=columns[0],
        column_counts=columns[1],
        column_pairs=columns[2],
        column_comparisons=columns[3],
    )


def _margin(
    plan: Plan, side: Side, other: Side, counts: IntArray, weighted: IntArray, subjects: int
) -> tuple[Float32Array, IntArray, IntArray, IntArray]:
    """(rows, row_counts, row_pairs, row_comparisons) of one side, spread over all subjects."""
    shape = (len(plan.grid.ladder), subjects, plan.cells)
    rows, row_counts = np.zeros(shape, np.float32), np.zeros(shape, np.int64)
    for rung in range(shape[0]):
        row_counts[rung, side.subject] = counts[:, 1 + rung].T
        if plan.share:
            rows[rung] = weights(plan, row_counts[rung], weighted)
        else:
            rows[rung, side.subject] = weights(plan, row_counts[rung], weighted[:, 1 + rung].T)
    partners = np.tile(np.bincount(other.cell, minlength=plan.cells), (len(side.subject), 1))
    met = np.tile(np.bincount(other.cell, other.sizes, plan.cells).astype(np.int64), (len(side.subject), 1))
    _, i, j = np.intersect1d(side.subject, other.subject, assume_unique=True, return_indices=True)
    partners[i, other.cell[j]] -= 1
    met[i, other.cell[j]] -= other.sizes[j]
    row_pairs, row_comparisons = (np.zeros(shape[1:], np.int64) for _ in range(2))
    row_pairs[side.subject] = partners
    row_comparisons[side.subject] = met * side.sizes[:, None]
    return rows, row_counts, row_pairs, row_comparisons


def _subjects_at(side: Side, positions: IntArray) -> IntArray:
    """Block numbers of template positions."""
    return np.searchsorted(side.starts, positions, side="right") - 1


def _mated_counts(plan: Plan, mated: Mated) -> tuple[IntArray, FloatArray]:
    """(C, B) counts and weights; every subject with a mated comparison has the weight 1."""
    block = _subjects_at(plan.left, mated[0])
    cell = plan.left.cell[block]
    bins = np.searchsorted(plan.grid.edges, mated[2].astype(np.float64), side="right") - 1
    size = (plan.cells, len(plan.grid.edges))
    flat = cell * size[1] + np.maximum(bins, 0)
    counts = np.bincount(flat, minlength=size[0] * size[1]).reshape(size)
    share = 1.0 / np.maximum(np.bincount(block, minlength=len(plan.left.subject)), 1)
    weights = np.bincount(flat, share[block], minlength=size[0] * size[1]).reshape(size)
    return counts.astype(np.int64), weights.astype(np.float64)


def _mated_sums(plan: Plan, mated: Mated, subjects: int) -> MatedSums:
    who = plan.left.subject[_subjects_at(plan.left, mated[0])]
    rungs = np.searchsorted(plan.grid.ladder, mated[2].astype(np.float64), side="right")
    levels = len(plan.grid.ladder) + 1
    by_rung = np.bincount(who * levels + rungs, minlength=subjects * levels).reshape(subjects, levels)
    matches = np.ascontiguousarray(np.cumsum(by_rung[:, :0:-1], axis=1)[:, ::-1].T, dtype=np.int64)
    return MatedSums(matches, np.bincount(who, minlength=subjects).astype(np.int64))


def _mated_low(plan: Plan, mated: Mated) -> TailPairs:
    left, right = plan.left.order[mated[0]], plan.right.order[mated[1]]
    if plan.symmetric:
        left, right = np.minimum(left, right), np.maximum(left, right)
    found = _ordered(mated[2], left, right, 1)
    return TailPairs(found.score[:MATED_LOW], found.left[:MATED_LOW], found.right[:MATED_LOW])


def _candidates(plan: Plan, best: Best, mated: Mated, mate: Float32Array) -> Candidates:
    back = np.empty(len(plan.left.order), np.int64)
    back[plan.left.order] = np.arange(len(back))
    own = np.bincount(mated[0], minlength=len(back)) + (plan.twin >= 0)
    rank = np.where(np.isneginf(mate), 0, 1 + best.above_mate)
    return Candidates(
        scores=best.score[back],
        references=best.reference[back],
        searched=(len(plan.right.order) - own)[back].astype(np.int64),
        counts=np.ascontiguousarray(best.counts[:, 1:].T[:, back]),
        mated_score=mate[back],
        mated_rank=rank[back],
    )

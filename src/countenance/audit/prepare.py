"""From two sides to a plan: the grid, the ladder from a pilot sample, the tail's first cut, the mated comparisons."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from countenance.audit import kernels
from countenance.audit.accumulate import TAIL
from countenance.audit.blas import one_thread
from countenance.audit.plan import MIN_BINS, PILOT, RUNGS, Grid, Plan, Side, make_grid, make_ladder
from countenance.audit.tallies import Float32Array, FloatArray, IntArray
from countenance.errors import InputError, NotEnoughDataError

__all__ = ["Mated", "mated_comparisons", "pair_sums", "prepare"]

MOST_BYTES = 8 << 30
Mated = tuple[IntArray, IntArray, Float32Array]


def prepare(
    left: Side,
    right: Side,
    symmetric: bool,
    twin_of: NDArray[np.int64],
    cells: int,
    euclidean: bool,
    thresholds: Sequence[float],
    seed: int,
) -> tuple[Plan, Mated]:
    """A plan and its mated comparisons; ``twin_of`` gives each left template's number on the right side, or -1.

    Raises NotEnoughDataError when no two different people would meet, InputError when there are more groups or photos
    of one person than fit into memory.
    """
    pairs = _subject_pairs(left, right, symmetric, cells)
    if not pairs.sum():
        raise NotEnoughDataError("templates: no two different people to compare; give photos of at least two subjects")
    _check_room(left, right, cells)
    place = np.empty(len(right.order), np.int64)
    place[right.order] = np.arange(len(right.order))
    twin = twin_of[left.order]
    twin = np.where(twin >= 0, place[twin], -1)
    scale, offset, base = make_grid(*_range(left, right, euclidean), len(pairs))
    bits = min(50, 62 - math.ceil(math.log2(int(pairs.sum()) + 1)))
    bare = Plan(left, right, symmetric, euclidean, Grid(scale, offset, base, base, base[:1]), twin, cells, pairs, bits)
    pilot = _pilot(bare, seed)
    mated = mated_comparisons(bare)
    edges, ladder = make_ladder(base, pilot, mated[2], thresholds)
    cut = _first_cut(pilot, base, int(pair_sums(left, right, symmetric, cells, 1).sum()))
    return replace(bare, grid=Grid(scale, offset, base, edges, ladder), tail_cut=cut), mated


def _check_room(left: Side, right: Side, cells: int) -> None:
    """Refuse what would take more memory than a machine has, before it is taken."""
    sums = (len(left.subject) + len(right.subject)) * cells * (len(RUNGS) + 10) * 20
    if sums > MOST_BYTES or cells**2 * MIN_BINS * 16 > MOST_BYTES:
        raise InputError(f"--by: {cells} combinations of groups are more than can be counted apart; name fewer columns")
    mated = int((left.sizes.astype(np.float64) ** 2).sum())
    if mated * 20 > MOST_BYTES:
        raise InputError(f"subject: {int(left.sizes.max())} photos of one person are too many; leave some out")


def _first_cut(pilot: Float32Array, base: FloatArray, comparisons: int) -> int:
    """The bin above which the pilot promises some four times as many comparisons as the tail may hold; it rises
    later."""
    if comparisons <= 2 * TAIL or pilot.size < 100:
        return 0
    place = max(50, math.ceil(pilot.size * 4 * TAIL / comparisons))
    if place >= pilot.size:
        return 0
    return max(int(np.searchsorted(base, np.partition(pilot, -place)[-place], side="right")) - 1, 0)


def _range(left: Side, right: Side, euclidean: bool) -> tuple[float, float]:
    """Lowest and highest score possible."""
    if not euclidean:
        return -1.0, 1.0
    centre = left.vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    reach = sum(math.sqrt(float(((s.vectors - centre) ** 2).sum(axis=1).max())) for s in (left, right))
    return -reach * 1.001, 0.0


def _subject_pairs(left: Side, right: Side, symmetric: bool, cells: int) -> IntArray:
    """(P,) non-mated subject pairs of each cell pair."""
    return pair_sums(left, right, symmetric, cells, 0)


def pair_sums(left: Side, right: Side, symmetric: bool, cells: int, power: int) -> IntArray:
    """(P,) sums of (m_i * m_j) ** power over the non-mated subject pairs of each cell pair; m counts templates."""
    a = np.bincount(left.cell, left.sizes.astype(np.float64) ** power, cells)
    b = np.bincount(right.cell, right.sizes.astype(np.float64) ** power, cells)
    _, i, j = np.intersect1d(left.subject, right.subject, assume_unique=True, return_indices=True)
    own = np.bincount(left.cell[i], (left.sizes[i] * right.sizes[j]).astype(np.float64) ** power, cells)
    full: FloatArray = np.subtract(np.outer(a, b), np.diag(own), dtype=np.float64)
    if not symmetric:
        return np.rint(full.ravel()).astype(np.int64)
    full[np.diag_indices(cells)] /= 2
    return np.rint(full[np.triu_indices(cells)]).astype(np.int64)


def _pilot(plan: Plan, seed: int) -> Float32Array:
    """Scores of random subjects, one template each, to place the ladder by."""
    random = np.random.default_rng(seed)
    chosen = []
    for side, most in ((plan.left, PILOT[0]), (plan.right, PILOT[1])):
        people = random.permutation(len(side.subject))[:most]
        chosen.append(
            (people, side.starts[people] + (random.random(len(people)) * side.sizes[people]).astype(np.int64))
        )
    (a, p), (b, q) = chosen
    with one_thread():  # the others would look out for more work for a while, and keep the pass from its cores
        scores = plan.left.vectors[p] @ plan.right.vectors[q].T
    for row, norm in zip(scores, plan.left.norms[p], strict=True):
        kernels.row_scores(row, norm, plan.right.norms[q], plan.euclidean)
    strangers: Float32Array = scores[plan.left.subject[a][:, None] != plan.right.subject[b][None, :]]
    return strangers


def mated_comparisons(plan: Plan) -> Mated:
    """(left position, right position, score) of every mated comparison, in the order of positions."""
    left, right = plan.left, plan.right
    begin, end = plan.mates
    if plan.symmetric:
        begin = np.arange(1, len(end) + 1)
    room = int((end - begin).sum())
    out = (np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.float32))
    count = kernels.mated_scores(left.vectors, right.vectors, plan.euclidean, begin, end, plan.twin, *out)
    return out[0][:count], out[1][:count], out[2][:count]

"""The one pass over all comparisons: templates in, tallies out."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.audit import kernels
from countenance.audit.accumulate import TAIL, Best, Sums, weights
from countenance.audit.plan import PILOT, PURE, Grid, Plan, Side, make_grid, make_ladder
from countenance.audit.tallies import (
    Candidates,
    DependenceSums,
    Failures,
    Float32Array,
    FloatArray,
    IntArray,
    MatedSums,
    Sides,
    Sweep,
    TailPairs,
    Tallies,
)
from countenance.audit.templates import TemplateSet
from countenance.audit.worker import Worker
from countenance.errors import InputError, NotEnoughDataError

__all__ = ["tally"]

Progress = Callable[[int, int], None]
MATED_LOW = 50_000
CHUNK = 1 << 20


def tally(
    templates: TemplateSet,
    *,
    probes: TemplateSet | None = None,
    gallery: TemplateSet | None = None,
    thresholds: Sequence[float] = (),
    seed: int = 0,
    progress: Progress | None = None,
    verification: bool = True,
    search: bool = True,
    threads: int | None = None,
) -> Tallies:
    """Compare, count, and forget the templates.

    Verification: all pairs within ``templates``. Search: ``probes`` (by default every one of ``templates``) against
    ``gallery`` (by default one reference per subject of ``templates``: the first photo). A probe never meets its own
    template. Subjects are the same person when their names are the same, in whichever set; a comparison with them is
    mated and never a false match.

    Scores are float32; a match at threshold T is ``float64(score) >= T``. ``thresholds`` and the system's documented
    one become exact rungs of the ladder. ``progress`` is told (comparisons done, comparisons in all). Same input, seed
    and machine: same tallies.

    Raises NotEnoughDataError when nobody can be compared, InputError when the sets do not fit together.
    """
    if templates.system.documented_threshold is not None:
        thresholds = [*thresholds, templates.system.documented_threshold]
    threads = threads or _cores()
    people = _People([s for s in (templates, probes, gallery) if s is not None])
    plans: dict[str, Plan] = {}
    sides: dict[str, tuple[Sides, Sides]] = {}
    if verification:
        everyone = np.arange(templates.count)
        side = people.side(templates, everyone)
        plans["verification"] = _plan(side, side, True, np.arange(templates.count), people, thresholds, seed)
        kept = people.sides(templates, everyone)
        sides["verification"] = (kept, kept)
    if search:
        found = templates if probes is None else probes
        wanted = templates if gallery is None else gallery
        chosen = _first_photos(templates) if gallery is None else np.arange(wanted.count)
        twin = np.full(found.count, -1)
        if found is wanted:
            twin[chosen] = np.arange(len(chosen))
        right = people.side(wanted, chosen)
        single = bool((right.sizes == 1).all())  # then few enough tiles are left when no tile mixes sizes
        left = people.side(found, np.arange(found.count), 1 if single else PURE)
        plans["search"] = _plan(left, right, False, twin, people, thresholds, seed)
        sides["search"] = (people.sides(found, np.arange(found.count)), people.sides(wanted, chosen))
    report = _Progress(progress, list(plans.values()))
    done = {name: _run(plan, *sides[name], people, name == "search", threads, report) for name, plan in plans.items()}
    return people.tallies(done.get("verification"), done.get("search"), seed)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Progress:
    """Counts comparisons of all sweeps together."""

    def __init__(self, tell: Progress | None, plans: Sequence[Plan]) -> None:
        self.tell, self.done = tell, 0
        self.total = sum(_tile_size(p, t) for p in plans for t in p.tiles)

    def add(self, plan: Plan, tile: tuple[int, int]) -> None:
        """One tile more is done."""
        self.done += _tile_size(plan, tile)
        if self.tell is not None:
            self.tell(self.done, self.total)


def _tile_size(plan: Plan, tile: tuple[int, int]) -> int:
    left, right = plan.left.panels[tile[0]], plan.right.panels[tile[1]]
    return (left.end - left.start) * (right.end - right.start)


class _People:
    """One numbering of subjects and cells for all sets: the same name is the same person."""

    def __init__(self, sets: list[TemplateSet]) -> None:
        self.sets = sets
        first = sets[0]
        for other in sets[1:]:
            if other.metric != first.metric or other.system.pipeline != first.system.pipeline:
                raise InputError("templates: the sets come from different systems; embed all photos with one model")
            if other.count and first.count and other.vectors.shape[1] != first.vectors.shape[1]:
                raise InputError(
                    f"templates: {first.vectors.shape[1]} and {other.vectors.shape[1]} numbers each; use one model"
                )
        self.names = tuple(dict.fromkeys(name for s in sets for name in s.subjects))
        number = {name: k for k, name in enumerate(self.names)}
        self.number = [np.array([number[n] for n in s.subjects], dtype=np.int64) for s in sets]
        self.columns = tuple(dict.fromkeys(c for s in sets for c in s.groups))
        self.notes = [note for s in sets for note in s.notes]
        labels = [self._labels(c) for c in self.columns]
        combined = list(zip(*labels, strict=True)) if labels else [()] * len(self.names)
        self.cells = tuple(sorted(set(combined), key=lambda cell: [(v is None, v or "") for v in cell]))
        at = {cell: k for k, cell in enumerate(self.cells)}
        self.cell = np.array([at[c] for c in combined], dtype=np.int64)

    def _labels(self, column: str) -> list[str | None]:
        """One label a person: the first set that has one; a conflict is noted and the first stands."""
        found: list[str | None] = [None] * len(self.names)
        conflicts = 0
        for numbers, given in zip(self.number, self.sets, strict=True):
            for k, label in zip(numbers, given.groups.get(column, ()), strict=False):
                conflicts += label is not None and found[k] is not None and found[k] != label
                found[k] = label if found[k] is None else found[k]
        if conflicts:
            self.notes.append(f"{column}: {conflicts} subjects have different labels in two sets; the first one counts")
        return found

    def _at(self, given: TemplateSet) -> IntArray:
        return self.number[next(k for k, s in enumerate(self.sets) if s is given)][given.subject]

    def side(self, given: TemplateSet, chosen: NDArray[np.int64], pure: int = PURE) -> Side:
        """The chosen templates, ready for a sweep."""
        return Side.make(given.vectors, chosen, given.metric == "cosine", self._at(given)[chosen], self.cell, pure)

    def sides(self, given: TemplateSet, chosen: NDArray[np.int64]) -> Sides:
        """Who the chosen templates are."""
        return Sides(self._at(given)[chosen], tuple(given.paths[k] for k in chosen))

    def _failures(self) -> Failures | None:
        """Of each person the most that any set counts: sets may hold the same photos, which must not count twice."""
        if all(s.failures is None for s in self.sets):
            return None
        photos, failed = (np.zeros(len(self.names), np.int64) for _ in range(2))
        for numbers, given in zip(self.number, self.sets, strict=True):
            made = np.bincount(given.subject, minlength=len(numbers))
            tried = given.failures or Failures(made, np.zeros_like(made))
            photos[numbers] = np.maximum(photos[numbers], tried.photos)
            failed[numbers] = np.maximum(failed[numbers], tried.failed)
        return Failures(photos, failed)

    def tallies(self, verification: Sweep | None, search: Sweep | None, seed: int) -> Tallies:
        """The finished sweeps with who took part."""
        inputs = {k: v for s in reversed(self.sets) for k, v in s.inputs.items()} | {"seed": seed}
        return Tallies(
            system=replace(self.sets[0].system, metric=self.sets[0].system.metric or self.sets[0].metric),
            columns=self.columns,
            cells=self.cells,
            cell=self.cell,
            verification=verification,
            search=search,
            failures=self._failures(),
            names=self.names,
            inputs=inputs,
            notes=tuple(dict.fromkeys(self.notes)),
        )


def _first_photos(templates: TemplateSet) -> IntArray:
    """The first template of each subject, in the order of the templates."""
    return np.sort(np.unique(templates.subject, return_index=True)[1]).astype(np.int64)


def _plan(
    left: Side,
    right: Side,
    symmetric: bool,
    twin_of: NDArray[np.int64],
    people: _People,
    thresholds: Sequence[float],
    seed: int,
) -> Plan:
    cells = len(people.cells)
    pairs = _subject_pairs(left, right, symmetric, cells)
    if not pairs.sum():
        raise NotEnoughDataError("templates: no two different people to compare; give photos of at least two subjects")
    place = np.empty(len(right.order), np.int64)
    place[right.order] = np.arange(len(right.order))
    twin = twin_of[left.order]
    twin = np.where(twin >= 0, place[twin], -1)
    euclidean = people.sets[0].metric == "euclidean"
    scale, offset, base = make_grid(*_range(left, right, euclidean), len(pairs))
    bits = min(50, 62 - math.ceil(math.log2(int(pairs.sum()) + 1)))
    bare = Plan(left, right, symmetric, euclidean, Grid(scale, offset, base, base, base[:1]), twin, cells, pairs, bits)
    pilot = _pilot(bare, seed)
    edges, ladder = make_ladder(base, pilot, mated_comparisons(bare)[2], thresholds)
    cut = _first_cut(pilot, base, int(_pair_sums(left, right, symmetric, cells, 1).sum()))
    return replace(bare, grid=Grid(scale, offset, base, edges, ladder), tail_cut=cut)


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
    return _pair_sums(left, right, symmetric, cells, 0)


def _pair_sums(left: Side, right: Side, symmetric: bool, cells: int, power: int) -> IntArray:
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
    scores = plan.left.vectors[p] @ plan.right.vectors[q].T
    for row, norm in zip(scores, plan.left.norms[p], strict=True):
        kernels.row_scores(row, norm, plan.right.norms[q], plan.euclidean)
    strangers: Float32Array = scores[plan.left.subject[a][:, None] != plan.right.subject[b][None, :]]
    return strangers


def mated_comparisons(plan: Plan) -> tuple[IntArray, IntArray, Float32Array]:
    """(left position, right position, score) of every mated comparison, in the order of positions."""
    left, right = plan.left, plan.right
    begin, end = plan.mates
    if plan.symmetric:
        begin = np.arange(1, len(end) + 1)
    room = int((end - begin).sum())
    out = (np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.float32))
    _, count = kernels.mated_scores(left.vectors, right.vectors, plan.euclidean, 0, begin, end, plan.twin, *out)
    return out[0][:count], out[1][:count], out[2][:count]


def _run(
    plan: Plan, left: Sides, right: Sides, people: _People, search: bool, threads: int, report: _Progress
) -> Sweep:
    mated = mated_comparisons(plan)
    mate = _best_mates(plan, mated) if search else None
    with ThreadPoolExecutor(threads) as pool:
        worker = Worker(plan, mate, pool, threads)
        for tile in plan.tiles:
            worker.count(tile)
            report.add(plan, tile)
    return _finish(plan, worker.sums, mated, mate, left, right, people)


def _best_mates(plan: Plan, mated: tuple[IntArray, IntArray, Float32Array]) -> Float32Array:
    best = np.full(len(plan.left.order), -np.inf, np.float32)
    np.maximum.at(best, mated[0], mated[2])
    return best


def _finish(
    plan: Plan,
    sums: Sums,
    mated: tuple[IntArray, IntArray, Float32Array],
    mate: Float32Array | None,
    left: Sides,
    right: Sides,
    people: _People,
) -> Sweep:
    tail = sums.tail.shortened(plan)
    score, first, second = tail.whole
    if plan.symmetric:
        first, second = np.minimum(first, second), np.maximum(first, second)
    nonmated, weight = _split(plan, sums)
    return Sweep(
        symmetric=plan.symmetric,
        grid=plan.grid.edges,
        ladder=plan.grid.ladder,
        cell_pairs=_cell_pairs(plan),
        pairs=plan.pairs,
        nonmated=nonmated,
        nonmated_weight=weight,
        mated=_mated_counts(plan, mated)[0],
        mated_weight=_mated_counts(plan, mated)[1],
        left=left,
        right=right,
        dependence=_dependence(plan, sums, len(people.names)),
        mated_sums=_mated_sums(plan, mated, len(people.names)),
        tail_cut=float(plan.grid.base[tail.cut]) if tail.cut < len(plan.grid.base) else math.inf,
        tail=_ordered(score, first, second, -1),
        mated_low=_mated_low(plan, mated),
        candidates=None if mate is None or sums.best is None else _candidates(plan, sums.best, mated, mate),
    )


def _ordered(score: Float32Array, left: IntArray, right: IntArray, sign: int) -> TailPairs:
    order = np.lexsort((right, left, sign * score))
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
    by_cell = np.zeros((plan.cells, *rows.shape[1:]), np.int64)
    for cell in range(plan.cells):
        by_cell[cell] = rows[plan.left.cell == cell].sum(axis=0, dtype=np.int64)
    reached = by_cell[..., 1:]
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
        size_squares=_pair_sums(plan.left, plan.right, plan.symmetric, plan.cells, 2).astype(np.float64),
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
    reached = counts[..., 1:]
    row_counts[:, side.subject] = np.moveaxis(reached, -1, 0)
    shares = weights(plan, reached, weighted[..., 1:])
    rows[:, side.subject] = np.moveaxis(shares, -1, 0)
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


def _mated_counts(plan: Plan, mated: tuple[IntArray, IntArray, Float32Array]) -> tuple[IntArray, FloatArray]:
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


def _mated_sums(plan: Plan, mated: tuple[IntArray, IntArray, Float32Array], subjects: int) -> MatedSums:
    who = plan.left.subject[_subjects_at(plan.left, mated[0])]
    rungs = np.searchsorted(plan.grid.ladder, mated[2].astype(np.float64), side="right")
    levels = len(plan.grid.ladder) + 1
    by_rung = np.bincount(who * levels + rungs, minlength=subjects * levels).reshape(subjects, levels)
    matches = np.ascontiguousarray(np.cumsum(by_rung[:, :0:-1], axis=1)[:, ::-1].T, dtype=np.int64)
    return MatedSums(matches, np.bincount(who, minlength=subjects).astype(np.int64))


def _mated_low(plan: Plan, mated: tuple[IntArray, IntArray, Float32Array]) -> TailPairs:
    left, right = plan.left.order[mated[0]], plan.right.order[mated[1]]
    if plan.symmetric:
        left, right = np.minimum(left, right), np.maximum(left, right)
    found = _ordered(mated[2], left, right, 1)
    return TailPairs(found.score[:MATED_LOW], found.left[:MATED_LOW], found.right[:MATED_LOW])


def _candidates(
    plan: Plan, best: Best, mated: tuple[IntArray, IntArray, Float32Array], mate: Float32Array
) -> Candidates:
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

"""One sweep over the comparisons of a table of scores, summed part by part.

A part holds all comparisons of its pairs of people. It is gone through twice: first to count (`Sums.count`), after
which the ladder is chosen, then for the sums over people at the ladder's thresholds (`Sums.add`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.audit.tallies import (
    Candidates,
    DependenceSums,
    FloatArray,
    IntArray,
    MatedSums,
    Sides,
    Sweep,
    TailPairs,
)

TAIL = 100_000  # non-mated comparisons listed at most
LOW = 1_000  # mated comparisons listed at most
BEST = 10  # references kept for each probe
Records = NDArray[Any]


class Sums:
    """Counts and sums of one sweep.

    ``cell`` (S,) is each subject's cell of ``cells``. ``symmetric``: pairs of people are unordered; otherwise they are
    (probe's subject, reference's subject).
    """

    def __init__(self, grid: FloatArray, cell: IntArray, cells: int, symmetric: bool) -> None:
        self.grid, self.cell, self.cells, self.symmetric = grid, cell, cells, symmetric
        pairs = [(a, b) for a in range(cells) for b in range(a if symmetric else 0, cells)]
        self.cell_pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        self._pair_of = np.zeros((cells, cells), dtype=np.int64)
        for number, (a, b) in enumerate(pairs):
            self._pair_of[a, b] = number
            if symmetric:
                self._pair_of[b, a] = number
        shape = (len(pairs), len(grid))
        self.nonmated, self.nonmated_weight = np.zeros(shape, np.int64), np.zeros(shape)
        self.mated, self.mated_weight = np.zeros((cells, len(grid)), np.int64), np.zeros((cells, len(grid)))
        self.pairs = np.zeros(len(pairs), np.int64)

    def count(self, rows: Records) -> None:
        """First pass: the histograms of one part."""
        if not len(rows):
            return
        part = _Part(rows, self.symmetric)
        at = np.searchsorted(self.grid, part.score, side="right") - 1
        weight = np.repeat(1.0 / part.n, part.n)
        mated = np.repeat(part.mated, part.n)
        which = np.repeat(self._pair_of[self.cell[part.a], self.cell[part.b]], part.n)
        own = np.repeat(self.cell[part.a], part.n)
        for rows_in, place, counts, weights in (
            (~mated, which, self.nonmated, self.nonmated_weight),
            (mated, own, self.mated, self.mated_weight),
        ):
            _add(counts, weights, place[rows_in], at[rows_in], weight[rows_in])
        strangers = ~part.mated
        self.pairs += np.bincount(
            self._pair_of[self.cell[part.a[strangers]], self.cell[part.b[strangers]]], minlength=len(self.pairs)
        )

    def begin(self, ladder: FloatArray) -> None:
        """Between the passes: the thresholds at which sums over people are kept, and where the lists are cut."""
        self.ladder = ladder
        rungs, people = len(ladder), len(self.cell)
        sides = 1 if self.symmetric else 2
        self._x = np.zeros((sides, rungs, people * self.cells))
        self._c = np.zeros((sides, rungs, people * self.cells), np.int64)
        self._partners = np.zeros((sides, people * self.cells), np.int64)
        self._comparisons = np.zeros((sides, people * self.cells), np.int64)
        self._squares, self._count_squares, self._cross = np.zeros((3, rungs, len(self.pairs)))
        self._size_squares = np.zeros(len(self.pairs))
        self._matches = np.zeros((rungs, people), np.int64)
        self._mated_made = np.zeros(people, np.int64)
        self.tail_cut = _cut_above(self.grid, self.nonmated.sum(axis=0), TAIL)
        self._low_cut = _cut_below(self.grid, self.mated.sum(axis=0), LOW)
        self._tail: list[Records] = []
        self._low: list[Records] = []

    def add(self, rows: Records) -> None:
        """Second pass: the sums over people of one part."""
        if not len(rows):
            return
        stranger = rows["a"] != rows["b"]
        self._tail.append(rows[stranger & (rows["score"] >= self.tail_cut)])
        self._low.append(rows[~stranger & (rows["score"] < self._low_cut)])
        part = _Part(rows, self.symmetric)
        self._add_mated(part)
        self._add_strangers(part)

    def _add_mated(self, part: "_Part") -> None:
        who, n = part.a[part.mated], part.n[part.mated]
        self._mated_made[who] += n
        for rung, threshold in enumerate(self.ladder):
            self._matches[rung, who] += part.matches(threshold)[part.mated]

    def _add_strangers(self, part: "_Part") -> None:
        chosen = ~part.mated
        a, b, n = part.a[chosen], part.b[chosen], part.n[chosen]
        which = self._pair_of[self.cell[a], self.cell[b]]
        self._size_squares += np.bincount(which, n.astype(np.float64) ** 2, len(self.pairs))
        ends = self._places(a, b)
        for side, place in ends:
            np.add.at(self._partners[side], place, 1)
            np.add.at(self._comparisons[side], place, n)
        for rung, threshold in enumerate(self.ladder):
            c = part.matches(threshold)[chosen]
            hit = np.flatnonzero(c)
            if not len(hit):
                continue
            matched, made, cell_pair = c[hit], n[hit].astype(np.float64), which[hit]
            x = matched / made
            size = len(self.pairs)
            self._squares[rung] += np.bincount(cell_pair, x**2, size)
            self._count_squares[rung] += np.bincount(cell_pair, matched.astype(np.float64) ** 2, size)
            self._cross[rung] += np.bincount(cell_pair, matched * made, size)
            for side, place in ends:
                np.add.at(self._x[side, rung], place[hit], x)
                np.add.at(self._c[side, rung], place[hit], matched)

    def _places(self, a: IntArray, b: IntArray) -> list[tuple[int, IntArray]]:
        """Where each pair is summed: (side, subject and partner's cell), for both people of the pair."""
        return [
            (0, a * self.cells + self.cell[b]),
            (0 if self.symmetric else 1, b * self.cells + self.cell[a]),
        ]

    def sweep(self, left: Sides, right: Sides, numbers: Any, candidates: Candidates | None = None) -> Sweep:
        """The finished sweep. ``numbers`` gives the template numbers (left, right) of some rows."""
        shape = (len(self.ladder), len(self.cell), self.cells)
        columns: dict[str, Any] = {}
        if not self.symmetric:
            columns = {
                "column_rows": self._x[1].reshape(shape).astype(np.float32),
                "column_counts": self._c[1].reshape(shape),
                "column_pairs": self._partners[1].reshape(shape[1:]),
                "column_comparisons": self._comparisons[1].reshape(shape[1:]),
            }
        dependence = DependenceSums(
            rows=self._x[0].reshape(shape).astype(np.float32),
            row_counts=self._c[0].reshape(shape),
            row_pairs=self._partners[0].reshape(shape[1:]),
            row_comparisons=self._comparisons[0].reshape(shape[1:]),
            squares=self._squares,
            count_squares=self._count_squares,
            count_cross=self._cross,
            size_squares=self._size_squares,
            **columns,
        )
        tail, right_too = _apart(_listed(self._tail, numbers, -1), right)
        low, right_too = _apart(_listed(self._low, numbers, 1), right_too)
        return Sweep(
            **self.counted(),
            left=right_too if left is right else left,
            right=right_too,
            dependence=dependence,
            mated_sums=MatedSums(self._matches, self._mated_made),
            tail_cut=self.tail_cut,
            tail=tail,
            mated_low=low,
            candidates=candidates,
        )

    def counted(self) -> dict[str, Any]:
        """What the first pass found, as fields of a Sweep; the ladder, once it is chosen."""
        return {
            "symmetric": self.symmetric,
            "grid": self.grid,
            "ladder": getattr(self, "ladder", self.grid[:0]),
            "cell_pairs": self.cell_pairs,
            "pairs": self.pairs,
            "nonmated": self.nonmated,
            "nonmated_weight": self.nonmated_weight,
            "mated": self.mated,
            "mated_weight": self.mated_weight,
        }


class _Part:
    """The rows of a part by pair of people: ``a``, ``b`` (k,) subjects, ``n`` (k,) comparisons, ``score`` in order."""

    def __init__(self, rows: Records, symmetric: bool) -> None:
        one, two = rows["a"].astype(np.int64), rows["b"].astype(np.int64)
        if symmetric:
            one, two = np.minimum(one, two), np.maximum(one, two)
        key = (one << 32) | two
        order = np.argsort(key, kind="stable")
        key = key[order]
        self.score: FloatArray = rows["score"][order]
        self._first: IntArray = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        self.n: IntArray = np.diff(np.append(self._first, len(key)))
        self.a: IntArray = key[self._first] >> 32
        self.b: IntArray = key[self._first] & 0xFFFFFFFF
        self.mated: NDArray[np.bool_] = self.a == self.b

    def matches(self, threshold: float) -> IntArray:
        """(k,) comparisons with ``score >= threshold``."""
        return np.add.reduceat((self.score >= threshold).astype(np.int64), self._first)


class Search:
    """Probe by probe: the best references, how many were met, and the best mate. Fed like `Sums`, in two passes."""

    def __init__(self, probes: int, references: int) -> None:
        self.searched = np.zeros(probes, np.int64)
        self.mated_score = np.full(probes, -np.inf)
        width = min(BEST, references)
        self.scores = np.full((probes, width), -np.inf)
        self.references = np.full((probes, width), -1, np.int64)

    def count(self, rows: Records) -> None:
        """First pass."""
        stranger = rows["a"] != rows["b"]
        self.searched += np.bincount(rows["p"][stranger], minlength=len(self.searched))
        np.maximum.at(self.mated_score, rows["p"][~stranger], rows["score"][~stranger])

    def begin(self, ladder: FloatArray) -> None:
        """Between the passes."""
        self.ladder = ladder
        self.counts = np.zeros((len(ladder), len(self.searched)), np.int64)
        self.rank = np.where(self.mated_score > -np.inf, 1, 0)

    def add(self, rows: Records) -> None:
        """Second pass."""
        strangers = rows[rows["a"] != rows["b"]]
        if not len(strangers):
            return
        probe, score = strangers["p"].astype(np.int64), strangers["score"]
        for rung, threshold in enumerate(self.ladder):
            self.counts[rung] += np.bincount(probe[score >= threshold], minlength=len(self.searched))
        above = probe[(score >= self.mated_score[probe]) & (self.rank[probe] > 0)]
        self.rank += np.bincount(above, minlength=len(self.searched))
        self._keep_best(probe, strangers["r"].astype(np.int64), score)

    def _keep_best(self, probe: IntArray, reference: IntArray, score: FloatArray) -> None:
        width = self.scores.shape[1]
        hopeful = score >= self.scores[probe, -1]
        probe, reference, score = probe[hopeful], reference[hopeful], score[hopeful]
        touched = np.unique(probe)
        probe = np.concatenate([probe, np.repeat(touched, width)])
        reference = np.concatenate([reference, self.references[touched].ravel()])
        score = np.concatenate([score, self.scores[touched].ravel()])
        order = np.lexsort((reference, -score, probe))
        probe, reference, score = probe[order], reference[order], score[order]
        first = np.flatnonzero(np.append(True, probe[1:] != probe[:-1])) if len(probe) else np.empty(0, np.int64)
        place = np.arange(len(probe)) - np.repeat(first, np.diff(np.append(first, len(probe))))
        kept = place < width
        self.scores[probe[kept], place[kept]] = score[kept]
        self.references[probe[kept], place[kept]] = reference[kept]

    def candidates(self) -> Candidates:
        """What was found. Scores are float64 here: a table's scores are compared as they were written."""
        scores: Any = self.scores
        mated: Any = self.mated_score
        return Candidates(scores, self.references, self.searched, self.counts, mated, self.rank)


def _add(counts: IntArray, weights: FloatArray, place: IntArray, at: IntArray, weight: FloatArray) -> None:
    flat = place * counts.shape[1] + at
    if len(flat) * 4 > counts.size:
        counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
        weights += np.bincount(flat, weight, counts.size).reshape(counts.shape)
    else:
        np.add.at(counts.ravel(), flat, 1)
        np.add.at(weights.ravel(), flat, weight)


def _cut_above(grid: FloatArray, counts: IntArray, most: int) -> float:
    """The smallest grid value at or above which at most ``most`` comparisons lie."""
    above = counts[::-1].cumsum()[::-1]
    return float(grid[np.flatnonzero(above <= most)[0]])  # the last grid value lies above all scores


def _cut_below(grid: FloatArray, counts: IntArray, most: int) -> float:
    """The largest grid value below which at most ``most`` comparisons lie."""
    below = np.append(0, counts.cumsum()[:-1])
    return float(grid[np.flatnonzero(below <= most)[-1]])


def _apart(pairs: TailPairs, side: Sides) -> tuple[TailPairs, Sides]:
    """The pairs, each once: where two samples were compared again, the right one gets another number in ``side``."""
    key = (pairs.left << 32) | pairs.right
    order = np.argsort(key, kind="stable")
    again = order[1:][key[order][1:] == key[order][:-1]]
    if not len(again):
        return pairs, side
    same = pairs.right[again]
    right = pairs.right.copy()
    right[again] = len(side.subject) + np.arange(len(again))
    paths = None if side.paths is None else (*side.paths, *(side.paths[k] for k in same))
    direction = -1 if pairs.score[0] > pairs.score[-1] else 1
    order = np.lexsort((right, pairs.left, direction * pairs.score))
    apart = TailPairs(pairs.score[order], pairs.left[order], right[order])
    return apart, Sides(np.concatenate([side.subject, side.subject[same]]), paths)


def _listed(parts: list[Records], numbers: Any, direction: int) -> TailPairs:
    rows = np.concatenate(parts) if parts else np.empty(0, dtype=[("score", "f8")])
    left, right = numbers(rows) if len(rows) else (np.empty(0, np.int64), np.empty(0, np.int64))
    order = np.lexsort((right, left, direction * rows["score"]))
    score: Any = rows["score"][order]
    return TailPairs(score, left[order], right[order])

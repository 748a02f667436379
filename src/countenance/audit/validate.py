"""Do tallies add up? Every field against its shape, its sign, and the fields that count the same comparisons.

Run before tallies are saved and after they are loaded: a certificate is computed from a file of tallies, so a file in
which the row sums, the tail and the histogram disagree is refused, whether damaged or edited.
"""

from dataclasses import fields
from typing import Any

import numpy as np

from countenance.audit.tallies import Float32Array, FloatArray, IntArray, Sides, Sweep, TailPairs, Tallies
from countenance.errors import TalliesError

__all__ = ["validate"]


def validate(tallies: Tallies) -> None:
    """Raise TalliesError, naming the field, when anything does not add up."""
    count = len(tallies.cell)
    _need(len(set(tallies.columns)) == len(tallies.columns), "columns", "a column stands there twice")
    _need(len(set(tallies.cells)) == len(tallies.cells), "cells", "a cell stands there twice")
    _need(all(len(c) == len(tallies.columns) for c in tallies.cells), "cells", "not one label for each column")
    _need(tallies.cell.shape == (count,), "cell", "not one number for each subject")
    _inside(tallies.cell, len(tallies.cells), "cell")
    if tallies.names is not None:
        _need(len(set(tallies.names)) == len(tallies.names) == count, "names", "not one name for each subject")
    if tallies.failures is not None:
        photos, failed = tallies.failures.photos, tallies.failures.failed
        _need(photos.shape == failed.shape == (count,), "failures", "not one count for each subject")
        _need(
            bool(((failed >= 0) & (failed <= photos)).all()),
            "failures",
            "more failed than were attempted, or less than 0",
        )
    for name in ("verification", "search"):
        sweep = getattr(tallies, name)
        if sweep is not None:
            _Checker(name, sweep, tallies).check()


def _need(sound: bool, field: str, why: str) -> None:
    if not sound:
        raise TalliesError(f"{field}: {why}; the tallies are damaged or were edited, make them again")


def _inside(numbers: IntArray, end: int, field: str) -> None:
    _need(bool(((numbers >= 0) & (numbers < end)).all()), field, f"a number outside 0 to {end - 1}")


class _Checker:
    """One sweep. ``at`` are the places of the ladder on the grid."""

    def __init__(self, name: str, sweep: Sweep, tallies: Tallies) -> None:
        self.name, self.sweep, self.tallies = name, sweep, tallies
        self.subjects, self.cells = len(tallies.cell), len(tallies.cells)

    def need(self, sound: Any, field: str, why: str) -> None:
        """`_need`, with the sweep's name."""
        _need(bool(sound), f"{self.name}.{field}", why)

    def check(self) -> None:
        """Everything, from the outside in."""
        self._frame()
        self._shapes()
        self._signs()
        self.at = np.searchsorted(self.sweep.grid, self.sweep.ladder)
        reached = np.cumsum(self.sweep.nonmated[:, ::-1], axis=1)[:, ::-1]
        self.reached = reached[:, self.at]
        weights = np.cumsum(self.sweep.nonmated_weight[:, ::-1], axis=1)[:, ::-1]
        self.need(
            np.allclose(weights[:, 0], self._weight_total(), rtol=1e-6), "nonmated_weight", "weights that do not sum up"
        )
        self._sides()
        if self.sweep.dependence is not None:
            self._dependence(weights[:, self.at])
        if self.sweep.mated_sums is not None:
            self._mated()
        self._tails()
        if self.sweep.candidates is not None:
            self._candidates()

    def _weight_total(self) -> FloatArray:
        """A subject pair weighs 1; without subjects, a comparison does."""
        sweep = self.sweep
        return (sweep.pairs if sweep.has_subjects else sweep.nonmated.sum(axis=1)).astype(np.float64)

    def _frame(self) -> None:
        sweep = self.sweep
        for field in ("grid", "ladder"):
            values = getattr(sweep, field)
            self.need(values.ndim == 1 and values.size, field, "not a row of numbers")
            self.need(np.isfinite(values).all() and (np.diff(values) > 0).all(), field, "not finite and rising")
        self.need(np.isin(sweep.ladder, sweep.grid).all(), "ladder", "a threshold that is not on the grid")
        pairs = sweep.cell_pairs
        self.need(pairs.ndim == 2 and pairs.shape[1] == 2, "cell_pairs", "not pairs")
        _inside(pairs, self.cells, f"{self.name}.cell_pairs")
        self.need(len({tuple(p) for p in pairs.tolist()}) == len(pairs), "cell_pairs", "a pair stands there twice")
        self.need(
            not sweep.symmetric or (pairs[:, 0] <= pairs[:, 1]).all(), "cell_pairs", "an unordered pair turned round"
        )

    def _shapes(self) -> None:
        """Every array has the shape that tallies.py gives it."""
        sweep, L, P, S, C = self.sweep, len(self.sweep.ladder), len(self.sweep.cell_pairs), self.subjects, self.cells
        B = len(sweep.grid)
        lefts = len(sweep.left.subject) if sweep.left else 0
        wanted: dict[str, tuple[int, ...]] = {"pairs": (P,), "nonmated": (P, B), "nonmated_weight": (P, B)}
        wanted |= {"mated": (C, B), "mated_weight": (C, B)}
        margin = {"rows": (L, S, C), "counts": (L, S, C), "pairs": (S, C), "comparisons": (S, C)}
        wanted |= {f"dependence.column_{k}": v for k, v in margin.items()}
        wanted |= {"dependence.rows": (L, S, C)} | {f"dependence.row_{k}": v for k, v in margin.items() if k != "rows"}
        wanted |= {f"dependence.{k}": (L, P) for k in ("squares", "count_squares", "count_cross")}
        wanted |= {"dependence.size_squares": (P,), "mated_sums.matches": (L, S), "mated_sums.comparisons": (S,)}
        best = sweep.candidates.scores.shape[1:] if sweep.candidates else ()
        wanted |= {"candidates.scores": (lefts, *best), "candidates.references": (lefts, *best)}
        wanted |= {f"candidates.{k}": (lefts,) for k in ("searched", "mated_score", "mated_rank")}
        wanted |= {"candidates.counts": (L, lefts)}
        for field, shape in wanted.items():
            part, _, leaf = field.rpartition(".")
            holder = getattr(sweep, part) if part else sweep
            array = None if holder is None else getattr(holder, leaf)
            self.need(array is None or array.shape == shape, field, f"not of the shape {shape}")
        if sweep.dependence is not None:
            columns = [getattr(sweep.dependence, f"column_{k}") is None for k in margin]
            self.need(columns == [sweep.symmetric] * 4, "dependence.columns", "belong to a search, all of them")

    def _signs(self) -> None:
        """Counts and weights are finite and not negative."""
        sweep = self.sweep
        holders = [("", sweep), ("dependence.", sweep.dependence), ("mated_sums.", sweep.mated_sums)]
        for prefix, holder in holders:
            for f in fields(holder) if holder is not None else ():
                array = getattr(holder, f.name)
                if isinstance(array, np.ndarray) and f.name not in {"grid", "ladder"}:
                    self.need(
                        np.isfinite(array).all() and (array >= 0).all(), prefix + f.name, "below zero or not finite"
                    )

    def _sides(self) -> None:
        for part in ("left", "right"):
            side: Sides | None = getattr(self.sweep, part)
            if side is None:
                continue
            self.need(side.subject.ndim == 1, f"{part}.subject", "not a row of numbers")
            _inside(side.subject, self.subjects, f"{self.name}.{part}.subject")
            self.need(
                side.paths is None or len(side.paths) == len(side.subject), f"{part}.paths", "not one for each template"
            )

    def _by_pair(self, per_subject: Any, columns: bool = False) -> Any:
        """(..., P) sums over each cell pair of (..., S, C), where in a symmetric sweep both ends of a pair count it."""
        by_cell = np.zeros((*per_subject.shape[:-2], self.cells, self.cells), per_subject.dtype)
        for cell in range(self.cells):
            by_cell[..., cell, :] = per_subject[..., self.tallies.cell == cell, :].sum(axis=-2, dtype=per_subject.dtype)
        a, b = self.sweep.cell_pairs.T[::-1] if columns else self.sweep.cell_pairs.T
        found = by_cell[..., a, b]
        return np.where(a == b, found / 2, found) if self.sweep.symmetric else found

    def _dependence(self, weights: FloatArray) -> None:
        sums, sweep = self.sweep.dependence, self.sweep
        assert sums is not None  # noqa: S101
        margins = [("row", sums.rows, sums.row_counts, sums.row_pairs, sums.row_comparisons)]
        if not sweep.symmetric:
            assert sums.column_rows is not None and sums.column_counts is not None  # noqa: S101, PT018
            assert sums.column_pairs is not None and sums.column_comparisons is not None  # noqa: S101, PT018
            columns = (sums.column_rows, sums.column_counts, sums.column_pairs, sums.column_comparisons)
            margins.append(("column", *columns))
        for name, rows, counts, pairs, comparisons in margins:
            field, turned = f"dependence.{name}", name == "column"
            self.need(
                (self._by_pair(pairs, turned) == sweep.pairs).all(),
                f"{field}_pairs",
                "do not sum to the pairs compared",
            )
            total = sweep.nonmated.sum(axis=1)
            self.need(
                (self._by_pair(comparisons, turned) == total).all(),
                f"{field}_comparisons",
                "do not sum to the histogram",
            )
            self.need(
                (self.reached == self._by_pair(counts, turned).T).all(),
                f"{field}_counts",
                "disagree with the histogram",
            )
            shares = self._by_pair(rows.astype(np.float64), turned).T
            self.need(np.allclose(shares, weights, rtol=1e-4, atol=1e-6), f"{field}s", "disagree with the histogram")
            self.need((np.diff(counts, axis=0) <= 0).all(), f"{field}_counts", "rise with the threshold")
        self.need(
            (sums.squares <= weights.T * (1 + 1e-6) + 1e-6).all(), "dependence.squares", "larger than their roots allow"
        )
        self.need(
            (sums.count_squares <= sums.count_cross).all(), "dependence.count_squares", "larger than the cross sums"
        )
        self.need(
            (sums.count_cross <= sums.size_squares).all(), "dependence.count_cross", "larger than the sizes allow"
        )

    def _mated(self) -> None:
        sums = self.sweep.mated_sums
        assert sums is not None  # noqa: S101
        reached = np.cumsum(self.sweep.mated[:, ::-1], axis=1)[:, ::-1]
        for cell in range(self.cells):
            mine = self.tallies.cell == cell
            total = sums.comparisons[mine].sum()
            self.need(total == reached[cell, 0], "mated_sums.comparisons", "do not sum to the histogram")
            matches = sums.matches[:, mine].sum(axis=1)
            self.need((matches == reached[cell, self.at]).all(), "mated_sums.matches", "disagree with the histogram")
        self.need((sums.matches <= sums.comparisons).all(), "mated_sums.matches", "more than comparisons")

    def _tails(self) -> None:
        sweep = self.sweep
        self.need(
            (sweep.tail is None) == (sweep.tail_cut is None), "tail_cut", "stands without the tail, or is missing"
        )
        if sweep.tail is not None:
            cut = sweep.tail_cut
            assert cut is not None  # noqa: S101
            self._pairs("tail", sweep.tail, -1)
            self.need((sweep.tail.score >= cut).all(), "tail.score", "below the cut")
            at = np.searchsorted(sweep.grid, cut)
            beyond = at == len(sweep.grid)
            self.need(beyond or sweep.grid[at] == cut, "tail_cut", "is not on the grid")
            above = np.arange(len(sweep.grid)) >= at
            listed = np.where(above, sweep.nonmated, 0)
            self.need(
                (self._tail_counts(sweep.tail) == listed).all(), "tail", "disagrees with the histogram above its cut"
            )
        if sweep.mated_low is not None:
            who = self._pairs("mated_low", sweep.mated_low, 1)
            self.need((who[0] == who[1]).all(), "mated_low", "holds two different people")
            self._low_counts(sweep.mated_low, who[0])

    def _pairs(self, field: str, pairs: TailPairs, sign: int) -> tuple[IntArray, IntArray]:
        """The subjects of both ends, after checks of shape, range and order."""
        left, right = self.sweep.left, self.sweep.right
        self.need(left is not None and right is not None, field, "stands without the sides it numbers")
        assert left is not None and right is not None  # noqa: S101, PT018
        shapes = {pairs.score.shape, pairs.left.shape, pairs.right.shape}
        self.need(shapes == {(pairs.score.size,)}, field, "lists of different length")
        _inside(pairs.left, len(left.subject), f"{self.name}.{field}.left")
        _inside(pairs.right, len(right.subject), f"{self.name}.{field}.right")
        self.need(np.isfinite(pairs.score).all(), f"{field}.score", "not finite")
        order = np.lexsort((pairs.right, pairs.left, sign * pairs.score))
        self.need((order == np.arange(order.size)).all(), field, "not in the order of scores")
        again = (np.diff(pairs.left) == 0) & (np.diff(pairs.right) == 0)
        self.need(not again.any(), field, "a comparison stands there twice")
        return left.subject[pairs.left], right.subject[pairs.right]

    def _tail_counts(self, tail: TailPairs) -> IntArray:
        """(P, B) entries of each cell pair and bin."""
        left, right = self.sweep.left, self.sweep.right
        assert left is not None and right is not None  # noqa: S101, PT018
        a, b = self.tallies.cell[left.subject[tail.left]], self.tallies.cell[right.subject[tail.right]]
        self.need((left.subject[tail.left] != right.subject[tail.right]).all(), "tail", "holds a person with themself")
        if self.sweep.symmetric:
            a, b = np.minimum(a, b), np.maximum(a, b)
        number = np.full((self.cells, self.cells), -1)
        number[tuple(self.sweep.cell_pairs.T)] = np.arange(len(self.sweep.cell_pairs))
        self.need((number[a, b] >= 0).all(), "tail", "holds a cell pair that is not there")
        return self._binned(number[a, b], tail.score, len(self.sweep.cell_pairs))

    def _binned(self, rows: IntArray, scores: Float32Array, count: int) -> IntArray:
        """(count, B) how many scores lie in each row and bin."""
        bins = np.maximum(np.searchsorted(self.sweep.grid, scores.astype(np.float64), side="right") - 1, 0)
        width = len(self.sweep.grid)
        return np.bincount(rows * width + bins, minlength=count * width).reshape(count, width)

    def _low_counts(self, low: TailPairs, who: IntArray) -> None:
        """Complete up to the bin before that of the last entry, and no more than there are from then on."""
        listed = self._binned(self.tallies.cell[who], low.score, self.cells)
        mated = self.sweep.mated
        self.need((listed <= mated).all(), "mated_low", "holds more than the histogram")
        short = np.flatnonzero((listed < mated).any(axis=0))
        last = np.flatnonzero(listed.any(axis=0))
        complete = not short.size or (last.size > 0 and last[-1] <= short[0])
        self.need(complete, "mated_low", "leaves out some of the least alike")

    def _candidates(self) -> None:
        sweep, found = self.sweep, self.sweep.candidates
        assert found is not None  # noqa: S101
        self.need(
            sweep.left is not None and sweep.right is not None, "candidates", "stand without the sides they number"
        )
        assert sweep.right is not None  # noqa: S101
        present = found.references >= 0
        _inside(found.references + 1, len(sweep.right.subject) + 1, f"{self.name}.candidates.references")
        self.need(
            (np.isfinite(found.scores) == present).all(), "candidates.scores", "not finite, or without a reference"
        )
        wanted = np.minimum(found.searched, found.references.shape[1])
        listed = present.sum(axis=1)
        whole = listed == wanted
        if "adjudicated" in self.tallies.inputs:  # a list from which a candidate was taken is short at its end
            whole |= listed < wanted
        self.need(whole.all(), "candidates.references", "not as many as were searched")
        for rung, threshold in enumerate(sweep.ladder):
            reached = (found.scores >= threshold).sum(axis=1)
            self.need(
                (reached == np.minimum(found.counts[rung], listed)).all(), "candidates.scores", "disagree with counts"
            )
        falling = found.scores[:, 1:] <= found.scores[:, :-1]
        self.need(falling.all(), "candidates.scores", "not best first")
        self.need(found.searched.sum() == sweep.nonmated.sum(), "candidates.searched", "do not sum to the histogram")
        self.need((found.counts.sum(axis=1) == self.reached.sum(axis=0)).all(), "candidates.counts", "disagree with it")
        self.need((found.counts >= 0).all(), "candidates.counts", "below zero")
        mates = ~np.isneginf(found.mated_score)
        self.need(((found.mated_rank > 0) == mates).all(), "candidates.mated_rank", "without a mate, or missing")
        self.need(
            (found.mated_rank <= found.searched + 1).all(), "candidates.mated_rank", "past the references searched"
        )

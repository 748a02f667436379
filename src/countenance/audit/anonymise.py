"""Tallies without names: people and photos under random numbers, nothing left that says who they are."""

import secrets
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from countenance.audit.tallies import (
    Candidates,
    DependenceSums,
    Failures,
    IntArray,
    MatedSums,
    Sides,
    Sweep,
    TailPairs,
    Tallies,
)

__all__ = ["anonymised"]


def anonymised(tallies: Tallies) -> Tallies:
    """The same tallies under new numbers, drawn from the system's secure random source.

    Names and paths go, and so does every note and input that holds one as a word. Group labels, counts and scores stay:
    they are what tallies are for. The order of people and photos, by which a list of names could be laid beside them,
    is gone.
    """
    new = _permutation(len(tallies.cell))
    known = _Known(tallies)
    sides: dict[int, IntArray] = {}
    failures = tallies.failures
    return replace(
        tallies,
        cell=_moved(tallies.cell, new),
        verification=_sweep(tallies.verification, new, sides),
        search=_sweep(tallies.search, new, sides),
        failures=failures and Failures(_moved(failures.photos, new), _moved(failures.failed, new)),
        names=None,
        inputs=known.cleaned(dict(tallies.inputs)),
        notes=tuple(note for note in tallies.notes if not known.named(note)),
    )


def _permutation(count: int) -> IntArray:
    """(count,) the new number of each old one. 128 random bits each: no ties, nothing to reconstruct a seed from."""
    keys = np.frombuffer(secrets.token_bytes(16 * count), np.uint64).reshape(count, 2)
    new = np.empty(count, np.int64)
    new[np.lexsort((keys[:, 0], keys[:, 1]))] = np.arange(count)
    return new


def _moved(array: Any, new: IntArray, axis: int = 0) -> Any:
    """``array`` with entry k of ``axis`` now at new[k]."""
    return None if array is None else np.take(array, np.argsort(new), axis=axis)


def _sweep(sweep: Sweep | None, new: IntArray, sides: dict[int, IntArray]) -> Sweep | None:
    if sweep is None or sweep.left is None or sweep.right is None:
        return (
            None
            if sweep is None
            else replace(sweep, dependence=_dependence(sweep.dependence, new), mated_sums=_mated(sweep, new))
        )
    order = []
    for side in (sweep.left, sweep.right):
        if id(side) not in sides:
            sides[id(side)] = _permutation(len(side.subject))
        order.append(sides[id(side)])
    left = Sides(_moved(new[sweep.left.subject], order[0]))
    right = left if sweep.right is sweep.left else Sides(_moved(new[sweep.right.subject], order[1]))
    return replace(
        sweep,
        left=left,
        right=right,
        dependence=_dependence(sweep.dependence, new),
        mated_sums=_mated(sweep, new),
        tail=_pairs(sweep.tail, order[0], order[1], sweep.symmetric, -1),
        mated_low=_pairs(sweep.mated_low, order[0], order[1], sweep.symmetric, 1),
        candidates=_candidates(sweep.candidates, order[0], order[1]),
    )


def _dependence(sums: DependenceSums | None, new: IntArray) -> DependenceSums | None:
    return sums and replace(
        sums,
        rows=_moved(sums.rows, new, 1),
        row_counts=_moved(sums.row_counts, new, 1),
        row_pairs=_moved(sums.row_pairs, new),
        row_comparisons=_moved(sums.row_comparisons, new),
        column_rows=_moved(sums.column_rows, new, 1),
        column_counts=_moved(sums.column_counts, new, 1),
        column_pairs=_moved(sums.column_pairs, new),
        column_comparisons=_moved(sums.column_comparisons, new),
    )


def _mated(sweep: Sweep, new: IntArray) -> MatedSums | None:
    sums = sweep.mated_sums
    return sums and MatedSums(_moved(sums.matches, new, 1), _moved(sums.comparisons, new))


def _pairs(pairs: TailPairs | None, left: IntArray, right: IntArray, symmetric: bool, sign: int) -> TailPairs | None:
    if pairs is None:
        return None
    a, b = left[pairs.left], right[pairs.right]
    if symmetric:
        a, b = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((b, a, sign * pairs.score))
    return TailPairs(pairs.score[order], a[order], b[order])


def _candidates(found: Candidates | None, left: IntArray, right: IntArray) -> Candidates | None:
    if found is None:
        return None
    references = np.where(found.references >= 0, right[found.references], -1)
    order = np.lexsort((references, -found.scores), axis=1)
    return Candidates(
        scores=_moved(np.take_along_axis(found.scores, order, axis=1), left),
        references=_moved(np.take_along_axis(references, order, axis=1), left),
        searched=_moved(found.searched, left),
        counts=_moved(found.counts, left, 1),
        mated_score=_moved(found.mated_score, left),
        mated_rank=_moved(found.mated_rank, left),
    )


class _Known:
    """Names and photos that must not be left in any text."""

    def __init__(self, tallies: Tallies) -> None:
        words: set[str] = set(tallies.names or ())
        for sweep in (tallies.verification, tallies.search):
            for side in (sweep.left, sweep.right) if sweep else ():
                for path in (side.paths or ()) if side else ():
                    words |= {path, PurePath(path).name, PurePath(path).stem}
        self.words = {_plain(w) for w in words} - {""}

    def named(self, text: str) -> bool:
        """Whether a name or a photo stands in ``text`` as a word of its own."""
        plain = _plain(text)
        return any(f" {word} " in f" {plain} " for word in self.words if word in plain)

    def cleaned(self, value: Any) -> Any:
        """``value`` without the texts, at any depth, that name someone."""
        if isinstance(value, dict):
            return {k: self.cleaned(v) for k, v in value.items() if not self._bad(k) and not self._bad(v)}
        if isinstance(value, list | tuple):
            return [self.cleaned(v) for v in value if not self._bad(v)]
        return value

    def _bad(self, value: Any) -> bool:
        """Versions and digits are full of numbers, so in inputs a name without any letter is not looked for."""
        if not isinstance(value, str):
            return False
        plain = _plain(value)
        return any(f" {w} " in f" {plain} " for w in self.words if w in plain and any(c.isalpha() for c in w))


def _plain(text: Iterable[str]) -> str:
    """Letters and digits in lower case, everything else one space."""
    return " ".join("".join(c if c.isalnum() else " " for c in "".join(text).casefold()).split())

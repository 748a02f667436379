"""A person's verdicts on suspected label errors, applied to tallies: the comparisons in question are taken out.

What is listed (the tail of non-mated, the low end of mated comparisons) can be taken out of every field. One thing is
not known: where the other comparisons of the same two people lie, when they are too unlike to be listed. Each of their
shares grows a little (a pair of people weighs 1, however many photos are left), and below ``tail_cut`` that growth is
spread as the comparisons of their cell pair are. Counts are exact everywhere; shares are exact at and above
``tail_cut``, and below it when a pair has no unlisted comparisons left, as with one photo each.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from countenance.audit.tallies import Candidates, FloatArray, IntArray, MatedSums, Sides, Sweep, TailPairs, Tallies
from countenance.errors import InputError, TalliesError

__all__ = ["VERDICTS", "Verdict", "adjudicate"]

VERDICTS = ("same", "different", "unsure")


@dataclass(frozen=True)
class Verdict:
    """What a person says of two photos or two people: ``same``, ``different`` or ``unsure`` (which changes nothing).

    ``left`` and ``right`` are photos' paths, or where tallies hold no paths their numbers in the verification (else in
    the search), or else people's names. With ``subjects`` they are people, by name or (tallies without names) by
    number, and all listed comparisons of these two are meant. Order does not matter.
    """

    left: str
    right: str
    verdict: str
    subjects: bool = False

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise InputError(f"verdict: {self.verdict!r} is none of {', '.join(VERDICTS)}")


class Judged(Protocol):
    """Anything that reads like a `Verdict`."""

    @property
    def left(self) -> str: ...
    @property
    def right(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def subjects(self) -> bool: ...


def adjudicate(tallies: Tallies, verdicts: Iterable[Judged]) -> Tallies:
    """The same tallies without the non-mated comparisons declared ``same`` and the mated ones declared ``different``.

    A verdict that agrees with the labels, or is ``unsure``, changes nothing; one on a pair that is not listed is
    counted in a note. Raises TalliesError when verdicts were applied before: give all of them at once, on the original
    tallies, and when the tallies come from a table of scores.
    """
    if "adjudicated" in tallies.inputs:
        raise TalliesError(
            "adjudicated: verdicts were applied before; give all of them at once, on the original tallies"
        )
    if "scores" in tallies.inputs:  # pairs of people were compared any number of times, which tallies do not hold
        raise TalliesError(
            "--adjudicated: a table of scores cannot be corrected afterwards; correct its labels instead"
        )
    wanted = [v for v in verdicts if v.verdict != "unsure"]
    met: set[int] = set()
    removed = {"same": 0, "different": 0}
    changed: dict[str, Any] = {}
    numbered = "verification" if tallies.verification is not None else "search"
    for name in ("verification", "search"):
        sweep = getattr(tallies, name)
        if sweep is None or sweep.tail is None or sweep.mated_low is None:
            continue
        finder = _Finder(tallies, sweep, name == numbered)
        gone = finder.find(sweep.tail, [v for v in wanted if v.verdict == "same"], wanted, met)
        apart = finder.find(sweep.mated_low, [v for v in wanted if v.verdict == "different"], wanted, met)
        removed["same"] += int(gone.sum())
        removed["different"] += int(apart.sum())
        changed[name] = _without_mated(tallies, _without_nonmated(tallies, sweep, finder.sides, gone), apart)
    notes = list(tallies.notes)
    idle = len(wanted) - len(met)
    if idle:
        notes.append(f"{idle} verdicts agree with the labels or name no listed comparison, and change nothing")
    inputs = {**tallies.inputs, "adjudicated": {"verdicts": len(wanted), "comparisons_removed": sum(removed.values())}}
    return replace(tallies, inputs=inputs, notes=tuple(notes), **changed)


class _Finder:
    """Turns verdicts into places of a sweep's lists."""

    def __init__(self, tallies: Tallies, sweep: Sweep, numbered: bool) -> None:
        if sweep.left is None or sweep.right is None:
            raise TalliesError("left, right: the lists of pairs do not say whose they are; make the tallies again")
        self.sides: tuple[Sides, Sides] = (sweep.left, sweep.right)
        self.numbered = numbered
        names = tallies.names if tallies.names is not None else [str(k) for k in range(len(tallies.cell))]
        self.subject = {name: k for k, name in enumerate(names)}
        self.photo = [self._paths(side) for side in self.sides]

    @staticmethod
    def _paths(side: Sides) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for k, path in enumerate(side.paths or ()):
            found.setdefault(path, []).append(k)
        return found

    def find(self, pairs: TailPairs, verdicts: list[Judged], every: list[Judged], met: set[int]) -> NDArray[np.bool_]:
        """(k,) which entries of ``pairs`` the verdicts speak of; who found something is added to ``met``."""
        gone: NDArray[np.bool_] = np.zeros(pairs.score.size, dtype=np.bool_)
        for verdict in verdicts:
            ends = verdict.left, verdict.right
            hit = self._hit(pairs, *ends, verdict.subjects) | self._hit(pairs, *ends[::-1], verdict.subjects)
            if hit.any():
                met.add(next(k for k, v in enumerate(every) if v is verdict))
            gone |= hit
        return gone

    def _hit(self, pairs: TailPairs, left: str, right: str, subjects: bool) -> NDArray[np.bool_]:
        return self._end(0, pairs.left, left, subjects) & self._end(1, pairs.right, right, subjects)

    def _end(self, side: int, numbers: IntArray, who: str, subjects: bool) -> NDArray[np.bool_]:
        if not subjects and any(who in p for p in self.photo):
            return np.isin(numbers, self.photo[side].get(who, []))
        if not subjects and not any(self.photo) and who.isdecimal():
            return np.asarray((numbers == int(who)) & self.numbered)
        return np.asarray(self.sides[side].subject[numbers] == self.subject.get(who, -1))


@dataclass(frozen=True)
class _Lost:
    """Comparisons taken from one pair of people: ``n`` were made, ``scores`` are gone, ``kept`` are the other listed
    ones."""

    left: int
    right: int
    pair: int
    n: int
    scores: FloatArray
    kept: FloatArray

    @property
    def rest(self) -> int:
        """How many are left, listed or not."""
        return self.n - self.scores.size

    @property
    def unlisted(self) -> int:
        """How many are left that nobody listed."""
        return self.rest - self.kept.size


def _without_nonmated(tallies: Tallies, sweep: Sweep, sides: tuple[Sides, Sides], gone: NDArray[np.bool_]) -> Sweep:
    tail, sums = sweep.tail, sweep.dependence
    if tail is None or sums is None or not gone.any():
        return sweep
    changed = {f.name: value.copy() for f in fields(sums) if (value := getattr(sums, f.name)) is not None}
    nonmated, weight, pairs = sweep.nonmated.copy(), sweep.nonmated_weight.copy(), sweep.pairs.copy()
    below = _spread(sweep)
    for lost in _losses(tallies, sweep, sides, tail, gone):
        np.subtract.at(nonmated[lost.pair], _bins(sweep, lost.scores), 1)
        _reweigh(weight[lost.pair], sweep, lost, below[lost.pair])
        pairs[lost.pair] -= lost.rest == 0
        _resum(changed, tallies, sweep, lost, below[lost.pair])
    _tidy(changed, nonmated, weight, np.searchsorted(sweep.grid, sweep.ladder))
    candidates = sweep.candidates and _without_candidates(sweep, sweep.candidates, tail, gone)
    return replace(
        sweep,
        nonmated=nonmated,
        nonmated_weight=weight,
        pairs=pairs,
        tail=TailPairs(tail.score[~gone], tail.left[~gone], tail.right[~gone]),
        dependence=replace(sums, **changed),
        candidates=candidates,
    )


def _tidy(sums: dict[str, Any], nonmated: IntArray, weight: FloatArray, at: IntArray) -> None:
    """What subtracting left of rounding is removed: no count, no share."""
    weight[nonmated == 0] = 0
    reached = np.cumsum(nonmated[:, ::-1], axis=1)[:, ::-1][:, at].T
    for name in ("squares", "count_squares", "count_cross"):
        sums[name] = np.where(reached == 0, 0, np.maximum(sums[name], 0))
    for rows, counts in (("rows", "row_counts"), ("column_rows", "column_counts")):
        if rows in sums:
            sums[rows] = np.where(sums[counts] == 0, np.float32(0), np.maximum(sums[rows], 0))


def _losses(
    tallies: Tallies, sweep: Sweep, sides: tuple[Sides, Sides], tail: TailPairs, gone: NDArray[np.bool_]
) -> Iterable[_Lost]:
    """One `_Lost` for each pair of people among the entries ``gone``."""
    left, right = sides
    a, b = left.subject[tail.left], right.subject[tail.right]
    if sweep.symmetric:
        a, b = np.minimum(a, b), np.maximum(a, b)
    people = len(tallies.cell)
    key = a * people + b
    sizes = np.bincount(left.subject, minlength=people), np.bincount(right.subject, minlength=people)
    number = {tuple(p): k for k, p in enumerate(sweep.cell_pairs.tolist())}
    for one in np.unique(key[gone]):
        i, j = divmod(int(one), people)
        cells = (int(tallies.cell[i]), int(tallies.cell[j]))
        mine = key == one
        yield _Lost(
            i,
            j,
            number[tuple(sorted(cells)) if sweep.symmetric else cells],
            int(sizes[0][i] * sizes[1][j]),
            tail.score[mine & gone].astype(np.float64),
            tail.score[mine & ~gone].astype(np.float64),
        )


def _bins(sweep: Sweep, scores: FloatArray) -> IntArray:
    return np.maximum(np.searchsorted(sweep.grid, scores, side="right") - 1, 0)


def _spread(sweep: Sweep) -> FloatArray:
    """(P, B) how the unlisted comparisons of each cell pair lie, summing to 1 (or 0 where all are listed)."""
    cut = -np.inf if sweep.tail_cut is None else sweep.tail_cut
    below = np.where(sweep.grid < cut, sweep.nonmated, 0).astype(np.float64)
    return np.asarray(below / np.maximum(below.sum(axis=1, keepdims=True), 1))


def _reweigh(weight: FloatArray, sweep: Sweep, lost: _Lost, below: FloatArray) -> None:
    """Weights of one cell pair: what is left of two people's comparisons weighs 1 together, as before."""
    np.subtract.at(weight, _bins(sweep, lost.scores), 1 / lost.n)
    if lost.rest:
        more = 1 / lost.rest - 1 / lost.n
        np.add.at(weight, _bins(sweep, lost.kept), more)
        weight += below * (lost.unlisted * more)


def _resum(sums: dict[str, Any], tallies: Tallies, sweep: Sweep, lost: _Lost, below: FloatArray) -> None:
    """Row sums and squares at the ladder."""
    steps = sweep.ladder[:, None]
    dropped = (lost.scores >= steps).sum(axis=1)
    at = np.searchsorted(sweep.grid, sweep.ladder)
    unlisted = lost.unlisted * np.cumsum(below[::-1])[::-1][at]
    before = dropped + (lost.kept >= steps).sum(axis=1) + unlisted
    after = before - dropped
    share = after / lost.rest if lost.rest else np.zeros_like(after)
    cells = tallies.cell
    ends = [("row", "rows", lost.left, cells[lost.right])]
    if sweep.symmetric:
        ends.append(("row", "rows", lost.right, cells[lost.left]))
    else:
        ends.append(("column", "column_rows", lost.right, cells[lost.left]))
    for margin, rows, who, partner in ends:
        sums[rows][:, who, partner] += share - before / lost.n
        sums[f"{margin}_counts"][:, who, partner] -= dropped
        sums[f"{margin}_pairs"][who, partner] -= lost.rest == 0
        sums[f"{margin}_comparisons"][who, partner] -= lost.scores.size
    sums["squares"][:, lost.pair] += share**2 - (before / lost.n) ** 2
    sums["count_squares"][:, lost.pair] += after**2 - before**2
    sums["count_cross"][:, lost.pair] += after * lost.rest - before * lost.n
    sums["size_squares"][lost.pair] += lost.rest**2 - lost.n**2


def _without_candidates(sweep: Sweep, found: Candidates, tail: TailPairs, gone: NDArray[np.bool_]) -> Candidates:
    """The search without some references: a probe's list may become shorter than K, and stays complete from its top."""
    scores, references = found.scores.copy(), found.references.copy()
    searched, counts, rank = found.searched.copy(), found.counts.copy(), found.mated_rank.copy()
    for score, probe, reference in zip(tail.score[gone], tail.left[gone], tail.right[gone], strict=True):
        keep = references[probe] != reference
        scores[probe] = np.append(scores[probe][keep], np.full((~keep).sum(), -np.inf, np.float32))
        references[probe] = np.append(references[probe][keep], np.full((~keep).sum(), -1))
        searched[probe] -= 1
        counts[:, probe] -= float(score) >= sweep.ladder
        rank[probe] -= rank[probe] > 0 and score >= found.mated_score[probe]
    return replace(found, scores=scores, references=references, searched=searched, counts=counts, mated_rank=rank)


def _without_mated(tallies: Tallies, sweep: Sweep, gone: NDArray[np.bool_]) -> Sweep:
    low, sums, left = sweep.mated_low, sweep.mated_sums, sweep.left
    if low is None or sums is None or left is None or not gone.any():
        return sweep
    mated, weight = sweep.mated.copy(), sweep.mated_weight.copy()
    matches, comparisons = sums.matches.copy(), sums.comparisons.copy()
    who = left.subject[low.left]
    top = float(low.score[-1]) if low.score.size < sweep.mated.sum() else np.inf
    for subject in np.unique(who[gone]):
        cell, mine = int(tallies.cell[subject]), who == subject
        scores, kept = low.score[mine & gone].astype(np.float64), low.score[mine & ~gone].astype(np.float64)
        before = int(comparisons[subject])
        rest = before - scores.size
        np.subtract.at(mated[cell], _bins(sweep, scores), 1)
        np.subtract.at(weight[cell], _bins(sweep, scores), 1 / before)
        if rest:
            more = 1 / rest - 1 / before
            np.add.at(weight[cell], _bins(sweep, kept), more)
            above = np.where(sweep.grid >= top, sweep.mated[cell], 0).astype(np.float64)
            weight[cell] += above / max(above.sum(), 1.0) * ((rest - kept.size) * more)
        matches[:, subject] -= (scores >= sweep.ladder[:, None]).sum(axis=1)
        comparisons[subject] = rest
    kept_pairs = TailPairs(low.score[~gone], low.left[~gone], low.right[~gone])
    candidates = sweep.candidates and _without_mates(sweep, sweep.candidates, low, gone)
    return replace(
        sweep,
        mated=mated,
        mated_weight=np.where(mated == 0, 0, np.maximum(weight, 0)),
        mated_low=kept_pairs,
        mated_sums=MatedSums(matches, comparisons),
        candidates=candidates,
    )


def _without_mates(sweep: Sweep, found: Candidates, low: TailPairs, gone: NDArray[np.bool_]) -> Candidates:
    """Probes that lost their best mate: the next best is listed, for the list holds all mated comparisons below it.

    Its rank is exact among the listed candidates; further down it is counted at the next lower rung, against the
    system.
    """
    score, rank = found.mated_score.copy(), found.mated_rank.copy()
    for probe in np.unique(low.left[gone]):
        best = low.score[gone & (low.left == probe)].max()
        if best < score[probe]:
            continue
        others = low.score[~gone & (low.left == probe)]
        if not others.size:
            score[probe], rank[probe] = -np.inf, 0
            continue
        score[probe] = others.max()
        reached = int((found.scores[probe] >= score[probe]).sum())
        if reached == np.isfinite(found.scores[probe]).sum() and reached < found.searched[probe]:
            rung = int(np.searchsorted(sweep.ladder, float(score[probe]), side="right")) - 1
            reached = int(found.counts[rung, probe]) if rung >= 0 else int(found.searched[probe])
        rank[probe] = 1 + reached
    return replace(found, mated_score=score, mated_rank=rank)

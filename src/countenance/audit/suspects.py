"""Comparisons that look like errors in the labels, for a person to look at. Listed, never removed.

*Non-mated, far too alike.* The list goes down to the last pair for which, of all pairs as alike as it or more, chance
explains at most the share `BY_CHANCE` (a false discovery rate; Benjamini, Hochberg 1995). What chance explains is an
exponential tail, fitted to the pairs of rank `UNTOUCHED` to `FITTED` by maximum likelihood with the closest `UNTOUCHED`
censored, because label errors sit among them (Lawless 2003, section 4.1). Where the data are too few to fit, a pair is
listed that reaches the median of the mated scores (subject-weighted): half of all pairs of one person are less alike.
*Mated, far too different.* A mated pair is listed when it is less alike than the median pair of two people.

A weak engine proposes little here and a strong one much; an engine cannot propose what it cannot see.
"""

import numpy as np

from countenance.audit.labels import name_of
from countenance.audit.result import Suspect
from countenance.audit.tallies import Float32Array, FloatArray, Sweep, TailPairs, Tallies
from countenance.errors import NotEnoughDataError

__all__ = ["BY_CHANCE", "MOST", "chance_of", "suspects"]

BY_CHANCE = 0.5
UNTOUCHED = 100
FITTED = 1000
MOST = 500


def suspects(tallies: Tallies, most: int = MOST) -> list[Suspect]:
    """The suspected label errors of both sweeps: alike strangers, the most alike first, then unlike pairs of one
    person.

    At most ``most`` of each kind. A pair that both sweeps hold stands once. Tallies without subjects have none.
    """
    alike: dict[tuple[str, ...], Suspect] = {}
    unlike: dict[tuple[str, ...], Suspect] = {}
    for sweep in (tallies.verification, tallies.search):
        if sweep is None or sweep.tail is None:
            continue
        for found, into in ((_alike(tallies, sweep, most), alike), (_unlike(tallies, sweep, most), unlike)):
            for suspect in found:
                ends = ((suspect.left, suspect.left_path or ""), (suspect.right, suspect.right_path or ""))
                into.setdefault(tuple(part for end in sorted(ends) for part in end), suspect)
    first = sorted(alike.values(), key=lambda s: -s.score)[:most]
    return first + sorted(unlike.values(), key=lambda s: s.score)[:most]


def chance_of(tail: Float32Array) -> FloatArray:
    """(k,) how many pairs as alike as each of the tail's (falling) scores chance would give; 1 and more where it is no
    wonder.

    Raises NotEnoughDataError when the tail holds fewer than `FITTED` pairs, or all of the same score.
    """
    if tail.size < FITTED:
        raise NotEnoughDataError(f"{tail.size} non-mated pairs are too few to say how alike chance makes them")
    scores = tail[:FITTED].astype(np.float64)
    base = scores[-1]
    excess = float((scores[UNTOUCHED:] - base).sum()) + UNTOUCHED * float(scores[UNTOUCHED - 1] - base)
    scale = excess / (FITTED - UNTOUCHED)
    if scale <= 0:
        raise NotEnoughDataError("the closest non-mated pairs all have one score; chance cannot be told from error")
    return np.asarray(FITTED * np.exp(-(tail.astype(np.float64) - base) / scale))


def _alike(tallies: Tallies, sweep: Sweep, most: int) -> list[Suspect]:
    tail = sweep.tail
    if tail is None or not tail.score.size:
        return []
    try:
        chance = chance_of(tail.score)[:FITTED]
    except NotEnoughDataError:
        middle = _median(sweep.grid, sweep.mated_weight.sum(axis=0))
        count = 0 if middle is None else int((tail.score >= middle).sum())
        whys = ["two different people as alike as the median pair of one person"] * min(most, count)
    else:
        found = np.flatnonzero(chance <= BY_CHANCE * np.arange(1, chance.size + 1))
        count = int(found[-1]) + 1 if found.size else 0
        whys = [
            f"number {k + 1} of the most alike strangers; chance explains {chance[k]:.2g} this alike"
            for k in range(count)
        ]
    return [_suspect(tallies, sweep, tail, k, "nonmated_alike", why) for k, why in enumerate(whys[:most])]


def _unlike(tallies: Tallies, sweep: Sweep, most: int) -> list[Suspect]:
    low = sweep.mated_low
    middle = _median(sweep.grid, sweep.nonmated_weight.sum(axis=0))
    if low is None or middle is None:
        return []
    why = "one person less alike than the median pair of two people"
    count = min(most, int(np.searchsorted(low.score, middle, side="left")))
    return [_suspect(tallies, sweep, low, k, "mated_unlike", why) for k in range(count)]


def _median(grid: FloatArray, weights: FloatArray) -> float | None:
    """The lowest edge at which at most half of the weight is left; None without any."""
    total = float(weights.sum())
    if total <= 0:
        return None
    left = np.cumsum(weights[::-1])[::-1]
    return float(grid[min(int(np.searchsorted(-left, -total / 2, side="left")), len(grid) - 1)])


def _suspect(tallies: Tallies, sweep: Sweep, pairs: TailPairs, k: int, kind: str, why: str) -> Suspect:
    ends: list[str] = []
    paths: list[str | None] = []
    for side, numbers in ((sweep.left, pairs.left), (sweep.right, pairs.right)):
        if side is None:
            raise NotEnoughDataError("these tallies list pairs, but not whose they are")
        at = int(numbers[k])
        ends.append(name_of(tallies, int(side.subject[at])))
        paths.append(side.paths[at] if side.paths is not None else None)
    return Suspect(kind, float(pairs.score[k]), ends[0], ends[1], paths[0], paths[1], why)

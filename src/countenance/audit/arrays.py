"""Error rates of two plain arrays of scores, exactly: for a quick look, and to compare with other packages.

No people here, hence no intervals: comparisons that share a person are not independent. `rates` has intervals.
A comparison is a match when ``score >= threshold``; scores are similarities (negate a distance first).
"""

import numpy as np
from numpy.typing import ArrayLike

from countenance.audit.tallies import FloatArray
from countenance.errors import NotEnoughDataError

__all__ = ["det", "eer", "fmr_fnmr", "threshold_at_fmr"]


def fmr_fnmr(mated: ArrayLike, nonmated: ArrayLike, threshold: float) -> tuple[float, float]:
    """False match rate and false non-match rate at one threshold (ISO/IEC 19795-1).

    ``mated`` (m,) and ``nonmated`` (n,) are similarities of comparisons of one person, and of two. A score equal to the
    threshold is a match: it counts as an error among the non-mated, and not among the mated.

    Raises NotEnoughDataError when either array is empty, and when a score is NaN (no decision can be made on it).
    """
    left, right = _checked(mated, "mated"), _checked(nonmated, "non-mated")
    return float(np.count_nonzero(right >= threshold) / right.size), float(
        np.count_nonzero(left < threshold) / left.size
    )


def det(mated: ArrayLike, nonmated: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Detection error trade-off: FMR and FNMR at every threshold where either can change.

    ``mated`` (m,), ``nonmated`` (n,). Returns ``fmr``, ``fnmr`` and ``thresholds``, each (k + 1,), k the number of
    distinct scores: thresholds rise through them and end with +inf, where nothing matches. FMR falls from 1 to 0 and
    FNMR rises from 0 to 1. Nothing is left out or interpolated: a point is a decision ``score >= threshold``.

    Raises NotEnoughDataError when either array is empty, and when a score is NaN.
    """
    left, right = np.sort(_checked(mated, "mated")), np.sort(_checked(nonmated, "non-mated"))
    thresholds = np.append(np.unique(np.concatenate([left, right])), np.inf)
    below_left = np.searchsorted(left, thresholds, side="left")
    below_right = np.searchsorted(right, thresholds, side="left")
    return (right.size - below_right) / right.size, below_left / left.size, thresholds


def eer(mated: ArrayLike, nonmated: ArrayLike) -> tuple[float, float]:
    """Equal error rate and its threshold: the mean of FMR and FNMR where they are closest to each other.

    ``mated`` (m,), ``nonmated`` (n,). With finite data the two rates need not meet; no line is drawn between points,
    so the value belongs to a threshold that can be used. Of several equally close thresholds the highest is taken;
    "equally" is decided in whole numbers, so rounding has no say.

    Raises NotEnoughDataError when either array is empty, and when a score is NaN.
    """
    left, right = np.sort(_checked(mated, "mated")), np.sort(_checked(nonmated, "non-mated"))
    fmr, fnmr, thresholds = det(left, right)
    false = np.rint(fmr * right.size).astype(np.int64)
    missed = np.rint(fnmr * left.size).astype(np.int64)
    gap = np.abs(false * left.size - missed * right.size)
    at = int(np.flatnonzero(gap == gap.min())[-1])
    return float((fmr[at] + fnmr[at]) / 2), float(thresholds[at])


def threshold_at_fmr(mated: ArrayLike, nonmated: ArrayLike, target: float) -> float:
    """The smallest score seen (mated or not) whose FMR is at most ``target``; never the nearest from the wrong side.

    ``mated`` (m,), ``nonmated`` (n,), ``target`` a rate. Where only "nothing matches" reaches the target, the next
    number above the highest score is returned.

    Raises NotEnoughDataError when either array is empty, when a score is NaN, and when ``target`` is below 1 / n: with
    so few comparisons not one false match is allowed, and the threshold would be a guess.
    """
    right = _checked(nonmated, "non-mated")
    fmr, _, thresholds = det(mated, right)
    if target * right.size < 1.0:
        raise NotEnoughDataError(
            f"FMR {target:g} needs at least {1 / target:,.0f} non-mated scores; there are {right.size:,}"
        )
    at = int(np.flatnonzero(fmr <= target)[0])
    return float(thresholds[at]) if np.isfinite(thresholds[at]) else float(np.nextafter(thresholds[at - 1], np.inf))


def _checked(scores: ArrayLike, kind: str) -> FloatArray:
    found = np.asarray(scores, dtype=np.float64).ravel()
    if found.size == 0:
        raise NotEnoughDataError(f"no {kind} score, so no error rate")
    if np.isnan(found).any():
        raise NotEnoughDataError(f"a {kind} score is not a number, and no decision can be made on it")
    return found

"""The compiled loops of `countenance.audit.simulate`: who matches whom, for hundreds of millions of comparisons.

Nearly all pairs of people cannot match. A table of upper bounds on the chance of it (`chance_bound`) passes them over
at the cost of two random numbers.
"""

import functools
import math

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["PAIR_SHARE", "chance_bound", "draw_pairs", "draw_scores", "draw_searches", "noise"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
StateArray = NDArray[np.uint64]

PAIR_SHARE = 0.5

_11, _16, _24, _27, _37, _40 = (np.uint64(k) for k in (11, 16, 24, 27, 37, 40))
_LOWEST, _STEP, _BINS, _PARTS = -16.0, 0.0625, 384, 256


@numba.njit(cache=True)
def _upper(x: float) -> float:
    """Chance that a standard normal is at least x."""
    return 0.5 * math.erfc(x * 0.7071067811865476)


@numba.njit(cache=True)
def _quantile(u: float) -> float:
    """Standard normal quantile, relative error below 2e-9 (Acklam 2003)."""
    if u < 0.02425:
        q = math.sqrt(-2.0 * math.log(u))
        top = (
            (((-7.784894002430293e-03 * q - 0.3223964580411365) * q - 2.400758277161838) * q) - 2.549732539343734
        ) * q
        low = (((7.784695709041462e-03 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q
        return ((top + 4.374664141464968) * q + 2.938163982698783) / (low + 1.0)
    if u > 1.0 - 0.02425:
        return -_quantile(1.0 - u)
    q = u - 0.5
    r = q * q
    top = (((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.3577518672690) * r
    low = (((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r
    return ((top - 30.66479806614716) * r + 2.506628277459239) * q / ((low - 13.28068155288572) * r + 1.0)


@numba.njit(cache=True)
def _uniform(state: StateArray) -> float:
    """A uniform number in [0, 1) by xoroshiro128+ (Blackman, Vigna 2018); four times as fast as numba's own."""
    first, second = state[0], state[1]
    drawn = first + second
    second ^= first
    state[0] = ((first << _24) | (first >> _40)) ^ second ^ (second << _16)
    state[1] = (second << _37) | (second >> _27)
    return float(drawn >> _11) * 1.1102230246251565e-16


@numba.njit(cache=True)
def _matches(trials: int, chance: float, u: float) -> int:
    """A binomial draw at the uniform number ``u``: by inversion from the nearer end where few or nearly all match."""
    if chance >= 1.0:
        return trials
    if chance > 0.5:
        return trials - _matches(trials, 1.0 - chance, u)
    if trials * chance > 30.0:
        # Rounded normal: mean and variance are right, and what is left of the difference is lost in the sum over pairs.
        middle = trials * chance
        drawn = middle + math.sqrt(middle * (1.0 - chance)) * _quantile(max(u, 1e-300)) + 0.5
        return min(max(math.floor(drawn), 0), trials)
    term = math.exp(trials * math.log1p(-chance))
    left = u - term
    odds = chance / (1.0 - chance)
    found = 0
    while left > 0.0 and found < trials:
        term *= odds * (trials - found) / (found + 1)
        left -= term
        found += 1
    return found


def noise(photos: int) -> tuple[float, float]:
    """Standard deviations of ``e`` and ``f``; with one photo there is nothing to tell them apart."""
    return (1.0, 0.0) if photos == 1 else (math.sqrt(PAIR_SHARE), math.sqrt(1.0 - PAIR_SHARE))


@functools.cache
def chance_bound(made: int, pair_sd: float, photo_sd: float) -> FloatArray:
    """(_BINS, _PARTS) upper bounds on the chance that any of the ``made`` comparisons of a pair is a match.

    By bin of ``a_i + a_j - threshold`` and part of the distribution of ``e``. Most pairs are passed over on this alone.
    """
    over = _LOWEST + _STEP * np.arange(1, _BINS + 1)
    alike = special.ndtri(np.arange(1, _PARTS + 1) / _PARTS)
    highest = over[:, None] + pair_sd * alike[None, :]
    if photo_sd == 0.0:
        bound: FloatArray = (highest >= 0.0).astype(np.float64)
    else:
        bound = np.minimum(1.0, made * special.ndtr(highest / photo_sd))
    bound[-1] = 1.0
    return bound


@numba.njit(cache=True)
def _alike(above: float, pair_sd: float, bound: FloatArray, state: StateArray) -> tuple[float, float]:
    """Add ``e`` to ``a_i + a_j - threshold``; and a uniform number for the matches, -1 where there can be none."""
    at = min(max(int((above - _LOWEST) / _STEP), 0), _BINS - 1)
    alike = _uniform(state)
    u = _uniform(state)
    if u < 1.0 - bound[at, int(alike * _PARTS)]:
        return above, -1.0
    return above + pair_sd * _quantile(max(alike, 1e-300)), u


@numba.njit(cache=True)
def draw_pairs(
    rows_a: FloatArray,
    columns_a: FloatArray,
    within: bool,
    thresholds: FloatArray,
    photos: int,
    pair_sd: float,
    photo_sd: float,
    bound: FloatArray,
    state: StateArray,
    rows: FloatArray,
    columns: FloatArray,
    squares: FloatArray,
) -> None:
    """Add each pair's share of matching comparisons at each threshold to its two subjects; rising thresholds."""
    made = photos * photos
    for i in range(rows_a.size):
        for j in range(i if within else columns_a.size):
            above, u = _alike(rows_a[i] + columns_a[j] - thresholds[0], pair_sd, bound, state)
            if u < 0.0:
                continue
            found, before = made, 1.0
            for level in range(thresholds.size):
                high = above + thresholds[0] - thresholds[level]
                chance = (1.0 if high >= 0.0 else 0.0) if photos == 1 else _upper(-high / photo_sd)
                found = _matches(found, chance / before, u)
                if found == 0:
                    break
                before, u = chance, _uniform(state)
                share = found / made
                rows[level, i] += share
                columns[level, j] += share
                squares[level] += share * share


@numba.njit(cache=True)
def draw_searches(
    people: FloatArray,
    gallery: FloatArray,
    threshold: float,
    photos: int,
    pair_sd: float,
    photo_sd: float,
    bound: FloatArray,
    state: StateArray,
    hits: FloatArray,
) -> None:
    """Count, for each probe subject, the photos that reach at least one reference."""
    hit = np.zeros(photos)
    for i in range(people.size):
        hit[:] = 0.0
        for j in range(gallery.size):
            above, u = _alike(people[i] + gallery[j] - threshold, pair_sd, bound, state)
            if u < 0.0:
                continue
            chance = (1.0 if above >= 0.0 else 0.0) if photos == 1 else _upper(-above / photo_sd)
            found = _matches(photos, chance, u)
            # Which photos: each equally likely, none twice.
            for k in range(photos):
                if found > 0 and _uniform(state) * (photos - k) < found:
                    hit[k] = 1.0
                    found -= 1
        hits[i] = hit.sum()


@numba.njit(cache=True)
def draw_scores(
    people: FloatArray,
    cut: float,
    photos: int,
    pair_sd: float,
    photo_sd: float,
    bound: FloatArray,
    state: StateArray,
) -> tuple[FloatArray, IntArray, IntArray]:
    """Scores ``a_i + a_j + e + f`` at or above a cut, and whose they are."""
    score, left, right = [0.0], [0], [0]
    for i in range(people.size):
        for j in range(i):
            above = people[i] + people[j] - cut
            at = min(max(int((above - _LOWEST) / _STEP), 0), _BINS - 1)
            alike = _uniform(state)
            if bound[at, int(alike * _PARTS)] < 1e-9:
                continue
            above += pair_sd * _quantile(max(alike, 1e-300))
            for _ in range(photos * photos):
                found = above if photos == 1 else above + photo_sd * _quantile(max(_uniform(state), 1e-300))
                if found >= 0.0:
                    score.append(cut + found)
                    left.append(i)
                    right.append(j)
    return np.array(score)[1:], np.array(left)[1:], np.array(right)[1:]

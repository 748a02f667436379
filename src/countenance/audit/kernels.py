"""The inner loops of the one pass, compiled on first use and cached.

Everything they sum is an integer (weights are fixed point), so the order of summation, hence the number of threads,
cannot change a result. Plain Python over NumPy arrays: the uncompiled functions are at ``.py_func``.
"""

import math
from typing import Any

import numba
import numpy as np

__all__ = ["SPLIT", "mated_scores", "row_scores", "tile"]

SPLIT = 128  # marks, in the table bin -> rung, a bin that a requested threshold splits


@numba.njit(cache=True, nogil=True)
def row_scores(row: Any, left_norm: Any, right_norms: Any, euclidean: Any) -> None:
    """Turn dot products of one template with many into scores, in place: a cosine, or minus the distance."""
    if euclidean:
        for j in range(row.size):
            row[j] = -np.sqrt(max(left_norm + right_norms[j] - np.float32(2) * row[j], np.float32(0)))
    else:
        for j in range(row.size):
            row[j] = min(max(row[j], np.float32(-1)), np.float32(1))


@numba.njit(cache=True, nogil=True)
def mated_scores(
    left: Any,
    right: Any,
    euclidean: Any,
    first: Any,
    begin: Any,
    end: Any,
    twin: Any,
    out_l: Any,
    out_r: Any,
    out_s: Any,
) -> Any:
    """Mated comparisons from row ``first`` on, until the buffers are full: (next row, number written).

    Row p meets the right side's rows begin[p] to end[p], but not twin[p], which is the same template.
    """
    count = 0
    one, two = np.float32(1), np.float32(-1)
    for p in range(first, begin.size):
        if count + end[p] - begin[p] > out_s.size:
            return p, count
        for q in range(begin[p], end[p]):
            if q == twin[p]:
                continue
            total = np.float32(0)
            for k in range(left.shape[1]):
                if euclidean:
                    gap = left[p, k] - right[q, k]
                    total += gap * gap
                else:
                    total += left[p, k] * right[q, k]
            out_l[count], out_r[count] = p, q
            out_s[count] = -np.sqrt(total) if euclidean else min(max(total, two), one)
            count += 1
    return begin.size, count


@numba.njit(cache=True, nogil=True)
def rung_of(score: Any, ladder: Any) -> Any:
    """Number of ladder thresholds at or below ``score``."""
    rung = 0
    while rung < ladder.size and score >= ladder[rung]:
        rung += 1
    return rung


@numba.njit(cache=True, nogil=True)
def insert(scores: Any, references: Any, score: Any, reference: Any) -> None:
    """Put one reference among the K best of a probe; equal scores in the order of their numbers."""
    k = scores.size - 1
    if score < scores[k] or (score == scores[k] and reference > references[k] >= 0):
        return
    while k > 0 and (score > scores[k - 1] or (score == scores[k - 1] and reference < references[k - 1])):
        scores[k], references[k] = scores[k - 1], references[k - 1]
        k -= 1
    scores[k], references[k] = score, reference


@numba.njit(cache=True, nogil=True)
def tile(
    scores: Any,
    lefts: Any,
    rights: Any,
    diagonal: Any,
    grid: Any,
    lut: Any,
    ladder: Any,
    unit: Any,
    out: Any,
    tail: Any,
    search: Any,
) -> Any:
    """Count one tile of scores (already final); returns the number of tail entries.

    ``lefts`` and ``rights`` are (starts, subjects, first block, end block, first position), ``grid`` (scale, offset).
    """
    l_start, l_subject, i0, i1, p0 = lefts
    r_start, r_subject, j0, j1, q0 = rights
    scale, offset = grid
    hist, whist, row_c, row_x, col_c, col_x, sq, csq, cross = out
    tail_s, tail_l, tail_r, tail_n, cut = tail
    probes, l_order, r_order, c_hist, mate, rank, best_s, best_r = search
    h = np.zeros(ladder.size + 1, np.int64)
    for i in range(i0, i1):
        for j in range(i + 1 if diagonal else j0, j1):
            if l_subject[i] == r_subject[j]:
                continue
            n = (l_start[i + 1] - l_start[i]) * (r_start[j + 1] - r_start[j])
            w = (unit + n // 2) // n
            top = 0
            for p in range(l_start[i], l_start[i + 1]):
                for q in range(r_start[j], r_start[j + 1]):
                    s = scores[p - p0, q - q0]
                    b = math.floor(s * scale) - offset
                    b = max(b, 0)
                    hist[b] += 1
                    whist[b] += w
                    r = int(lut[b])
                    if r >= SPLIT:
                        r = rung_of(s, ladder)
                    h[r] += 1
                    top = max(top, r)
                    if b >= cut:
                        tail_s[tail_n], tail_l[tail_n], tail_r[tail_n] = s, l_order[p], r_order[q]
                        tail_n += 1
                    if probes:
                        c_hist[p, r] += 1
                        rank[p] += s >= mate[p]
                        insert(best_s[p], best_r[p], s, r_order[q])
            c = 0
            h[0] = 0
            for r in range(top, 0, -1):
                k = h[r]
                c += k
                h[r] = 0
                row_c[i, r] += k
                row_x[i, r] += k * w
                col_c[j - j0, r] += k
                col_x[j - j0, r] += k * w
                csq[r] += c * c
                sq[r] += np.int64(c * c / (n * n) * unit + 0.5)
                cross[r] += c * n
    return tail_n

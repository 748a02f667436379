"""The inner loops of the one pass, compiled on first use and cached.

Everything they sum is an integer (weights are fixed point), so the order of summation, hence the number of threads,
cannot change a result. Plain Python over NumPy arrays: the uncompiled functions are at ``.py_func``.
"""

import math
from typing import Any

import numpy as np

from countenance.compiled import compiled

__all__ = ["SPLIT", "best", "by_row", "flat", "levels", "mated_scores", "row_scores", "tile"]

SPLIT = 128  # marks, in the table bin -> rung, a bin that a requested threshold splits


@compiled
def row_scores(row: Any, left_norm: Any, right_norms: Any, euclidean: Any) -> None:
    """Turn dot products of one template with many into scores, in place: a cosine, or minus the distance."""
    if euclidean:
        for j in range(row.size):
            row[j] = -np.sqrt(max(left_norm + right_norms[j] - np.float32(2) * row[j], np.float32(0)))
    else:
        for j in range(row.size):
            row[j] = min(max(row[j], np.float32(-1)), np.float32(1))


@compiled
def mated_scores(
    left: Any, right: Any, euclidean: Any, begin: Any, end: Any, twin: Any, out_l: Any, out_r: Any, out_s: Any
) -> Any:
    """Mated comparisons, written one after the other; returns their number.

    Row p meets the right side's rows begin[p] to end[p], but not twin[p], which is the same template.
    """
    count = 0
    low, high = np.float32(-1), np.float32(1)
    for p in range(begin.size):
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
            out_s[count] = -np.sqrt(total) if euclidean else min(max(total, low), high)
            count += 1
    return count


@compiled
def rung_of(score: Any, ladder: Any) -> Any:
    """Number of ladder thresholds at or below ``score``."""
    rung = 0
    while rung < ladder.size and score >= ladder[rung]:
        rung += 1
    return rung


@compiled
def insert(scores: Any, references: Any, p: Any, score: Any, reference: Any) -> None:
    """Put one reference among the K best of probe ``p``; equal scores in the order of their numbers."""
    k = scores.shape[1] - 1
    while k > 0 and (score > scores[p, k - 1] or (score == scores[p, k - 1] and reference < references[p, k - 1])):
        scores[p, k], references[p, k] = scores[p, k - 1], references[p, k - 1]
        k -= 1
    scores[p, k], references[p, k] = score, reference


@compiled
def best(scores: Any, rows: Any, skip: Any, order: Any, mate: Any, above: Any, best_s: Any, best_r: Any) -> None:
    """Per probe row of a tile: references at or above its mate, and its best references. ``order`` numbers the
    columns."""
    first, last, p0 = rows
    last_place = best_s.shape[1] - 1
    for p in range(first, last):
        for part in range(2):
            start, end = (0, skip[0, p]) if part == 0 else (skip[1, p], order.size)
            reached = 0
            for j in range(start, end):
                reached += scores[p, j] >= mate[p0 + p]
            above[p0 + p] += reached
            least = best_s[p0 + p, last_place]
            for j in range(start, end):
                s = scores[p, j]
                if s > least or (s == least and order[j] < best_r[p0 + p, last_place]):
                    insert(best_s, best_r, p0 + p, s, order[j])
                    least = best_s[p0 + p, last_place]


@compiled
def binned(line: Any, scale: Any, offset: Any, bins: Any) -> None:
    """The regular bin of each score of a row, exact in float32; what lies below the grid goes to the first."""
    first, lowest = np.float32(offset), np.float32(0)
    for j in range(line.size):
        bins[j] = np.uint16(np.int32(max(np.floor(line[j] * scale) - first, lowest)))


@compiled
def counted(bins: Any, places: Any, marks: Any, hist: Any, codes: Any, marked: Any, found: Any) -> Any:
    """Count bins and write their ``marks`` to ``codes``; returns ``found`` and the places then in ``marked``.

    Of ``places`` (start, end, step, shift), bin j * step belongs to place shift + j. Unsigned numbers spare the check
    for negative places, which takes as long as the counting.
    """
    start, end, step, shift = places
    for j in range(start, end):
        k = np.uint64(bins[np.uint64(j * step)])
        hist[k] += np.uint32(1)
        r = marks[k]
        codes[np.uint64(shift + j)] = r
        if r >= SPLIT:
            marked[found] = shift + j
            found += 1
    return found


@compiled
def flat(scores: Any, rows: Any, norms: Any, skip: Any, grid: Any, hist: Any, codes: Any, tail: Any) -> Any:
    """Score rows first to last of a tile and count them by regular bin; returns the tail's length.

    Dot products in ``scores`` become scores. Right subjects skip[0, p] to skip[1, p] are passed over. The rungs go to
    ``codes``, for `levels`: in each row the first templates of all right subjects come first, then the second ones.
    ``watched`` is ``lut`` with `SPLIT` in every bin from the tail's cut on.
    """
    first, last, size, euclidean = rows
    scale, offset, lut, ladder, watched = grid
    tail_s, tail_l, tail_r, tail_n, cut = tail
    wide = codes.shape[1]
    people = wide // size
    bins, marked = np.empty(wide, np.uint16), np.empty(wide, np.int32)
    for p in range(first, last):
        line, rungs, found = scores[p, :wide], codes[p], 0
        row_scores(line, norms[0][p], norms[1], euclidean)
        binned(line, scale, offset, bins)
        for slot in range(size):
            shift = slot * people
            rungs[shift + skip[0, p] : shift + skip[1, p]] = 0
            before, after = (0, skip[0, p], size, shift), (skip[1, p], people, size, shift)
            found = counted(bins[slot:], before, watched, hist, rungs, marked, found)
            found = counted(bins[slot:], after, watched, hist, rungs, marked, found)
        for place in marked[:found]:  # rare: the bin is split, or so high that the comparison is listed
            j = place % people * size + place // people
            k = bins[j]
            rungs[place] = lut[k] if lut[k] < SPLIT else rung_of(line[j], ladder)
            if k >= cut:
                tail_s[tail_n], tail_l[tail_n], tail_r[tail_n] = line[j], p, j
                tail_n += 1
    return tail_n


@compiled
def levels(codes: Any, blocks: Any, sizes: Any, c: Any, row: Any, col: Any, squares: Any) -> None:
    """Comparisons at or above each rung, of left subjects first to last: per left and per right subject, and squared.

    All left subjects have ``sizes[0]`` templates, all right ones ``sizes[1]``. ``c`` is room for one count a right
    template. ``row`` (left subjects, L + 1) is written, ``col`` (L + 1, right subjects) and ``squares`` (L + 1) are
    added to. Loops over right subjects are straight, and their sums as narrow as they may be, so that the compiler
    takes many at once.
    """
    first, last = blocks
    m, n = sizes
    people, wide = col.shape[1], codes.shape[1]
    for i in range(first, last):
        top = 0
        for p in range(i * m, i * m + m):
            line = codes[p]
            highest = line[0]
            for j in range(wide):
                highest = max(highest, line[j])
            top = max(top, highest)
        row[i] = 0
        for r in range(1, top + 1):
            level = np.uint8(r)
            into = col[r]
            if m * n == 1:
                line = codes[i]
                few = np.uint16(0)  # a panel of single templates holds no more
                for j in range(people):
                    hit = line[j] >= level
                    into[j] += hit
                    few = np.uint16(few + np.uint16(hit))
                row[i, r] = few
                continue
            c[:] = 0
            for p in range(i * m, i * m + m):
                line = codes[p]
                for j in range(wide):
                    c[j] += line[j] >= level
            for slot in range(1, n):
                part = c[slot * people : slot * people + people]
                for j in range(people):
                    c[j] += part[j]
            total, square = np.int32(0), np.int32(0)
            for j in range(people):
                into[j] += c[j]
                x = np.int32(c[j])
                total += x
                square += x * x
            row[i, r] = total
            squares[r] += square


@compiled
def by_row(codes: Any, first: Any, last: Any, counts: Any) -> None:
    """Per row of a tile, comparisons at or above each rung, added to ``counts`` (rows, L + 1)."""
    at = np.zeros(SPLIT, np.int64)
    for p in range(first, last):
        line = codes[p]
        for j in range(line.size):
            at[line[j]] += 1
        c = 0
        for r in range(counts.shape[1] - 1, 0, -1):
            c += at[r]
            counts[p, r] += c
        at[:] = 0


@compiled
def tile(
    scores: Any,
    lefts: Any,
    rights: Any,
    diagonal: Any,
    grid: Any,
    unit: Any,
    out: Any,
    tail: Any,
    search: Any,
) -> Any:
    """Count one tile of scores (already final) of people with any number of templates; returns the number of tail
    entries.

    ``lefts`` and ``rights`` are (starts, subjects, first block, end block, first position), ``grid`` as in `flat`.
    """
    l_start, l_subject, i0, i1, p0 = lefts
    r_start, r_subject, j0, j1, q0 = rights
    scale, offset, lut, ladder, _ = grid
    hist, whist, row_c, row_x, col_c, col_x, sq, csq, cross = out
    tail_s, tail_l, tail_r, tail_n, cut = tail
    probes, r_order, reached, mate, rank, best_s, best_r = search
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
                        tail_s[tail_n], tail_l[tail_n], tail_r[tail_n] = s, p - p0, q - q0
                        tail_n += 1
                    if probes:
                        for rung in range(1, r + 1):
                            reached[p, rung] += 1
                        rank[p] += s >= mate[p]
                        k = best_s.shape[1] - 1
                        if s > best_s[p, k] or (s == best_s[p, k] and r_order[q] < best_r[p, k]):
                            insert(best_s, best_r, p, s, r_order[q])
            c = 0
            h[0] = 0
            for r in range(top, 0, -1):
                c += h[r]
                h[r] = 0
                row_c[i, r] += c
                row_x[i, r] += c * w
                col_c[j - j0, r] += c
                col_x[j - j0, r] += c * w
                csq[r] += c * c
                sq[r] += np.int64(c * c / (n * n) * unit + 0.5)
                cross[r] += c * n
    return tail_n

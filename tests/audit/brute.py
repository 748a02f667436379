"""Every comparison written out, one at a time: what the one pass must agree with, for small data with exact scores."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from countenance.audit.tallies import Tallies
from countenance.audit.templates import TemplateSet


@dataclass
class Brute:
    """All comparisons of one sweep as lists: (score, left template, right template, left name, right name)."""

    nonmated: list = field(default_factory=list)
    mated: list = field(default_factory=list)


def score(a, b, metric):
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "cosine":
        return float(np.float32(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1)))
    return float(-np.sqrt(np.float32(((a - b) ** 2).sum())))


def within(t: TemplateSet) -> Brute:
    found = Brute()
    for p in range(t.count):
        for q in range(p + 1, t.count):
            row = (score(t.vectors[p], t.vectors[q], t.metric), p, q, name(t, p), name(t, q))
            (found.mated if row[3] == row[4] else found.nonmated).append(row)
    return found


def against(t: TemplateSet, g: TemplateSet, chosen) -> Brute:
    found = Brute()
    for p, r in product(range(t.count), range(len(chosen))):
        if g is t and chosen[r] == p:
            continue
        row = (score(t.vectors[p], g.vectors[chosen[r]], t.metric), p, r, name(t, p), name(g, chosen[r]))
        (found.mated if row[3] == row[4] else found.nonmated).append(row)
    return found


def first_photos(t: TemplateSet):
    return [k for k in range(t.count) if t.subject[k] not in t.subject[:k]]


def name(t, k):
    return t.subjects[t.subject[k]]


def check(tallies: Tallies, sweep, brute: Brute, drop=frozenset()) -> None:
    """Every field of ``sweep`` from its definition. ``drop`` are (left, right) comparisons that were taken away."""
    number = {n: k for k, n in enumerate(tallies.names)}
    cell = {n: int(tallies.cell[k]) for n, k in number.items()}
    nonmated = [r for r in brute.nonmated if r[1:3] not in drop]
    mated = [r for r in brute.mated if r[1:3] not in drop]
    pair_at = {tuple(p): k for k, p in enumerate(sweep.cell_pairs.tolist())}
    grid, ladder = sweep.grid, sweep.ladder
    S, C, L, P = len(number), len(tallies.cells), len(ladder), len(pair_at)

    def pair(a, b):
        key = (cell[a], cell[b])
        return pair_at[tuple(sorted(key)) if sweep.symmetric else key]

    people: dict = {}
    for s, _, _, a, b in nonmated:
        key = tuple(sorted((a, b))) if sweep.symmetric else (a, b)
        people.setdefault(key, []).append(s)
    counts, weights = np.zeros((P, len(grid))), np.zeros((P, len(grid)))
    pairs, size_sq = np.zeros(P), np.zeros(P)
    sq, csq, cross = np.zeros((L, P)), np.zeros((L, P)), np.zeros((L, P))
    rows = {side: [np.zeros((L, S, C)), np.zeros((L, S, C)), np.zeros((S, C)), np.zeros((S, C))] for side in "lr"}
    for (a, b), scores in people.items():
        k, n = pair(a, b), len(scores)
        pairs[k] += 1
        size_sq[k] += n * n
        for s in scores:
            at = np.flatnonzero(grid <= s)[-1]
            counts[k, at] += 1
            weights[k, at] += 1 / n
        c = np.array([sum(s >= t for s in scores) for t in ladder])
        sq[:, k] += (c / n) ** 2
        csq[:, k] += c**2
        cross[:, k] += c * n
        for side, me, other in (("l", a, b), ("l" if sweep.symmetric else "r", b, a)):
            for array, value in zip(rows[side], (c / n, c, 1, n), strict=True):
                array[..., number[me], cell[other]] += value
    assert (sweep.pairs == pairs).all()
    assert (sweep.nonmated == counts).all()
    near = {"rtol": 1e-6, "atol": 1e-9}
    np.testing.assert_allclose(sweep.nonmated_weight, weights, **near)
    d = sweep.dependence
    np.testing.assert_allclose(d.rows, rows["l"][0], rtol=1e-6, atol=1e-6)
    assert (d.row_counts == rows["l"][1]).all()
    assert (d.row_pairs == rows["l"][2]).all()
    assert (d.row_comparisons == rows["l"][3]).all()
    if sweep.symmetric:
        assert d.column_rows is None
    else:
        np.testing.assert_allclose(d.column_rows, rows["r"][0], rtol=1e-6, atol=1e-6)
        assert (d.column_counts == rows["r"][1]).all()
        assert (d.column_pairs == rows["r"][2]).all()
        assert (d.column_comparisons == rows["r"][3]).all()
    np.testing.assert_allclose(d.squares, sq, **near)
    assert (d.count_squares == csq).all()
    assert (d.count_cross == cross).all()
    assert (d.size_squares == size_sq).all()
    check_mated(sweep, mated, number, cell, C)
    tail = sorted([(-s, p, q) for s, p, q, *_ in nonmated if s >= sweep.tail_cut])
    got = list(zip((-sweep.tail.score).tolist(), sweep.tail.left.tolist(), sweep.tail.right.tolist(), strict=True))
    assert got == tail
    low = sorted((s, p, q) for s, p, q, *_ in mated)
    got = zip(
        sweep.mated_low.score.tolist(), sweep.mated_low.left.tolist(), sweep.mated_low.right.tolist(), strict=True
    )
    assert list(got) == low
    if sweep.candidates is not None:
        check_candidates(sweep, nonmated, mated)


def check_mated(sweep, mated, number, cell, cells) -> None:
    per = {}
    for s, _, _, a, _ in mated:
        per.setdefault(a, []).append(s)
    counts, weights = np.zeros((cells, len(sweep.grid))), np.zeros((cells, len(sweep.grid)))
    matches, comparisons = np.zeros((len(sweep.ladder), len(number))), np.zeros(len(number))
    for a, scores in per.items():
        comparisons[number[a]] = len(scores)
        for s in scores:
            counts[cell[a], np.flatnonzero(sweep.grid <= s)[-1]] += 1
            weights[cell[a], np.flatnonzero(sweep.grid <= s)[-1]] += 1 / len(scores)
            matches[:, number[a]] += s >= sweep.ladder
    assert (sweep.mated == counts).all()
    np.testing.assert_allclose(sweep.mated_weight, weights, rtol=1e-9)
    assert (sweep.mated_sums.matches == matches).all()
    assert (sweep.mated_sums.comparisons == comparisons).all()


def check_candidates(sweep, nonmated, mated) -> None:
    c = sweep.candidates
    for p in range(len(sweep.left.subject)):
        strangers = sorted((-s, r) for s, q, r, *_ in nonmated if q == p)
        mates = [s for s, q, *_ in mated if q == p]
        assert c.searched[p] == len(strangers)
        k = min(len(strangers), c.scores.shape[1])
        assert [
            (-s, r) for s, r in zip(c.scores[p, :k].tolist(), c.references[p, :k].tolist(), strict=True)
        ] == strangers[:k]
        assert (c.references[p, k:] == -1).all()
        assert np.isneginf(c.scores[p, k:]).all()
        assert c.counts[:, p].tolist() == [sum(-s >= t for s, _ in strangers) for t in sweep.ladder]
        best = max(mates, default=-np.inf)
        assert c.mated_score[p] == best
        assert c.mated_rank[p] == (1 + sum(-s >= best for s, _ in strangers) if mates else 0)


def same(a, b, path=""):
    if hasattr(a, "__dataclass_fields__"):
        for f in a.__dataclass_fields__:
            same(getattr(a, f), getattr(b, f), f"{path}.{f}")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, path
        np.testing.assert_array_equal(a, b, err_msg=path)
    else:
        assert a == b, path

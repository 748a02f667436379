"""Intervals: the variance against brute force, and what must hold whatever the data."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from countenance.audit.intervals import (
    ClusterSums,
    Dependence,
    Interval,
    PairSums,
    clopper_pearson,
    cluster_rate_interval,
    dependence,
    dependent_zero_bound,
    dyadic_variance,
    guaranteed_bound,
    pair_rate_interval,
    search_rate_interval,
    wilson,
    zero_error_bounds,
)
from countenance.audit.simulate import Wolves, simulate_pair_sums
from countenance.errors import NotEnoughDataError

CERTAIN = -math.log(0.025)


def within(matches: np.ndarray, made: np.ndarray, by_comparison: bool = False) -> PairSums:
    """Sums of a symmetric table: matches and comparisons of each pair of people; made is 0 where not compared."""
    upper = np.triu_indices(len(made), 1)
    compared = made[upper] > 0
    x = matches.astype(float) if by_comparison else np.divide(matches, np.maximum(made, 1))
    weight = made.astype(float) if by_comparison else (made > 0).astype(float)
    c, n = x[upper], weight[upper]
    extra = {"comparisons": n.sum(), "cross": float(c @ n), "size_squares": float(n @ n)} if by_comparison else {}
    return PairSums(int(compared.sum()), float(c.sum()), float(c @ c), x.sum(axis=1), weight.sum(axis=1), **extra)


def across(matches: np.ndarray, made: np.ndarray) -> PairSums:
    x = matches / made
    return PairSums(
        x.size,
        float(x.sum()),
        float((x * x).sum()),
        x.sum(axis=1),
        np.full(x.shape[0], float(x.shape[1])),
        x.sum(axis=0),
        np.full(x.shape[1], float(x.shape[0])),
    )


def brute(residual: dict[tuple[int, int], float], size: float) -> float:
    """Sum over all ordered pairs of pairs that share a subject, each pair with itself once."""
    total = 0.0
    for (i, j), r in residual.items():
        for (k, l), s in residual.items():
            if {i, j} & {k, l}:
                total += r * s
    return total / size**2


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(3, 7))
    made = np.triu(draw(hnp.arrays(np.int64, (n, n), elements=st.integers(0, 4))), 1)
    matches = np.minimum(np.triu(draw(hnp.arrays(np.int64, (n, n), elements=st.integers(0, 4))), 1), made)
    assume(made.sum() > 0)
    return matches + matches.T, made + made.T


@given(tables(), st.booleans())
@settings(deadline=None)
def test_variance_within_a_group_is_the_sum_over_pairs_that_share_a_person(
    table: tuple[np.ndarray, np.ndarray], by_comparison: bool
) -> None:
    matches, made = table
    sums = within(matches, made, by_comparison)
    residual = {}
    for i in range(len(made)):
        for j in range(i):
            if made[i, j]:
                weight = made[i, j] if by_comparison else 1.0
                found = matches[i, j] if by_comparison else matches[i, j] / made[i, j]
                residual[i, j] = found - sums.rate * weight
    assert dyadic_variance(sums) == pytest.approx(brute(residual, sums.size), abs=1e-12)


@given(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 3)),
)
@settings(deadline=None)
def test_variance_across_groups_is_the_sum_over_pairs_that_share_a_person(matches: np.ndarray) -> None:
    made = np.full(matches.shape, 3)
    sums = across(matches, made)
    residual = {
        (i, 100 + j): matches[i, j] / 3 - sums.rate for i in range(matches.shape[0]) for j in range(matches.shape[1])
    }
    assert dyadic_variance(sums) == pytest.approx(brute(residual, sums.size), abs=1e-12)


def test_thinned_sums_have_the_variance_of_thinning_each_pair() -> None:
    rng = np.random.default_rng(3)
    matches = np.triu((rng.random((40, 40)) < 0.2).astype(int), 1)
    matches += matches.T
    made = 1 - np.eye(40, dtype=int)
    sums = within(matches, made)
    kept = replace(sums, keep=0.3)
    assert kept.rate == pytest.approx(0.3 * sums.rate)
    found = []
    for _ in range(4000):
        upper = np.triu(matches * (rng.random(matches.shape) < 0.3), 1)
        found.append(upper.sum() / sums.pairs)
    # Thinning adds its own variance to that of the pairs at the lower threshold, scaled.
    expected = dyadic_variance(kept) - 0.09 * dyadic_variance(sums)
    assert np.var(found) == pytest.approx(expected, rel=0.1)


@given(tables(), st.booleans(), st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None)
def test_an_interval_holds_its_rate_and_is_never_zero_wide_at_zero(
    table: tuple[np.ndarray, np.ndarray], by_comparison: bool, confidence: float
) -> None:
    sums = within(*table, by_comparison)
    found = pair_rate_interval(sums, confidence)
    assert 0.0 <= found.low <= sums.rate <= found.high <= 1.0
    assert found.high > found.low
    assert found.to_json() == [found.low, found.high]


@given(st.integers(0, 60), st.integers(1, 30), st.floats(0.0, 0.25), st.booleans())
@settings(deadline=None)
def test_more_errors_never_lower_an_interval(errors: int, more: int, correlation: float, known: bool) -> None:
    # With one or two errors, and nothing known from a lower threshold, the interval is wider than with three; the same
    # goes for stronger dependence than drawn here.
    assume(known or errors >= 3)

    def disjoint(count: int) -> PairSums:
        # Pairs without a shared person: 200 people, the first 2 * count of them in one match each.
        rows = np.zeros(200)
        rows[: 2 * count] = 1.0
        measured = Dependence(correlation, correlation, 50.0) if known else None
        return PairSums(19_900, count, count, rows, np.full(200, 199.0), known=measured)

    less, greater = pair_rate_interval(disjoint(errors)), pair_rate_interval(disjoint(errors + more))
    assert less.low <= greater.low
    assert less.high <= greater.high


def test_without_errors_the_bounds_are_one_sided_and_never_zero() -> None:
    none = PairSums(4950, 0.0, 0.0, np.zeros(100), np.full(100, 99.0))
    assert pair_rate_interval(none) == Interval(0.0, pytest.approx(CERTAIN / 4950))
    assert zero_error_bounds(4950, 100) == pytest.approx((CERTAIN / 4950, CERTAIN / 50))
    assert zero_error_bounds(3, 3) == (1.0, 1.0)
    assert pair_rate_interval(none, 0.9).high == pytest.approx(-math.log(0.05) / 4950)
    assert dyadic_variance(none) == 0.0
    everything = PairSums(4950, 4950.0, 4950.0, np.full(100, 99.0), np.full(100, 99.0))
    assert pair_rate_interval(everything) == Interval(pytest.approx(1 - CERTAIN / 4950), 1.0)


def test_without_errors_dependence_raises_the_bound() -> None:
    none = PairSums(19_900, 0.0, 0.0, np.zeros(200), np.full(200, 199.0))
    bounds = [dependent_zero_bound(replace(none, known=Dependence(r, r, 50.0))) for r in (0.0, 0.12, 0.2, 0.333)]
    assert bounds[0] == pytest.approx(CERTAIN / 19_900)
    assert bounds == sorted(bounds)
    assert bounds[3] == pytest.approx(10.43 / 19_900, rel=0.01)
    assert dependent_zero_bound(replace(none, known=Dependence(0.3, 0.3, 9.0)), 0.9) < bounds[3]
    tiny = PairSums(3, 0.0, 0.0, np.zeros(3), np.full(3, 2.0), known=Dependence(0.0, 0.0, 3.0))
    assert dependent_zero_bound(tiny) == 1.0
    five = PairSums(10, 0.0, 0.0, np.zeros(5), np.full(5, 4.0), known=Dependence(0.999, 0.999, 3.0))
    assert dependent_zero_bound(five) == 1.0
    with pytest.raises(NotEnoughDataError, match="lower threshold"):
        dependent_zero_bound(none)


def test_what_is_guaranteed_without_an_error_allows_for_dependence() -> None:
    none = PairSums(19_900, 0.0, 0.0, np.zeros(200), np.full(200, 199.0))
    assert guaranteed_bound(none) == pair_rate_interval(none).high
    known = replace(none, known=Dependence(0.2, 0.2, 50.0))
    assert guaranteed_bound(known) == dependent_zero_bound(known) > 1.3 * pair_rate_interval(known).high
    assert guaranteed_bound(known, 0.9) < guaranteed_bound(known)
    some = replace(known, errors=1.0, squares=1.0, rows=np.eye(200)[0] + np.eye(200)[1])
    assert guaranteed_bound(some) == pair_rate_interval(some).high


def test_the_bound_without_errors_is_missed_as_rarely_as_it_says() -> None:
    # No error is seen in at most 2.5 % of draws where the truth is the bound itself; 3.69 / M is missed in far more.
    rate, missed, naively = 10.43 / 19_900, 0, 0
    for seed in range(600):
        low, high = simulate_pair_sums([rate, 4.0 / 19_900], Wolves(1.0), 200, seed=seed)
        missed += low.errors == 0
        naively += high.errors == 0
    assert missed / 600 <= 0.04
    assert naively / 600 > 0.08


def test_a_wolf_widens_the_interval() -> None:
    one_wolf, nobody = np.zeros(100), np.zeros(100)
    one_wolf[:21] = [20.0, *[1.0] * 20]
    nobody[:40] = 1.0
    wide, narrow = (pair_rate_interval(PairSums(4950, 20.0, 20.0, r, np.full(100, 99.0))) for r in (one_wolf, nobody))
    assert wide.high > 2 * narrow.high
    assert wide.low < narrow.low


def test_a_variance_that_is_not_positive_falls_back_on_independent_pairs() -> None:
    # A regular graph: everybody is in one match, so nobody differs and the dyadic variance is negative.
    ring = PairSums(45, 5.0, 5.0, np.ones(10), np.full(10, 9.0))
    assert dyadic_variance(ring) < 0
    found = pair_rate_interval(ring)
    assert found.low < 5 / 45 < found.high
    assert found.high - found.low == pytest.approx(0.18, abs=0.02)
    # Every pair half right: not even pairs differ.
    halves = PairSums(45, 22.5, 11.25, np.full(10, 4.5), np.full(10, 9.0))
    assert pair_rate_interval(halves) != Interval(0.5, 0.5)


def test_mirrored_rates_have_mirrored_intervals() -> None:
    rows = np.zeros(30)
    rows[:7] = [6, 1, 1, 1, 1, 1, 1]
    few = PairSums(435, 6.0, 6.0, rows, np.full(30, 29.0))
    many = PairSums(435, 429.0, 429.0, 29.0 - rows, np.full(30, 29.0))
    low, high = pair_rate_interval(few).to_json()
    assert pair_rate_interval(many).to_json() == pytest.approx([1 - high, 1 - low])


@pytest.mark.parametrize("ratio", [0.0, 0.4, 1.0])
def test_dependence_is_found_where_it_was_put(ratio: float) -> None:
    truth = ratio**2 / (1 + 2 * ratio**2)
    found = [dependence(simulate_pair_sums([0.1], Wolves(ratio), 300, 2, seed=s)[0]) for s in range(20)]
    assert np.mean([d.rows for d in found]) == pytest.approx(truth, abs=0.015)
    assert all(d.rows == d.columns and 1 < d.carriers < 300 for d in found)


def test_dependence_across_groups_is_told_apart_by_side() -> None:
    rng = np.random.default_rng(1)
    a = rng.standard_normal(400)
    match = (a[:, None] + rng.standard_normal((400, 300)) > 2.0).astype(int)
    found = dependence(across(match, np.ones_like(match)))
    assert found.rows == pytest.approx(0.5, abs=0.05)
    assert found.columns < 0.01


def test_extreme_dependence_stays_within_bounds() -> None:
    # One person matches everybody; and nobody matches more often than chance has it.
    star = np.ones(20)
    star[0] = 19.0
    assert 0.0 <= dependence(PairSums(190, 19.0, 19.0, star, np.full(20, 19.0))).rows <= 0.999
    split = np.array([[1, 1, 1, 1], [0, 0, 0, 0]])
    assert dependence(across(split, np.ones_like(split))).rows == 0.999
    assert dependence(PairSums(45, 5.0, 5.0, np.ones(10), np.full(10, 9.0))).rows == 0.0
    assert dependence(PairSums(3, 1.0, 1.0, np.array([1.0, 1.0]), np.ones(2), np.ones(1), np.ones(1))).rows == 0.0


def test_known_dependence_is_a_floor_for_the_variance() -> None:
    rows = np.zeros(200)
    rows[:12] = 1.0
    few = PairSums(19_900, 6.0, 6.0, rows, np.full(200, 199.0))
    weak, strong = (pair_rate_interval(replace(few, known=Dependence(r, r, 50.0))) for r in (0.0, 0.33))
    assert pair_rate_interval(few).freedom == math.inf
    assert strong.freedom == pytest.approx(50.0)  # as many as the dependence, where that is all of the variance
    assert strong.low < weak.low
    assert weak.high < strong.high
    # Six errors that share nobody, and nothing that ties pairs together: close to Garwood's Poisson limits.
    assert weak.high == pytest.approx(13.06 / 19_900, rel=0.1)


def test_clusters_of_one_trial_have_the_exact_interval() -> None:
    errors = np.zeros(120)
    errors[:26] = 1.0
    assert cluster_rate_interval(ClusterSums(errors, np.ones(120))) == clopper_pearson(26, 120)
    assert search_rate_interval(ClusterSums(errors, np.ones(120))) == clopper_pearson(26, 120)
    assert clopper_pearson(26, 120).to_json() == pytest.approx([0.147, 0.301], abs=5e-4)


@given(
    hnp.arrays(np.int64, st.integers(1, 20), elements=st.integers(0, 5)),
    st.data(),
)
@settings(deadline=None)
def test_cluster_interval_holds_its_rate(trials: np.ndarray, data: st.DataObject) -> None:
    assume(trials.sum() > 0)
    errors = np.array([data.draw(st.integers(0, int(t))) for t in trials], dtype=float)
    p = errors.sum() / trials.sum()
    found = cluster_rate_interval(ClusterSums(errors, trials.astype(float)))
    assert 0.0 <= found.low <= p + 1e-12
    assert p - 1e-12 <= found.high <= 1.0
    assert found.low < found.high


def test_clusters_without_or_with_nothing_but_errors_are_bounded_by_their_number() -> None:
    none = cluster_rate_interval(ClusterSums(np.zeros(50), np.full(50, 10.0)))
    assert none == Interval(0.0, pytest.approx(CERTAIN / 50))
    every = cluster_rate_interval(ClusterSums(np.full(50, 10.0), np.full(50, 10.0)))
    assert every == Interval(pytest.approx(1 - CERTAIN / 50), 1.0)


def test_one_bad_subject_does_not_pass_for_many_errors() -> None:
    bad = np.zeros(100)
    bad[0] = 1.0
    found = cluster_rate_interval(ClusterSums(np.where(np.arange(100) == 0, 9.0, bad), np.full(100, 10.0)))
    assert found.high > 0.03
    assert found.high <= clopper_pearson(0.9, 100).high


def test_published_searches_have_their_exact_intervals() -> None:
    assert clopper_pearson(28, 535).to_json() == pytest.approx([0.035, 0.075], abs=5e-4)
    assert clopper_pearson(27, 188).to_json() == pytest.approx([0.097, 0.202], abs=5e-4)
    assert clopper_pearson(0, 10).low == 0.0
    assert clopper_pearson(10, 10).high == 1.0


def test_wilson_is_wilson() -> None:
    # Newcombe 1998, table I: 81 of 263 -> 0.2553 to 0.3662; 15 of 148 -> 0.0624 to 0.1605; 0 of 20 -> 0 to 0.1611.
    assert wilson(81 / 263, 263).to_json() == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert wilson(15 / 148, 148).to_json() == pytest.approx([0.0624, 0.1605], abs=5e-5)
    assert wilson(0.0, 20).to_json() == pytest.approx([0.0, 0.1611], abs=5e-5)


def test_no_data_raises() -> None:
    nothing = PairSums(0, 0.0, 0.0, np.zeros(3), np.zeros(3))
    one = PairSums(1, 0.0, 0.0, np.zeros(2), np.ones(2))
    for call in (
        lambda: pair_rate_interval(nothing),
        lambda: dyadic_variance(nothing),
        lambda: dependence(nothing),
        lambda: dependence(one),
        lambda: cluster_rate_interval(ClusterSums(np.zeros(2), np.zeros(2))),
        lambda: wilson(0.0, 0),
        lambda: clopper_pearson(0, 0),
        lambda: zero_error_bounds(0, 5),
        lambda: zero_error_bounds(1, 1),
    ):
        with pytest.raises(NotEnoughDataError):
            call()


def test_the_page_shows_these_numbers() -> None:
    page = (Path(__file__).parents[2] / "docs" / "estimators" / "intervals.md").read_text()
    rung, sums = simulate_pair_sums([0.1, 0.001], Wolves(0.58), 500, seed=11)
    p, variance, known = sums.rate, dyadic_variance(sums), dependence(rung)
    assert f"{sums.errors:.0f} errors in {sums.pairs:,} pairs, one person in {sums.rows.max():.0f} of them" in page
    assert f"V = {variance * 1e8:.1f}e-8, n_eff = {p * (1 - p) / variance:,.0f}" in page
    for row, found in (
        ("naive, all comparisons independent", wilson(p, sums.pairs)),
        ("Wilson with n_eff (Fogliato et al.)", wilson(p, p * (1 - p) / variance)),
        ("this, without a lower threshold", pair_rate_interval(sums)),
        (
            f"this, rho = {known.rows:.3f} measured at FMR 0.1, {known.carriers:.0f} carriers",
            pair_rate_interval(replace(sums, known=known)),
        ),
    ):
        assert f"| {row} | [{found.low * 1e3:.2f}e-3, {found.high * 1e3:.2f}e-3] |" in page
    ten = np.zeros(400)
    ten[:10] = 1.0
    low, high = cluster_rate_interval(ClusterSums(ten, np.ones(400))).to_json()
    assert f"[{low:.1%}, {high:.1%}]".replace("%", " %") in page

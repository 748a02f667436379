"""The test bench itself, the coverage of the intervals (small; `python -m bench coverage` is the full table), bands."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from countenance.audit.bootstrap import bootstrap_rates, bootstrap_weights, curve_band, curve_draws, rate_band
from countenance.audit.intervals import (
    Interval,
    PairSums,
    cluster_rate_interval,
    dependence,
    dyadic_variance,
    pair_rate_interval,
    search_rate_interval,
    wilson,
)
from countenance.audit.simulate import (
    GroupModel,
    Wolves,
    simulate_mated_sums,
    simulate_pair_sums,
    simulate_scores,
    simulate_search,
    simulate_tail,
    simulate_templates,
)
from countenance.errors import InputError, NotEnoughDataError

# Shares of 600 runs: three standard errors about 93 to 97 %, and above the promised 3.5 %.
LOWEST, HIGHEST, ABOVE = 0.91, 0.99, 0.055


def shares(intervals: list[tuple[Interval, float]]) -> tuple[float, float]:
    """Share of intervals that hold the truth, and of those that lie below it."""
    held = np.mean([i.low <= truth <= i.high for i, truth in intervals])
    return float(held), float(np.mean([truth > i.high for i, truth in intervals]))


@pytest.mark.parametrize(("ratio", "photos"), [(0.0, 1), (0.4, 1), (1.0, 1), (0.58, 5)])
def test_false_match_intervals_cover(ratio: float, photos: int) -> None:
    fmrs = (0.1, 1e-2, 1e-3)
    found: list[list[tuple[Interval, float]]] = [[], []]
    for seed in range(600):
        rung, *drawn = simulate_pair_sums(fmrs, Wolves(ratio), 200, photos, seed=seed)
        known = dependence(rung)
        for k, sums in enumerate(drawn):
            found[k].append((pair_rate_interval(replace(sums, known=known)), fmrs[k + 1]))
    for at_threshold in found:
        held, above = shares(at_threshold)
        assert LOWEST <= held <= HIGHEST
        assert above <= ABOVE


def test_intervals_cover_where_the_plain_and_the_naive_form_do_not() -> None:
    ours, plain, naive = [], [], []
    for seed in range(600):
        (sums,) = simulate_pair_sums([1e-3], Wolves(1.0), 300, 1, seed=seed)
        p, variance = sums.rate, dyadic_variance(sums)
        ours.append((pair_rate_interval(sums), 1e-3))
        plain.append((wilson(p, p * (1 - p) / variance if variance > 0 else sums.pairs), 1e-3))
        naive.append((wilson(p, sums.pairs), 1e-3))
    assert shares(ours)[0] >= LOWEST
    assert shares(ours)[1] <= ABOVE
    assert shares(plain)[1] > 0.06
    assert shares(naive)[0] < 0.6


def test_intervals_across_two_groups_cover() -> None:
    found = []
    for seed in range(400):
        rung, sums = simulate_pair_sums([0.1, 0.01], Wolves(0.58), 150, 1, others=100, seed=seed)
        found.append((pair_rate_interval(replace(sums, known=dependence(rung))), 0.01))
    held, above = shares(found)
    assert LOWEST <= held <= HIGHEST
    assert above <= ABOVE


@pytest.mark.parametrize("photos", [2, 5])
def test_false_nonmatch_intervals_cover(photos: int) -> None:
    found = [(cluster_rate_interval(simulate_mated_sums(0.1, 1.0, 300, photos, seed=s)), 0.1) for s in range(600)]
    held, above = shares(found)
    assert LOWEST <= held <= HIGHEST
    assert above <= ABOVE


@pytest.mark.parametrize(("photos", "kind"), [(1, "normal"), (4, "normal"), (1, "few")])
def test_search_intervals_cover_the_gallery_that_was_searched(photos: int, kind: str) -> None:
    ratio = 0.58 if kind == "normal" else 0.2
    found = []
    for seed in range(300):
        sums, truth = simulate_search(0.3, Wolves(ratio, kind), 200, 150, photos, seed=seed)
        found.append((search_rate_interval(sums), truth))
    held, above = shares(found)
    assert 0.9 <= held <= 0.995
    assert above <= 0.06


@pytest.mark.parametrize(
    ("wolves", "photos"),
    [(Wolves(0.0), 1), (Wolves(0.5), 1), (Wolves(0.3), 4), (Wolves(0.3), 12), (Wolves(0.2, "few"), 1)],
)
def test_a_population_has_the_error_rate_it_was_given(wolves: Wolves, photos: int) -> None:
    fmrs = [0.3, 0.05, 0.005]
    drawn = np.array(
        [[s.rate for s in simulate_pair_sums(fmrs, wolves, 100, photos, seed=seed)] for seed in range(300)]
    )
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(axis=0) - fmrs) < 4 * error)


@pytest.mark.parametrize("photos", [1, 3])
def test_a_simulated_tail_is_that_of_its_population(photos: int) -> None:
    wolves, fmrs = Wolves(0.4), np.array([0.1, 0.02, 0.004])
    at = np.array([wolves.threshold(p) for p in fmrs])
    tails = [simulate_tail(0.1, wolves, 80, photos, seed=seed) for seed in range(300)]
    rates = np.array([tail.rates(np.maximum(at, tail.cut)) for tail in tails])
    assert np.all(np.abs(rates.mean(axis=0) - fmrs) < 4 * rates.std(axis=0) / np.sqrt(300))
    # wolves are in it, and photos share the likeness of their people, as in the sums that are drawn without scores
    for squares in ("squares", "rows"):
        ours = [np.square(getattr(t.sums(t.cut), squares)).sum() for t in tails]
        sums = [simulate_pair_sums([0.1], wolves, 80, photos, seed=seed)[0] for seed in range(300)]
        theirs = [np.square(getattr(x, squares)).sum() for x in sums]
        assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.1)
    first = tails[0]
    assert np.all(np.diff(first.score) <= 0)
    assert first.score[-1] >= first.cut == at[0]
    assert np.all(first.first > first.second)


def test_photos_share_the_likeness_of_their_people() -> None:
    # Two comparisons of one pair of people correlate by PAIR_SHARE: a share of 4 comparisons varies accordingly.
    squares = np.mean([simulate_pair_sums([0.05], Wolves(0.0), 150, 2, seed=s)[0].squares for s in range(60)])
    t = stats.norm.isf(0.05)
    both = float(stats.multivariate_normal.cdf([-t, -t], cov=[[1.0, 0.5], [0.5, 1.0]]))
    assert squares / (150 * 149 / 2) == pytest.approx(0.05 / 4 + both * 3 / 4, rel=0.02)


def test_the_same_seed_draws_the_same_population() -> None:
    first, second, other = (simulate_pair_sums([0.05], Wolves(0.5), 60, 3, seed=s)[0] for s in (4, 4, 5))
    assert np.array_equal(first.rows, second.rows)
    assert not np.array_equal(first.rows, other.rows)


@pytest.mark.parametrize("fmrs", [[], [0.01, 0.1], [0.1, 0.1]])
def test_error_rates_must_fall(fmrs: list[float]) -> None:
    with pytest.raises(InputError, match="falling"):
        simulate_pair_sums(fmrs, Wolves(0.0), 10)


@pytest.mark.parametrize("sizes", [(0, 5, 1), (5, 0, 1), (5, 5, 0)])
def test_a_search_takes_somebody_on_both_sides(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="at least one probe"):
        simulate_search(0.1, Wolves(0.0), *sizes)


@pytest.mark.parametrize("wolves", [Wolves(0.7), Wolves(0.3, "few")])
def test_thresholds_and_error_rates_are_each_others_inverse(wolves: Wolves) -> None:
    for fmr in (0.2, 1e-3, 1e-5):
        assert wolves.fmr(wolves.threshold(fmr)) == pytest.approx(fmr, rel=1e-6)
    assert wolves.draw(200_000, np.random.default_rng(0)).std() == pytest.approx(wolves.ratio, rel=0.03)


def test_a_table_of_scores_has_the_rates_it_says() -> None:
    groups = {"x": GroupModel(40, photos=3, shift=0.5), "y": GroupModel(60, photos=2, separation=3.0)}
    seen: dict[str, list[float]] = {"x": [], "y": [], "xy": [], "miss": []}
    for seed in range(40):
        table = simulate_scores(groups, Wolves(0.3), seed=seed)
        group = np.array(table.subject_group)
        a, b = group[table.probe_subject], group[table.reference_subject]
        match = table.score >= 2.0
        for name in ("x", "y"):
            seen[name].append(float(match[~table.mated & (a == name) & (b == name)].mean()))
        seen["xy"].append(float(match[a != b].mean()))
        seen["miss"].append(float(1 - match[table.mated & (a == "y")].mean()))
    truth = {
        "x": table.fmr(2.0, "x"),
        "y": table.fmr(2.0, "y"),
        "xy": table.fmr(2.0, "x", "y"),
        "miss": table.fnmr(2.0, "y"),
    }
    for name, values in seen.items():
        assert abs(np.mean(values) - truth[name]) < 4 * np.std(values) / np.sqrt(len(values))
    assert truth["x"] > truth["xy"] > truth["y"]
    assert table.score.size == 240 * 239 // 2
    assert table.photo_subject.size == 240


def test_templates_have_the_false_match_rate_of_the_sphere() -> None:
    drawn = simulate_templates(400, 2, dimension=8, likeness=0.9, seed=1)
    assert np.linalg.norm(drawn.templates, axis=1) == pytest.approx(np.ones(800), abs=1e-6)
    cosine = drawn.templates @ drawn.templates.T
    strangers = drawn.subject[:, None] != drawn.subject[None, :]
    for threshold in (-0.3, 0.0, 0.4, 0.8):
        assert (cosine[strangers] >= threshold).mean() == pytest.approx(drawn.fmr(threshold), abs=0.004)
    same = ~strangers & ~np.eye(800, dtype=bool)
    assert cosine[same].mean() == pytest.approx(0.81, abs=0.01)


def curve(seed: int, fmrs: np.ndarray, n: int = 80) -> tuple[np.ndarray, list[Interval], np.ndarray]:
    """Rates, intervals and replicates of one simulated curve."""
    wolves = Wolves(0.58)
    thresholds = np.array([wolves.threshold(p) for p in fmrs])
    rng = np.random.default_rng(seed)
    a = wolves.draw(n, rng)
    i, j = np.triu_indices(n, 1)
    level = np.searchsorted(thresholds, a[i] + a[j] + rng.standard_normal(i.size), side="right") - 1
    rates, intervals = [], []
    for k in range(len(fmrs)):
        match = level >= k
        rows = (np.bincount(i[match], minlength=n) + np.bincount(j[match], minlength=n)).astype(float)
        sums = PairSums(i.size, float(match.sum()), float(match.sum()), rows, np.full(n, n - 1.0))
        rates.append(sums.rate)
        intervals.append(pair_rate_interval(sums))
    seen = level >= 0
    weights = bootstrap_weights(n, 150, seed=7)
    replicates = bootstrap_rates(i[seen], j[seen], np.ones(seen.sum()), level[seen], len(fmrs), weights)
    return np.array(rates), intervals, replicates


def test_a_band_holds_the_whole_curve_as_often_as_it_says() -> None:
    fmrs = np.array([0.2, 0.1, 0.05, 0.02])
    whole, single = [], []
    for seed in range(200):
        rates, intervals, replicates = curve(seed, fmrs)
        band = curve_band(rates, intervals, replicates)
        assert band.widening >= 1.0
        assert np.all(band.low <= rates)
        assert np.all(rates <= band.high)
        whole.append(bool(np.all((band.low <= fmrs) & (fmrs <= band.high))))
        single.append(all(i.low <= p <= i.high for i, p in zip(intervals, fmrs, strict=True)))
    assert 0.9 <= np.mean(whole) <= 0.99
    assert np.mean(single) < np.mean(whole)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_band_from_sums_alone_holds_the_whole_curve_too(ratio: float) -> None:
    fmrs = np.geomspace(0.1, 3e-5, 12)  # from 1,200 errors expected to a third of one
    held = np.zeros(2)
    for seed in range(200):
        sums = simulate_pair_sums(fmrs.tolist(), Wolves(ratio), 160, seed=seed)
        known = dependence(sums[0])
        sums = [sums[0], *(replace(one, known=known) for one in sums[1:])]
        single = [pair_rate_interval(one) for one in sums]
        band = rate_band(sums, single)
        assert band.widening > 1.0
        held[0] += np.all((band.low <= fmrs) & (fmrs <= band.high))
        held[1] += all(i.low <= p <= i.high for i, p in zip(single, fmrs, strict=True))
    assert 0.9 <= held[0] / 200 <= 0.99
    assert held[1] < held[0] - 5


def test_deviations_along_a_curve_are_correlated_as_the_dyadic_variance_is() -> None:
    one = PairSums(6, 3.0, 3.0, np.array([3.0, 1.0, 1.0, 1.0]), np.full(4, 3.0))
    none = PairSums(6, 0.0, 0.0, np.zeros(4), np.full(4, 3.0))
    high = PairSums(6, 1.0, 1.0, np.array([1.0, 1.0, 0.0, 0.0]), np.full(4, 3.0))
    drawn = curve_draws([one, high, none], 20_000, seed=3)
    x, y = np.array([1, 1, 1, 0, 0, 0]) - 1 / 2, np.array([1, 0, 0, 0, 0, 0]) - 1 / 6  # pairs 01 02 03 12 13 23
    ends = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 0, 1, 1, 0], [0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 1, 1]])
    # at the second threshold people differ less than chance alone would have them: its pairs count as independent
    variance = (ends @ x) @ (ends @ x) - x @ x, y @ y
    assert (ends @ y) @ (ends @ y) < 2 * y @ y
    expected = x @ y / np.sqrt(np.prod(variance))
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(expected, abs=0.02)
    assert drawn.std(axis=0) == pytest.approx([1.0, 1.0, 0.0], abs=0.02)
    assert np.array_equal(drawn, curve_draws([one, high, none], 20_000, seed=3))


def test_a_replicate_of_everybody_once_is_the_estimate() -> None:
    rates, intervals, _ = curve(3, np.array([0.2, 0.05]))
    i, j = np.array([0, 1, 2, 0]), np.array([1, 2, 3, 3])
    share, level = np.array([1.0, 0.5, 1.0, 0.25]), np.array([0, 1, 1, 0])
    once = bootstrap_rates(i, j, share, level, 2, np.ones((1, 4), dtype=np.uint16))
    assert once[0] == pytest.approx([2.75 / 6, 1.5 / 6])
    # Subject 1 twice, subject 3 not at all: pairs (0,1), (1,2) count twice, those of 3 not; 5 pairs are left.
    twice = bootstrap_rates(i, j, share, level, 2, np.array([[1, 2, 1, 0]], dtype=np.uint16))
    assert twice[0] == pytest.approx([3.0 / 5, 1.0 / 5])
    weights = bootstrap_weights(50, 20, seed=1)
    assert weights.sum(axis=1).tolist() == [50] * 20
    assert np.array_equal(weights, bootstrap_weights(50, 20, seed=1))
    flat = curve_band(rates, intervals, np.repeat(rates[None], 10, axis=0))
    assert flat.widening == 1.0
    assert flat.low == pytest.approx([i.low for i in intervals])


def test_bands_keep_what_they_cannot_widen() -> None:
    rates, intervals, replicates = curve(3, np.array([0.2, 0.05]))
    none = Interval(0.0, 0.01)
    band = curve_band(np.array([*rates, 0.0]), [*intervals, none], np.column_stack([replicates, np.zeros(150)]))
    assert (band.low[2], band.high[2]) == (0.0, 0.01)
    with pytest.raises(NotEnoughDataError):
        curve_band(np.zeros(2), [none, none], np.zeros((5, 2)))
    with pytest.raises(NotEnoughDataError):
        bootstrap_weights(1, 5, seed=0)

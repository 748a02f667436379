"""Measures of inequality: as published, against chance, with intervals that cover, bounds where nothing was seen."""

import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from estimator_people import tallies
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom, kstest, poisson, skew, spearmanr, t

from countenance.audit import inequality, spread
from countenance.audit.differentials import differentials
from countenance.audit.inequality import (
    contrasts,
    fdr,
    garbe,
    gini,
    max_geomean,
    max_min,
    measured,
)
from countenance.audit.intervals import Interval, wilson
from countenance.audit.rates import false_match, snap
from countenance.audit.result import Estimate
from countenance.audit.spread import KNOWN, KNOWN_OF_EQUALS, Spread, effective_trials

PAGE = Path(__file__).parents[2] / "docs" / "estimators" / "differentials.md"
rates = st.lists(st.floats(1e-6, 1), min_size=2, max_size=8).map(np.array)
CROWD = {"people": 200, "shift": 1.0}


def by_definition(x):
    """GARBE's Gini as printed: n/(n-1) * sum_ij |x_i - x_j| / (2 n^2 mean)."""
    n = len(x)
    total = sum(abs(a - b) for a, b in itertools.product(x, x))
    return n / (n - 1) * total / (2 * n * n * np.mean(x))


@given(rates)
def test_measures_are_those_published(x):
    assert gini(x) == pytest.approx(by_definition(x))
    assert max_min(x) == pytest.approx(max(x) / min(x))
    assert max_geomean(x) == pytest.approx(max(x) / math.prod(x) ** (1 / len(x)))
    other = x[::-1] / 2
    spread = 0.25 * (max(x) - min(x)) + 0.75 * (max(other) - min(other))
    assert fdr(x, other, 0.25) == pytest.approx(1 - spread)
    assert garbe(x, other, 0.25) == pytest.approx(0.25 * by_definition(x) + 0.75 * by_definition(other))


@given(rates, st.floats(0.01, 1), st.randoms())
def test_ratios_do_not_depend_on_scale_nor_order(x, scale, random):
    shuffled = np.array(random.sample(list(x), len(x))) * scale
    for measure in (max_min, max_geomean, gini):
        assert measure(shuffled) == pytest.approx(measure(x))
        assert measure(np.full(7, x[0])) == (0.0 if measure is gini else 1.0)  # not all but equal


def test_worked_figures():
    """Equal and opposite systems of de Freitas Pereira and Marcel; one group with all errors has Gini 1."""
    assert fdr(np.array([0.001, 0.001]), np.array([0.02, 0.02])) == 1.0
    assert fdr(np.array([0.0, 1.0]), np.array([1.0, 0.0])) == 0.0
    assert gini(np.array([0.0, 0.0, 0.0, 0.4])) == pytest.approx(1.0)
    assert gini(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(1 / 3)
    assert garbe(np.array([1e-4, 2e-4]), np.array([0.03, 0.03])) == pytest.approx(1 / 6)


def test_zeros():
    assert max_min(np.array([0.0, 0.1])) == np.inf
    assert max_geomean(np.array([0.0, 0.1])) == np.inf
    for measure, equal in ((max_min, 1.0), (max_geomean, 1.0), (gini, 0.0)):
        assert measure(np.zeros(3)) == equal


def test_eight_equal_groups_with_ten_errors_each():
    """By chance alone max/min is 2.5 in the middle and above 5.0 one time in twenty."""
    same = [Estimate(1e-4, None, errors=10, trials=100_000)] * 8
    found = measured(max_min, Spread.of(same, np.random.default_rng(0)))
    assert found.under_no_difference == pytest.approx((2.5, 5.0), rel=0.1)
    assert found.interval is None
    assert "who was compared" in found.reason


def rate(errors, trials):
    return Estimate(errors / trials, wilson(errors / trials, trials), errors=errors, trials=trials)


def test_effective_trials_undo_the_width_of_an_interval():
    assert effective_trials(rate(100, 100_000)) == pytest.approx(100_000, rel=0.02)
    assert effective_trials(rate(100, 100_000)) > effective_trials(
        Estimate(1e-3, Interval(5e-4, 2e-3), errors=100, trials=100_000)
    )
    assert effective_trials(Estimate(0.0, Interval(0.0, 3.6889e-3), errors=0, trials=9)) == pytest.approx(
        1000, rel=1e-4
    )
    assert effective_trials(Estimate(0.5, None, trials=70)) == 70
    assert effective_trials(Estimate(0.5, Interval(0.0, 1.0))) == 1.0


@pytest.mark.parametrize("truth", [(1.0, 1.0, 1.0, 3.0), (1.0, 1.2, 1.5, 6.0)])
def test_intervals_cover(truth):
    random = np.random.default_rng(4)
    inside = excluded = 0
    for _ in range(40):
        counts = random.poisson(25 * np.array(truth))
        found = measured(max_min, Spread.of([rate(int(c), 1_000_000) for c in counts], random))
        inside += found.interval.low <= max(truth) <= found.interval.high
        excluded += found.p_value < 0.05
    assert inside >= 34
    assert excluded >= 36


def test_equal_groups_are_rarely_called_unequal():
    random = np.random.default_rng(5)
    counts = random.poisson(20, size=(200, 5))
    found = [measured(max_min, Spread.of([rate(int(c), 10**6) for c in row], random)) for row in counts]
    assert sum(f.p_value < 0.05 for f in found) <= 20
    assert 2 <= sum(f.interval.low > 1.0 for f in found) <= 20  # near 5 %: all of the error is spent on this side
    assert all((f.interval.low > 1.0) == (f.p_value < 0.05) for f in found)


def test_a_guess_has_groups_closer_to_their_camp_as_far_as_luck_may_have_parted_them():
    """Here the two upper ones, which chance may have parted, and three lower ones, of which one is further off."""
    found = Spread.of([rate(e, 10**6) for e in (118, 30, 60, 33, 120)], np.random.default_rng(0))
    errors = [np.exp(guess + math.log(10**6)) for guess in found.guesses]
    assert [list(np.round(np.sort(e), 0)) for e in errors] == [list(np.round(e, 0)) for e in errors]  # rising
    near, only = errors
    assert near[3:] == pytest.approx([119, 119], abs=0.1)
    assert 30 < near[0] < 32 < 33 < near[1] < 36
    assert 55 < near[2] < 60
    assert only[4] == pytest.approx(120, abs=0.1)  # alone in its camp
    assert only[3] < 117


@pytest.mark.parametrize(("size", "by"), [(2, 0.5), (3, 1.5), (4, 3.0), (8, 14.0)])
def test_shrinking_is_by_how_far_groups_are_apart(size, by):
    sure = np.linspace(0.5, 1.0, size)
    place = 10.0 + 4.0 * np.arange(size)
    mean = np.average(place, weights=sure**-2)
    apart = (((place - mean) / sure) ** 2).sum()
    assert spread._shrunk(place, sure) == pytest.approx(mean + (1 - by / apart) * (place - mean))
    together = place * 0.99 * math.sqrt(by / apart)
    assert spread._shrunk(together, sure) == pytest.approx(np.full(size, np.average(together, weights=sure**-2)))
    assert spread._shrunk(np.ones(size), sure) == pytest.approx(np.ones(size))


def test_two_groups_have_one_guess_and_equal_ones_too():
    two = Spread.of([rate(30, 10**6), rate(60, 10**6)], np.random.default_rng(0))
    assert [list(g) for g in two.guesses] == [pytest.approx(two.place)]
    equal = Spread.of([rate(30, 10**6)] * 3, np.random.default_rng(0))
    assert np.concatenate(equal.guesses) == pytest.approx(np.repeat(equal.place[0], 6))


@given(st.lists(st.integers(5, 300), min_size=2, max_size=7), st.sampled_from(["max_min", "max_geomean", "gini"]))
def test_truths_on_the_way_to_equality_are_nearest_of_all_that_are_as_unequal(counts, name):
    """Tried against truths a little to the side; and the way is ever more unequal, from equal to beyond the guess."""
    measure = {"max_min": max_min, "max_geomean": max_geomean, "gini": gini}[name]
    found = Spread.of([rate(e, 10**6) for e in counts], np.random.default_rng(0))

    def unequal(rates, *, ordered=False):
        return measure(*rates, ordered=ordered)

    guess = found.guesses[0]
    path = [logits for (logits,) in inequality._path(unequal, [found], [guess])]
    values = [float(measure(expit(p))) for p in path]
    assert np.diff(values).min() > -1e-9
    assert np.ptp(path[0]) == pytest.approx(0.0)
    at = next(k for k, logits in enumerate(path) if logits is guess)
    assert values[-1] > values[at] + 1e-3
    if name == "gini":
        return  # its slope changes, so only nearly the nearest
    random = np.random.default_rng(1)
    for step, (truth, value) in list(enumerate(zip(path, values, strict=True)))[1::3]:
        for size in (1e-3, 0.05):
            other = truth + size * random.standard_normal(truth.shape)
            if step > at and np.diff(other).min() < 0.0:
                continue  # not in the order of the groups
            if (float(measure(expit(other))) - value) * (at - step) <= 0.0:
                assert (
                    np.sum(((other - guess) / found.error) ** 2) >= np.sum(((truth - guess) / found.error) ** 2) - 1e-6
                )


def test_of_two_guesses_the_lower_ends_hold():
    found = Spread.of([rate(e, 10**6) for e in (20, 26, 60, 70)], np.random.default_rng(0))

    def unequal(rates, *, ordered=False):
        return gini(*rates, ordered=ordered)

    seen, at_equal = float(gini(found.rates)), gini(found.at_equal, ordered=True)
    one, other = (inequality._ends(unequal, [found], [guess], seen, at_equal) for guess in found.guesses)
    assert one[0] != pytest.approx(other[0], rel=0.01)
    assert one[1] != pytest.approx(other[1], rel=0.01)
    interval = measured(gini, found).interval
    assert (interval.low, interval.high) == pytest.approx((min(one[0], other[0]), min(one[1], other[1])))


def test_what_is_measured_of_a_count_is_a_count():
    """As lopsided as one, and whole, so that groups may be measured as exactly equal."""
    found = Spread.of([rate(e, 10**6) for e in (9, 31, 60, 119)], np.random.default_rng(0))
    far = expit(found.place + np.array([0.0, 0.0, 0.0, 5.0]))  # so that sorting leaves the others as they are
    errors = found.outcome(logit(far)) * 10**6
    assert errors == pytest.approx(np.rint(errors))
    assert [skew(errors[:, at]) for at in (1, 2)] == pytest.approx([31**-0.5, 60**-0.5], abs=0.15)
    wide = np.quantile(errors[:, 2], [0.025, 0.975])
    assert wide == pytest.approx(poisson.ppf([0.025, 0.975], 60), rel=0.05)
    few = Spread.of([rate(c, 400) for c in (10, 20)], np.random.default_rng(0))
    assert few.own == pytest.approx(1 / np.array([10 * 0.975, 20 * 0.95]))  # Wilson's interval is a little narrower


def test_what_counting_adds_is_as_lopsided_as_a_count():
    normal, rates = np.random.default_rng(0).standard_normal((200_000, 2)), np.array([0.05, 0.5])
    found = expit(logit(rates) + spread._counted(normal, rates, 1.0 / (400 * rates * (1.0 - rates))))
    drawn = binom(400, rates)
    assert found.mean(axis=0) == pytest.approx(rates, rel=2e-3)
    assert found.std(axis=0) == pytest.approx(drawn.std() / 400, rel=0.01)
    assert skew(found) == pytest.approx(drawn.stats("s"), abs=0.02)


def test_how_poorly_a_variance_is_known_makes_tails_and_not_width():
    """The interval's own quantile is taken out, and few degrees of freedom come back as Student's t."""
    ends = [float(1 / (1 + np.exp(-(logit(1e-3) + shift)))) for shift in (-0.3, 0.3)]
    found = []
    for freedom in (8.0, math.inf):
        one = Estimate(1e-3, Interval(*ends, freedom=freedom), errors=10_000, trials=10**7)
        found.append(Spread.of([one] * 2, np.random.default_rng(0)))
    few, many = found
    assert few.error / many.error == pytest.approx([t.ppf(0.975, 1e6) / t.ppf(0.975, 8.0)] * 2, rel=0.01)
    extreme = [np.quantile(np.abs(f.drawing), 0.99) for f in found]
    assert extreme[0] > 1.4 * extreme[1]
    assert kstest(few.drawing.ravel(), t(KNOWN * 8.0).cdf).pvalue > 0.01


@pytest.mark.parametrize("freedom", [1.0, 8.0, 40.0])
def test_at_equality_more_is_known_of_a_variance(freedom):
    """The same draws as elsewhere, with lighter tails. There is nearly no counting here."""
    ends = [float(expit(logit(1e-3) + shift)) for shift in (-0.3, 0.3)]
    one = Estimate(1e-3, Interval(*ends, freedom=freedom), errors=10**7, trials=10**10)
    found = Spread.of([one] * 2, np.random.default_rng(0))
    elsewhere, at_equal = ((logit(d) - found.equal) / found.error for d in (found.outcome(found.equal), found.at_equal))
    less = max(KNOWN * freedom, 2.0)
    assert kstest(elsewhere.ravel(), t(less).cdf).pvalue > 0.01
    assert kstest(at_equal.ravel(), t(KNOWN_OF_EQUALS / KNOWN * less).cdf).pvalue > 0.01
    assert np.abs(at_equal).max() < np.abs(elsewhere).max()
    assert spearmanr(at_equal[:, 0], elsewhere[:, 0]).statistic > 0.999


def test_the_logarithm_of_a_rate_varies_by_less_than_the_rate():
    """Counting apart: a relative standard error of 0.6 is one of sqrt(ln 1.36) of the logarithm, if lognormal."""
    ends = [float(1 / (1 + np.exp(-(logit(1e-3) + shift)))) for shift in (-1.96 * 0.6, 1.96 * 0.6)]
    one = Estimate(1e-3, Interval(*ends), errors=10**6, trials=10**9)
    assert Spread.of([one] * 2, np.random.default_rng(0)).error == pytest.approx(
        [math.sqrt(math.log(1.36))] * 2, rel=1e-3
    )


def test_intervals_that_reach_further_up_move_what_may_be_measured_further_down():
    """Where people cause most of the variance, and the interval reaches twice as far up as down."""
    middle = 1e-3
    ends = (1 / (1 + np.exp(-(logit(middle) + shift))) for shift in (-0.3, 0.6))
    one = Estimate(middle, Interval(*map(float, ends)), errors=10_000, trials=10**7)
    found = Spread.of([one] * 2, np.random.default_rng(0))
    measured_there = logit(found.outcome(found.equal)) - logit(middle)
    assert np.quantile(measured_there, [0.025, 0.975]) == pytest.approx((-0.6, 0.3), rel=0.1)


def test_groups_measured_as_equal_may_differ():
    same = Spread.of([rate(20, 10**6)] * 4, np.random.default_rng(0))
    found = measured(max_min, same)
    assert found.interval.low == 1.0
    median, _ = found.under_no_difference
    assert median < found.interval.high < 2.0 * median
    almost = measured(max_min, Spread.of([rate(e, 10**6) for e in (19, 20, 20, 20)], np.random.default_rng(0)))
    assert almost.interval.high == pytest.approx(found.interval.high, rel=0.1)  # that they were so equal was luck


def test_where_all_that_was_tried_is_excluded_the_end_is_not_equality():
    truth = np.array([1.0, 2.0, 3.0])
    assert inequality._crossing([-3.0, -2.0, -1.0].__getitem__, truth) == 3.0
    assert inequality._crossing([-3.0, -2.0, 2.0].__getitem__, truth) == 2.5
    assert inequality._crossing([0.0, 1.0, 2.0].__getitem__, truth) == 1.0


def test_exactly_equal_groups_have_an_interval_from_equality_up():
    found = measured(max_min, Spread.of([rate(20, 10**6)] * 3, np.random.default_rng(0)))
    assert found.value == 1.0
    assert found.interval.low == 1.0 < found.interval.high
    assert found.p_value == 1.0


def test_a_discrepancy_rate_falls_with_inequality():
    random = np.random.default_rng(0)
    fmr = Spread.of([rate(20, 1000), rate(200, 1000)], random)
    fnmr = Spread.of([rate(50, 500), rate(60, 500)], random)
    found = measured(fdr, fmr, fnmr, falls=True)
    assert found.interval.low < found.value < found.interval.high < 1.0
    assert found.under_no_difference[1] < found.under_no_difference[0] <= 1.0
    assert found.p_value < 0.01


def test_contrasts_name_the_group_and_adjust_for_their_number():
    rows = contrasts(["a", "b", "c"], [rate(20, 10**5), rate(22, 10**5), rate(80, 10**5)])
    assert [r["name"] for r in rows] == ["a", "b", "c"]
    assert rows[2]["ratio"] == pytest.approx(80 / 21, rel=1e-3)
    assert rows[2]["p_adjusted"] < 0.001
    alone = contrasts(["a", "c"], [rate(20, 10**5), rate(80, 10**5)])
    assert alone[0]["p_adjusted"] == pytest.approx(alone[1]["p_adjusted"], rel=1e-6)
    none = contrasts(["a", "b"], [rate(0, 1000), rate(5, 1000)])
    assert none[1] == {"name": "b", "ratio": None, "p_adjusted": None}
    assert none[0]["ratio"] == 0.0
    assert contrasts(["a", "b"], [Estimate(0.1, None, trials=9)] * 2)[0]["p_adjusted"] is None


def at(found, threshold):
    return snap(found.verification, threshold)


def test_differentials_of_an_audit():
    found = tallies(**CROWD)
    groups, threshold = found.groups(["gender"]), at(found, 0.9)
    result = differentials(found, found.verification, groups, threshold)
    fmr = [false_match(found, found.verification, g, threshold).value for g in groups]
    assert result.max_min.value == pytest.approx(max(fmr) / min(fmr))
    assert result.max_geomean.value == pytest.approx(math.sqrt(max(fmr) / min(fmr)))
    assert result.max_min.interval.low > 1.0
    assert result.verdict.startswith("Groups differ in FMR")
    assert "female" in result.verdict
    assert result.garbe.interval.low <= result.garbe.value <= result.garbe.interval.high
    assert result.fdr.interval.low <= result.fdr.value <= result.fdr.interval.high
    assert differentials(found, found.verification, groups, threshold) == result
    printed = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert set(printed["max_min"]) >= {"value", "interval", "under_no_difference"}
    assert printed["alpha"] == 0.5


def test_groups_alike_cannot_be_told_apart():
    found = tallies(people=200)
    result = differentials(found, found.verification, found.groups(["gender"]), at(found, 0.8))
    assert result.verdict.startswith("This test could not tell")
    assert result.max_min.p_value > 0.05


def test_alpha_moves_the_weights():
    found = tallies(**CROWD)
    groups, threshold = found.groups(["gender"]), at(found, 0.9)
    only_fmr = differentials(found, found.verification, groups, threshold, alpha=1.0)
    fmr = np.array([false_match(found, found.verification, g, threshold).value for g in groups])
    assert only_fmr.garbe.value == pytest.approx(gini(fmr))
    assert only_fmr.fdr.value == pytest.approx(1 - np.ptp(fmr))


def test_intersections_and_groups_too_small_to_speak_of():
    columns = (("gender", ("female", "male")), ("kind", ("a",) * 18 + ("b",) * 2))
    found = tallies(people=100, shift=0.5, groups=columns)
    groups = found.groups(["gender", "kind"])
    result = differentials(found, found.verification, groups, at(found, 0.8))
    assert result.by == ("gender", "kind")
    assert result.left_out == ("female, b: 5 people", "male, b: 5 people")
    assert len(result.contrasts) == 2


def test_too_high_a_threshold_leaves_nothing_to_compare():
    found = tallies(**CROWD)
    sweep, groups = found.verification, found.groups(["gender"])
    none = differentials(found, sweep, groups, float(sweep.grid[-1]))
    assert none.max_min.value is None
    assert "no group had a false match" in none.verdict
    rare = differentials(found, sweep, groups, float(sweep.grid[np.searchsorted(sweep.grid, sweep.tail.score[1]) - 1]))
    assert len(rare.left_out) == 2
    assert "fewer than two" in rare.verdict
    assert rare.to_json()["fnmr_max_min"] is None
    assert differentials(found, sweep, [], 0.5).by == ()


def test_a_group_without_errors_bounds_the_ratio():
    found = tallies(**CROWD)
    sweep, groups = found.verification, found.groups(["gender"])
    errors = [[false_match(found, sweep, g, float(t)).errors for g in groups] for t in sweep.grid[-900::10]]
    rung = next(k for k, e in enumerate(errors) if min(e) == 0 and max(e) > 8)
    result = differentials(found, sweep, groups, float(sweep.grid[-900::10][rung]))
    assert result.max_min.value is None
    found_at = [false_match(found, sweep, g, result.threshold).interval for g in groups]
    expected = max(1.0, max(i.low for i in found_at) / min(i.high for i in found_at))
    assert result.max_min.at_least == pytest.approx(expected)
    assert result.max_geomean.at_least <= result.max_min.at_least
    assert "no error was seen in male" in result.max_min.reason
    assert result.max_min.p_value < 0.1
    assert "at least" in result.verdict
    blind = differentials(found, replace(sweep, dependence=None, mated_sums=None), groups, result.threshold)
    assert blind.max_min.at_least is None
    assert blind.max_min.reason.endswith("has no value")
    json.dumps(result.to_json(), allow_nan=False)


def test_without_people_values_stand_alone():
    found = tallies(**CROWD)
    blind = replace(found.verification, dependence=None, mated_sums=None)
    result = differentials(found, blind, found.groups(["gender"]), at(found, 0.9))
    assert result.max_min.value > 1
    assert result.max_min.interval is result.max_min.p_value is None
    assert "who was compared" in result.max_min.reason
    assert "not known who was compared" in result.verdict


def test_without_mated_comparisons_or_misses():
    found = tallies(**CROWD)
    sweep, groups = found.verification, found.groups(["gender"])
    alone = replace(sweep, mated=np.zeros_like(sweep.mated), mated_weight=np.zeros_like(sweep.mated_weight))
    result = differentials(found, alone, groups, at(found, 0.9))
    assert result.max_min.value > 1
    assert result.garbe.value is result.fdr.value is None
    assert "two photos" in result.garbe.reason
    lenient = differentials(found, sweep, groups, at(found, 0.0))
    assert lenient.garbe.value is None
    assert lenient.fdr.value is not None


def test_impossible_draws_are_not_printed():
    random = np.random.default_rng(0)
    rare = [Estimate(e / 1000, None, errors=e, trials=1000) for e in (1, 3)]
    assert measured(max_min, Spread.of(rare, random)).under_no_difference is None
    assert measured(max_min, Spread.of(rare, random), ratio=True).under_no_difference[1] > 1.0
    zero = Spread.of([rate(0, 10), rate(0, 10)], random)
    assert (zero.chance == 0).all()
    assert measured(gini, zero).value == 0.0
    assert spread.DRAWS >= 1000


def test_the_page_shows_these_numbers():
    found = tallies(**CROWD)
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \[([\d.]+), ([\d.]+)\] \| ([\d.]+), ([\d.]+) \|", PAGE.read_text(), re.M)
    result = differentials(found, found.verification, found.groups(["gender"]), at(found, 0.9))
    assert [r[0] for r in rows] == ["max/min FMR", "max/geometric mean FMR", "GARBE", "FDR"]
    for shown, m in zip(rows, (result.max_min, result.max_geomean, result.garbe, result.fdr), strict=True):
        values = (m.value, m.interval.low, m.interval.high, *m.under_no_difference)
        assert [f"{v:.2f}" for v in values] == list(shown[1:])

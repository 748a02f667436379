"""Rates read off tallies, against hand computations on the same templates."""

from dataclasses import replace

import numpy as np
import pytest
from estimator_people import everybodys_scores, population, tallies
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.audit.intervals import dependent_zero_bound
from countenance.audit.rates import (
    false_match,
    false_negative_identification,
    false_nonmatch,
    false_positive_identification,
    nonmated_probes,
    pair_sums,
    rates_along,
    snap,
    threshold_for,
)
from countenance.audit.result import Estimate
from countenance.audit.sweep import tally
from countenance.audit.tallies import Group
from countenance.errors import NotEnoughDataError

ASKED = 0.5
TWO = (("gender", ("female", "male")), ("site", ("x", "y", "z")))


@pytest.fixture(scope="module")
def measured():
    people = population(3, people=50, groups=TWO)
    return people, tally(people, thresholds=(ASKED,))


def by_hand(templates, inside, other=None):
    """(x by subject pair, comparisons, matches) of pairs within a set of people, or between two."""
    score, left, right = everybodys_scores(templates)
    other = inside if other is None else other
    kept = (inside[left] & other[right]) | (other[left] & inside[right])
    pairs: dict[tuple[int, int], list[bool]] = {}
    for s, i, j in zip(score[kept], left[kept], right[kept], strict=True):
        pairs.setdefault((min(i, j), max(i, j)), []).append(float(s) >= ASKED)
    return pairs


@pytest.mark.parametrize("weighting", ["subject", "comparison"])
def test_fmr_within_and_between_groups_is_the_hand_computation(measured, weighting) -> None:
    templates, found = measured
    groups = found.groups(("gender",))
    inside = [found.subjects_in(g) for g in groups]
    for other, mask in ((None, None), (groups[1], inside[1])):
        pairs = by_hand(templates, inside[0], mask)
        estimate = false_match(found, found.verification, groups[0], ASKED, other, weighting)
        matches = sum(sum(p) for p in pairs.values())
        trials = sum(len(p) for p in pairs.values())
        expected = np.mean([np.mean(p) for p in pairs.values()]) if weighting == "subject" else matches / trials
        assert estimate.value == pytest.approx(expected, abs=1e-9)
        assert (estimate.errors, estimate.trials) == (matches, trials)
        assert estimate.interval.low <= estimate.value <= estimate.interval.high


@pytest.mark.parametrize("weighting", ["subject", "comparison"])
def test_the_sums_behind_an_interval_are_the_hand_computation(measured, weighting) -> None:
    templates, found = measured
    groups = found.groups(("gender",))
    for other in (None, groups[1]):
        mask = None if other is None else found.subjects_in(other)
        pairs = by_hand(templates, found.subjects_in(groups[0]), mask)
        sums = pair_sums(found, found.verification, groups[0], ASKED, other, weighting)
        x = {k: (np.mean(v) if weighting == "subject" else np.sum(v)) for k, v in pairs.items()}
        assert sums.pairs == len(pairs)
        assert sums.keep == 1.0
        assert sums.errors == pytest.approx(sum(x.values()), rel=1e-6)
        assert sums.squares == pytest.approx(sum(v**2 for v in x.values()), rel=1e-6)
        assert sums.rows.sum() == pytest.approx((2 if other is None else 1) * sum(x.values()), rel=1e-5)
        if weighting == "comparison":
            assert sums.comparisons == sum(len(v) for v in pairs.values())
            assert sums.cross == pytest.approx(sum(sum(v) * len(v) for v in pairs.values()))
            assert sums.size_squares == sum(len(v) ** 2 for v in pairs.values())


def test_the_sums_of_a_search_are_those_of_its_probes_and_of_its_references(measured) -> None:
    _, found = measured
    sweep = found.need("search")
    by_subject = pair_sums(found, sweep, found.everyone, ASKED)
    by_comparison = pair_sums(found, sweep, found.everyone, ASKED, weighting="comparison")
    assert by_comparison.rows.sum() == by_comparison.columns.sum() == by_comparison.errors
    assert by_comparison.row_pairs.sum() == by_comparison.column_pairs.sum() == by_comparison.comparisons
    assert by_subject.row_pairs.sum() == by_subject.column_pairs.sum() == by_subject.pairs
    assert by_subject.rows.sum() == pytest.approx(by_subject.errors)
    assert by_subject.columns.sum() == pytest.approx(by_subject.errors)


def test_between_rungs_the_errors_are_counted_and_the_dependence_is_that_of_the_rung_below(measured) -> None:
    _, found = measured
    sweep = found.verification
    at = float(sweep.grid[np.searchsorted(sweep.grid, ASKED) + 3])
    assert at not in sweep.ladder
    sums = pair_sums(found, sweep, found.everyone, at)
    estimate = false_match(found, sweep, found.everyone, at)
    assert sums.keep < 1.0
    assert sums.rate == pytest.approx(estimate.value)
    missed = false_nonmatch(found, sweep, found.everyone, at)
    assert missed.interval.low <= missed.value <= missed.interval.high


@pytest.mark.parametrize("weighting", ["subject", "comparison"])
def test_fnmr_is_the_hand_computation(measured, weighting) -> None:
    templates, found = measured
    v = templates.vectors / np.linalg.norm(templates.vectors, axis=1, keepdims=True)
    shares, trials, errors = [], 0, 0
    for who in range(len(templates.subjects)):
        mine = v[templates.subject == who]
        if len(mine) < 2:
            continue
        left, right = np.triu_indices(len(mine), 1)
        missed = (mine @ mine.T).astype(np.float32)[left, right].astype(float) < ASKED
        shares.append(missed.mean())
        trials, errors = trials + missed.size, errors + int(missed.sum())
    estimate = false_nonmatch(found, found.verification, found.everyone, ASKED, weighting)
    assert (estimate.errors, estimate.trials) == (errors, trials)
    assert estimate.value == pytest.approx(np.mean(shares) if weighting == "subject" else errors / trials)


def test_fnmr_between_rungs_may_rise_or_fall_from_the_rung_and_stays_a_rate(measured) -> None:
    _, found = measured
    sweep = found.verification
    for weighting in ("subject", "comparison"):
        for at in (sweep.grid[0], sweep.ladder[0] - 0.01, *sweep.grid[::97]):
            estimate = false_nonmatch(found, sweep, found.everyone, snap(sweep, float(at)), weighting)
            assert 0.0 <= estimate.interval.low <= estimate.interval.high <= 1.0


def test_a_search_counts_probes_of_people_who_are_not_in_the_gallery(measured) -> None:
    templates, found = measured
    sweep = found.search
    v = templates.vectors / np.linalg.norm(templates.vectors, axis=1, keepdims=True)
    _, first = np.unique(templates.subject, return_index=True)
    scores = (v @ v[first].T).astype(np.float32).astype(float)
    own = templates.subject[:, None] == templates.subject[first]
    reference = np.isin(np.arange(len(v)), first)
    best = np.where(own, -np.inf, scores).max(axis=1)
    assert (nonmated_probes(sweep.candidates) == reference).all()
    estimate, hits, probes = false_positive_identification(found, sweep, found.everyone, ASKED)
    assert (hits, probes) == (int((best[reference] >= ASKED).sum()), int(reference.sum()))
    assert estimate.value == pytest.approx(hits / probes)
    missed, mated = false_negative_identification(found, sweep, found.everyone, ASKED)
    mate = np.where(own, scores, -np.inf).max(axis=1)
    wrong = (mate < ASKED) | (best >= mate)
    assert mated == int((~reference).sum())
    assert missed.errors == int(wrong[~reference].sum())


def test_no_data_is_a_reason_and_never_a_number() -> None:
    lonely = tallies(5, people=12, photos=1, groups=(("gender", ("female", "male")),))
    nobody = Group({"gender": "none"}, np.array([], dtype=np.int64))
    sweep = lonely.verification
    assert false_match(lonely, sweep, nobody, 0.5).value is None
    assert false_match(lonely, sweep, nobody, 0.5, lonely.everyone).reason.endswith("none with everyone")
    assert false_nonmatch(lonely, sweep, lonely.everyone, 0.5).reason == "no two photos of one person in everyone"
    found = lonely.search
    assert false_negative_identification(lonely, found, lonely.everyone, 0.5)[0].value is None
    assert false_positive_identification(lonely, found, nobody, 0.5)[0].value is None
    bare = replace(found, candidates=None)
    assert false_positive_identification(lonely, bare, lonely.everyone, 0.5)[0].reason == "no search was made"
    assert false_negative_identification(lonely, bare, lonely.everyone, 0.5)[0].reason == "no search was made"
    with pytest.raises(NotEnoughDataError):
        pair_sums(lonely, sweep, nobody, 0.5)


def test_without_subjects_a_rate_has_no_interval() -> None:
    found = tallies(5, people=12)
    sweep = replace(found.verification, dependence=None, mated_sums=None)
    for estimate in (
        false_match(found, sweep, found.everyone, 0.5),
        false_nonmatch(found, sweep, found.everyone, 0.5),
    ):
        assert estimate.value is not None
        assert estimate.interval is None
        assert "who was compared" in estimate.reason
    with pytest.raises(NotEnoughDataError):
        pair_sums(found, sweep, found.everyone, 0.5)
    searched = replace(found.search, dependence=replace(found.search.dependence, column_rows=None))
    with pytest.raises(NotEnoughDataError):
        pair_sums(found, searched, found.everyone, 0.5)


def test_no_error_gives_a_bound_above_zero(measured) -> None:
    _, found = measured
    top = float(found.verification.grid[-1])
    estimate = false_match(found, found.verification, found.everyone, top)
    assert estimate.value == 0.0
    assert estimate.interval.low == 0.0
    assert 0.0 < estimate.interval.high < estimate.disjoint_bound
    pairs = int(found.verification.pairs.sum())
    assert estimate.interval.high == pytest.approx(-np.log(0.025) / pairs, rel=0.01)
    known = pair_sums(found, found.verification, found.everyone, top)
    assert estimate.guaranteed == estimate.dependent_bound == dependent_zero_bound(known) >= estimate.interval.high
    wolves = tallies(people=200, shift=1.0)
    higher = false_match(wolves, wolves.verification, wolves.everyone, float(wolves.verification.grid[-1]))
    assert higher.guaranteed == higher.dependent_bound > 1.2 * higher.interval.high
    assert estimate.to_json("fmr")["fmr_dependent_bound"] == estimate.dependent_bound
    some = false_match(found, found.verification, found.everyone, 0.5)
    assert some.guaranteed == some.interval.high
    assert some.dependent_bound is None
    assert "fmr_dependent_bound" not in some.to_json("fmr")
    everything = false_match(found, found.verification, found.everyone, -2.0)
    assert everything.guaranteed == 1.0
    assert everything.interval.low == pytest.approx(1.0 + np.log(0.025) / pairs)
    assert Estimate(None, reason="nobody").guaranteed is None
    # nothing below is known where the lowest rung is already without an error
    bare = false_match(found, replace(found.verification, ladder=np.array([top])), found.everyone, top)
    assert (bare.dependent_bound, bare.guaranteed) == (None, bare.interval.high)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.sampled_from([0.3, 0.1, 0.03]))
def test_a_target_threshold_is_never_on_the_wrong_side(seed, target) -> None:
    found = tallies(seed, people=20, photos=2)
    sweep = found.verification
    at = threshold_for(sweep, found.everyone, target)
    fmr, fnmr = rates_along(sweep, found.everyone)
    number = int(np.searchsorted(sweep.grid, at))
    assert fmr[number] <= target
    assert fmr[number - 1] > target
    assert (np.diff(fmr) <= 1e-12).all()
    assert (np.diff(fnmr) >= -1e-12).all()


def test_a_target_beyond_the_data_or_the_scale_is_refused() -> None:
    found = tallies(1, people=20)
    with pytest.raises(NotEnoughDataError, match="at least 1,000,000 pairs"):
        threshold_for(found.verification, found.everyone, 1e-6)
    sweep = found.verification
    packed = np.zeros_like(sweep.nonmated_weight)
    packed[:, -1] = sweep.nonmated_weight.sum(axis=1)
    with pytest.raises(NotEnoughDataError, match="no threshold on this scale"):
        threshold_for(replace(sweep, nonmated_weight=packed), found.everyone, 0.1)


def test_snap_is_the_grid_value_at_or_below(measured) -> None:
    _, found = measured
    sweep = found.verification
    assert snap(sweep, ASKED) == ASKED
    assert snap(sweep, float(sweep.grid[5]) + 1e-7) == float(sweep.grid[5])
    assert snap(sweep, -99.0) == float(sweep.grid[0])
    assert snap(sweep, 99.0) == float(sweep.grid[-1])

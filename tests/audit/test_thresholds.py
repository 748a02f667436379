"""Thresholds for a target: on the right side of it, with a guarantee, certified on people who did not choose."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from estimator_people import everybodys_scores, population, tallies
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.audit.intervals import pair_rate_interval
from countenance.audit.rates import false_match, pair_sums
from countenance.audit.simulate import Wolves, simulate_pair_sums
from countenance.audit.subjecttail import SubjectTail
from countenance.audit.sweep import tally
from countenance.audit.thresholds import certify, certify_each, choose, reference_group
from countenance.errors import NotEnoughDataError

PAGE = Path(__file__).parents[2] / "docs" / "estimators" / "thresholds.md"
LARGE = {"people": 200, "shift": 1.0}


def fmr_by_hand(templates, threshold, member=None):
    """Every pair of people once, from all scores."""
    score, left, right = everybodys_scores(templates)
    size = np.bincount(templates.subject)
    kept = np.ones(score.size, bool) if member is None else member[left] & member[right]
    people = size.size if member is None else int(member.sum())
    weight = 1.0 / (size[left] * size[right])
    return weight[kept & (score.astype(float) >= threshold)].sum() / (people * (people - 1) / 2)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([0.3, 0.1, 0.03, 0.01, 0.003]), st.integers(0, 3))
def test_the_fmr_at_a_chosen_threshold_is_at_most_the_target(target, seed):
    found = tallies(seed, **LARGE)
    chosen = choose(found, found.verification, found.everyone, target)
    templates = population(seed, **LARGE)
    assert fmr_by_hand(templates, chosen.threshold) <= target + 1e-12
    grid = found.verification.grid
    below = grid[np.searchsorted(grid, chosen.threshold) - 1]
    assert fmr_by_hand(templates, below) > target
    assert chosen.interval[0] <= chosen.threshold <= chosen.interval[1] == chosen.guaranteed
    assert false_match(found, found.verification, found.everyone, chosen.guaranteed).interval.high <= target
    low = false_match(found, found.verification, found.everyone, chosen.interval[0])
    assert low.interval.low <= target <= low.interval.high


def test_higher_targets_need_no_higher_thresholds():
    found = tallies(**LARGE)
    chosen = [choose(found, found.verification, found.everyone, t) for t in (0.3, 0.1, 0.03, 0.01, 0.003)]
    for lax, strict in itertools.pairwise(chosen):
        assert lax.threshold <= strict.threshold
        assert lax.guaranteed <= strict.guaranteed


def test_too_few_pairs_for_a_guarantee_or_a_threshold():
    found = tallies(**LARGE)
    sweep, everyone = found.verification, found.everyone
    pairs = 200 * 199 // 2
    none = choose(found, sweep, everyone, 1 / (pairs + 1))
    assert none.threshold is None
    assert "needs at least" in none.reason
    bare = choose(found, sweep, everyone, 2 / pairs)
    assert bare.threshold is not None
    assert bare.guaranteed is bare.interval is None
    assert "3.69" not in bare.reason
    assert f"takes {-np.log(0.025) / (2 / pairs):,.0f} without one error" in bare.reason
    least = false_match(found, sweep, everyone, float(sweep.grid[-1])).dependent_bound
    assert 1.2 < least / (3.69 / pairs) < 2.0
    almost, just = (choose(found, sweep, everyone, x * least) for x in (0.999, 1.001))
    assert just.guaranteed is not None
    assert almost.threshold is not None
    assert almost.guaranteed is None
    assert f"it is {least:.2g} at the highest" in almost.reason


def test_without_people_there_is_a_threshold_but_no_interval():
    found = tallies(**LARGE)
    chosen = choose(found, replace(found.verification, dependence=None), found.everyone, 0.01)
    assert chosen.threshold == choose(found, found.verification, found.everyone, 0.01).threshold
    assert chosen.interval is None
    assert "who was compared" in chosen.reason


def test_a_scale_that_ends_too_soon():
    found = tallies(**LARGE)
    sweep = found.verification
    at = int(np.searchsorted(sweep.grid, 0.5))
    short = replace(
        sweep,
        grid=sweep.grid[:at],
        ladder=sweep.ladder[sweep.ladder < 0.5],
        nonmated=np.hstack([sweep.nonmated[:, : at - 1], sweep.nonmated[:, at - 1 :].sum(axis=1, keepdims=True)]),
        nonmated_weight=np.hstack(
            [sweep.nonmated_weight[:, : at - 1], sweep.nonmated_weight[:, at - 1 :].sum(axis=1, keepdims=True)]
        ),
        mated=sweep.mated[:, :at],
        mated_weight=sweep.mated_weight[:, :at],
    )
    lowest = false_match(found, short, found.everyone, float(short.grid[-1]))
    chosen = choose(found, short, found.everyone, lowest.value * 1.02)
    assert chosen.threshold is not None
    assert "no threshold on this scale" in chosen.reason


def test_the_interval_of_a_threshold_covers_as_that_of_the_rate():
    """It inverts that interval: it covers the true threshold just when the rate's interval there covers the target."""
    inside = above = 0
    for seed in range(200):
        sums = simulate_pair_sums([0.01], Wolves(0.4), 120, seed=seed)[0]
        found = pair_rate_interval(sums)
        inside += found.low <= 0.01 <= found.high
        above += found.high < 0.01
    assert inside >= 180
    assert above <= 14


def test_reference_group_sets_the_threshold_for_all():
    found = tallies(**LARGE)
    groups = found.groups(["gender"])
    threshold, rows = reference_group(found, found.verification, groups, groups[1], 0.01)
    assert rows[1].fmr.value <= 0.01 < rows[0].fmr.value
    assert rows[0].fmr.value == false_match(found, found.verification, groups[0], threshold).value
    assert rows[0].to_json()["group"] == {"gender": "female"}
    with pytest.raises(NotEnoughDataError):
        reference_group(found, found.verification, groups, groups[1], 1e-9)


def test_subject_tail_counts_as_the_pass_does():
    found = tallies(**LARGE)
    sweep = found.verification
    tail = SubjectTail.of(sweep)
    for rung in (3, 10, 20):
        threshold = float(sweep.ladder[rung])
        ours, theirs = tail.sums(threshold), pair_sums(found, sweep, found.everyone, threshold)
        assert ours.errors == pytest.approx(theirs.errors)
        assert ours.squares == pytest.approx(theirs.squares)
        np.testing.assert_allclose(ours.rows, theirs.rows, rtol=1e-5)
        np.testing.assert_array_equal(ours.row_pairs, theirs.row_pairs)


def test_subject_tail_of_some_people():
    found, templates = tallies(**LARGE), population(**LARGE)
    member = np.arange(200) % 3 == 0
    part = SubjectTail.of(found.verification).only(member)
    assert part.people == member.sum()
    for threshold in (0.5, 0.9):
        assert part.rate(threshold) == pytest.approx(fmr_by_hand(templates, threshold, member))
        assert part.rates(np.array([0.99, threshold]))[1] == pytest.approx(part.rate(threshold), rel=1e-12)


def test_subject_tail_refuses_what_it_cannot_count():
    found = tallies(**LARGE)
    sweep, tail = found.verification, SubjectTail.of(found.verification)
    with pytest.raises(NotEnoughDataError, match="highest scores"):
        SubjectTail.of(replace(sweep, tail=None))
    with pytest.raises(NotEnoughDataError, match="two sides"):
        SubjectTail.of(found.search)
    gaps = replace(sweep.dependence, row_pairs=sweep.dependence.row_pairs - 1)
    with pytest.raises(NotEnoughDataError, match="never compared"):
        SubjectTail.of(replace(sweep, dependence=gaps))
    with pytest.raises(ValueError, match="below"):
        tail.above(tail.cut - 1)
    nobody = tail.only(np.arange(200) == 7)
    with pytest.raises(NotEnoughDataError, match="two people"):
        nobody.rate(0.9)
    with pytest.raises(NotEnoughDataError, match="two people"):
        nobody.rates(np.array([0.9]))
    with pytest.raises(NotEnoughDataError, match="two people"):
        nobody.sums(0.9)


def test_certified_threshold_meets_the_target_in_the_worst_group_of_either_half():
    found, templates = tallies(**LARGE), population(**LARGE)
    groups = found.groups(["gender"])
    certificate = certify(found, groups, 0.1)
    assert certificate.threshold == max(g.threshold for g in certificate.groups)
    worst = max(certificate.groups, key=lambda g: g.threshold)
    assert str(worst.group) == "female"
    for row in certificate.groups:
        assert row.chosen.interval.high <= 0.1
        assert row.held_out.value <= 0.1
        assert row.subjects == 100
        members = found.subjects_in(row.group)
        assert fmr_by_hand(templates, certificate.threshold, members) <= 0.1
    # one candidate lower, the bound of the half that chose does not hold
    assert certificate.to_json()["groups"][0]["chosen_fmr"] == certificate.groups[0].chosen.value
    assert certify(found, groups, 0.1) == certificate
    assert certify(found, groups, 0.1, seed=1).threshold != certificate.threshold


def test_several_targets_are_certified_as_each_would_be():
    found = tallies(**LARGE)
    groups, targets = found.groups(["gender"]), (0.2, 0.1, 0.05)
    assert certify_each(found, groups, targets) == tuple(certify(found, groups, target) for target in targets)


def test_groups_too_small_are_listed_and_never_pass():
    found = tallies(people=90, groups=(("kind", ("a", "a", "a", "a", "a", "a", "a", "a", "b")),))
    groups = found.groups(["kind"])
    certificate = certify(found, groups, 0.05)
    assert [str(g.group) for g in certificate.groups] == ["a"]
    assert [(str(g), "takes 74" in why) for g, why in certificate.too_small] == [("b", True)]
    assert certificate.to_json()["too_small"][0]["group"] == {"kind": "b"}
    errorless = certify(found, groups, 3.7 / (40 * 39 / 2))  # enough pairs, were they independent
    assert errorless.threshold is None
    assert "at the highest" in errorless.too_small[0][1]
    assert certify(found, groups, 10 / (40 * 39 / 2)).groups[0].chosen.guaranteed <= 10 / (40 * 39 / 2)
    nobody = certify(found, groups, 1e-4)
    assert nobody.threshold is None
    assert "no group is large enough" in nobody.reason
    assert len(nobody.too_small) == 2


def test_held_out_people_can_refuse():
    found = tallies(**LARGE)
    refused = [c for c in (certify(found, found.groups(["gender"]), 0.5, seed=s) for s in range(6)) if c.reason]
    assert refused
    assert refused[0].threshold is None
    assert "do not choose again" in refused[0].reason
    assert any(g.held_out.value > 0.5 for g in refused[0].groups)


def test_a_tail_that_begins_above_the_target_cannot_certify():
    found = tallies(**LARGE)
    sweep = found.verification
    n = int((sweep.tail.score >= 0.97).sum())
    cut = replace(sweep.tail, score=sweep.tail.score[:n], left=sweep.tail.left[:n], right=sweep.tail.right[:n])
    high = float(sweep.grid[sweep.grid >= 0.97][0])
    short = replace(found, verification=replace(sweep, tail=cut, tail_cut=high))
    certificate = certify(short, short.groups(["gender"]), 0.1)
    assert certificate.threshold is None
    assert "ask for a lower target" in certificate.reason
    cut = replace(sweep.tail, score=sweep.tail.score[:0], left=sweep.tail.left[:0], right=sweep.tail.right[:0])
    none = replace(found, verification=replace(sweep, tail=cut, tail_cut=np.inf))
    assert certify(none, none.groups(["gender"]), 0.1).threshold is None


def test_relabelling_people_changes_nothing():
    templates = population(**LARGE)
    order = np.random.default_rng(1).permutation(templates.count)
    turned = replace(
        templates,
        vectors=templates.vectors[order],
        subject=templates.subject[order],
        paths=tuple(templates.paths[k] for k in order),
    )
    first, second = tally(templates, search=False), tally(turned, search=False)
    for target in (0.1, 0.01):
        a = choose(first, first.verification, first.everyone, target)
        b = choose(second, second.verification, second.everyone, target)
        assert a.threshold == b.threshold
        assert a.guaranteed == pytest.approx(b.guaranteed, abs=2e-2)


def test_the_page_shows_these_numbers():
    found = tallies(**LARGE)
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", PAGE.read_text(), re.M)
    assert len(rows) == 3
    for target, threshold, low, guaranteed in rows:
        chosen = choose(found, found.verification, found.everyone, float(target))
        assert [threshold, low, guaranteed] == [f"{x:.3f}" for x in (chosen.threshold, *chosen.interval)]

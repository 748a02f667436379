"""FMR, FNMR, EER and DET against scikit-learn and bob.measure, and where they part ways."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import det_curve

from countenance.audit.arrays import det, eer, fmr_fnmr, threshold_at_fmr
from countenance.errors import NotEnoughDataError

BOB = json.loads((Path(__file__).parent / "bob_measure.json").read_text())["sets"]
fine = st.lists(st.floats(-1, 1, allow_nan=False, width=32), min_size=1, max_size=40)
coarse = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=40)
score_sets = st.one_of(st.tuples(fine, fine), st.tuples(coarse, coarse))


def by_hand(mated, nonmated, threshold):
    return sum(s >= threshold for s in nonmated) / len(nonmated), sum(s < threshold for s in mated) / len(mated)


@given(score_sets)
def test_det_is_a_count_at_every_threshold(scores):
    mated, nonmated = scores
    fmr, fnmr, thresholds = det(mated, nonmated)
    for at, threshold in enumerate(thresholds):
        assert (fmr[at], fnmr[at]) == by_hand(mated, nonmated, threshold)
        assert (fmr[at], fnmr[at]) == fmr_fnmr(mated, nonmated, threshold)
    assert thresholds[-1] == np.inf
    assert (fmr[0], fnmr[0], fmr[-1], fnmr[-1]) == (1.0, 0.0, 0.0, 1.0)
    assert (np.diff(fmr) <= 0).all()
    assert (np.diff(fnmr) >= 0).all()
    assert (np.diff(thresholds) > 0).all()


@given(score_sets, st.randoms())
def test_order_and_rising_scales_change_nothing(scores, random):
    mated, nonmated = scores
    shuffled = random.sample(mated, len(mated)), random.sample(nonmated, len(nonmated))
    for a, b in zip(det(mated, nonmated), det(*shuffled), strict=True):
        np.testing.assert_array_equal(a, b)
    doubled = [[2 * s + 8 for s in side] for side in scores]  # may merge scores that differ in the last digit
    if len({*doubled[0], *doubled[1]}) == len({*mated, *nonmated}):
        assert eer(*doubled)[0] == eer(mated, nonmated)[0]
        np.testing.assert_array_equal(det(*doubled)[0], det(mated, nonmated)[0])


@settings(max_examples=60)
@given(score_sets)
def test_scikit_learn_agrees_where_it_has_points(scores):
    mated, nonmated = scores
    truth = np.r_[np.ones(len(mated)), np.zeros(len(nonmated))]
    theirs = det_curve(truth, np.r_[mated, nonmated], drop_intermediate=False)
    for fpr, fnr, threshold in zip(*theirs, strict=True):
        assert fmr_fnmr(mated, nonmated, threshold) == pytest.approx((fpr, fnr), abs=1e-12)
    # scikit-learn drops the flat ends of the curve, never anything between them
    fmr, fnmr, _ = det(mated, nonmated)
    ours = {*zip(fmr.round(12), fnmr.round(12), strict=True)}
    assert {*zip(theirs[0].round(12), theirs[1].round(12), strict=True)} <= ours


@pytest.mark.parametrize("name", BOB)
def test_bob_measure_agrees(name):
    peer = BOB[name]
    mated, nonmated = peer["mated"], peer["nonmated"]
    for threshold, rates in zip(peer["thresholds"], peer["farfrr"], strict=True):
        assert fmr_fnmr(mated, nonmated, threshold) == pytest.approx(tuple(rates), abs=1e-12)
    fmr, fnmr, _ = det(mated, nonmated)
    ours = np.column_stack([fmr, fnmr])
    for point in np.transpose(peer["roc"]):
        assert np.abs(ours - point).max(axis=1).min() <= 1e-12
    value, threshold = eer(mated, nonmated)
    at = fmr_fnmr(mated, nonmated, threshold)
    assert sum(at) / 2 == pytest.approx(value, abs=1e-15)
    assert abs(at[0] - at[1]) <= abs(peer["eer"][1] - peer["eer"][2]) + 1e-12
    assert value == pytest.approx(peer["eer"][0], abs=1e-12)


@pytest.mark.parametrize("name", ["random", "ties"])
def test_bob_measure_agrees_on_thresholds_where_both_give_one(name):
    peer = BOB[name]
    mated, nonmated = peer["mated"], peer["nonmated"]
    for target, theirs in zip(peer["targets"], peer["far_threshold"], strict=True):
        expected = fmr_fnmr(mated, nonmated, theirs)[0]
        if target * len(nonmated) < 1:
            assert expected == 0.0  # bob goes on with a threshold just above the highest score seen; we refuse
            with pytest.raises(NotEnoughDataError):
                threshold_at_fmr(mated, nonmated, target)
        else:  # the thresholds may differ (bob looks at non-mated scores only), what they do may not
            assert fmr_fnmr(mated, nonmated, threshold_at_fmr(mated, nonmated, target))[0] == expected


@given(score_sets, st.floats(0.05, 1))
def test_threshold_is_the_smallest_on_the_right_side(scores, target):
    mated, nonmated = scores
    if target * len(nonmated) < 1:
        with pytest.raises(NotEnoughDataError, match="needs at least"):
            threshold_at_fmr(mated, nonmated, target)
        return
    threshold = threshold_at_fmr(mated, nonmated, target)
    assert by_hand(mated, nonmated, threshold)[0] <= target
    lower = [s for s in mated + nonmated if s < threshold]
    assert all(by_hand(mated, nonmated, s)[0] > target for s in lower)


def test_all_scores_equal_leave_only_a_threshold_above_them():
    assert threshold_at_fmr([1.0], [1.0] * 5, 0.3) == np.nextafter(1.0, 2.0)


def test_equal_gaps_take_the_highest_threshold_without_rounding():
    # FMR and FNMR are (1, 0), (2/3, 1/3), (1/3, 2/3), (0, 1): two thresholds are equally close
    assert eer([0.2, 0.4, 0.6], [0.2, 0.4, 0.6]) == (0.5, 0.6)


@pytest.mark.parametrize(("mated", "nonmated"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0]), ([1.0], [np.nan, 1.0])])
@pytest.mark.parametrize("ask", [lambda m, n: fmr_fnmr(m, n, 0.5), det, eer, lambda m, n: threshold_at_fmr(m, n, 0.5)])
def test_one_class_or_nan_raises(ask, mated, nonmated):
    with pytest.raises(NotEnoughDataError):
        ask(mated, nonmated)

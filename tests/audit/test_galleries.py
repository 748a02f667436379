"""FPIR by gallery size: exact on nested random galleries, predicted beyond, never more than vouched for."""

import itertools
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from estimator_people import tallies
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.audit.galleries import gallery_sizes, hit_chance, predicted_fpir, strangers_above, vouches_for
from countenance.audit.rates import false_match, false_positive_identification
from countenance.errors import NotEnoughDataError

PAGE = Path(__file__).parents[2] / "docs" / "estimators" / "gallery-size.md"
CROWD = {"people": 120, "shift": 1.0, "thresholds": (0.9,)}


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(0, 9), st.integers(1, 12))
def test_hit_chance_is_the_share_of_galleries_that_hold_a_hit(searched, above, references):
    above = min(above, searched)
    galleries = list(itertools.combinations(range(searched), min(references, searched)))
    expected = sum(any(face < above for face in g) for g in galleries) / len(galleries)
    assert hit_chance(np.array([above]), np.array([searched]), references)[0] == pytest.approx(expected, abs=1e-12)


def test_hit_chance_of_one_look_alike_is_the_share_drawn():
    assert hit_chance(np.array([1, 0, 25_000]), np.array([25_000] * 3), 1_000) == pytest.approx(
        [0.04, 0.0, 1.0], abs=1e-8
    )


def test_the_whole_gallery_gives_the_fpir_that_was_measured():
    found = tallies(**CROWD)
    sweep = found.search
    for group in (found.everyone, *found.groups(["gender"])):
        rows = gallery_sizes(found, sweep, group, 0.9)
        largest = [r for r in rows if not r.extrapolated][-1]
        assert largest.references == 119
        measured = false_positive_identification(found, sweep, group, 0.9)[0]
        assert largest.fpir.value == pytest.approx(measured.value)
        assert largest.fpir.interval.low < largest.fpir.value < largest.fpir.interval.high
        values = [r.fpir.value for r in rows if not r.extrapolated]
        assert values == sorted(values)
        assert [r.references for r in rows if r.extrapolated] == [1_000, 25_000, 1_000_000, 100_000_000]
        assert rows[0].to_json()["measured_to_predicted"] == pytest.approx(rows[0].fpir.value / rows[0].predicted)
        assert rows[-1].ratio is None


def test_one_reference_is_the_comparison_itself():
    found = tallies(**CROWD)
    row = gallery_sizes(found, found.search, found.everyone, 0.9, sizes=[1])[0]
    assert row.ratio == pytest.approx(1.0, abs=0.05)
    assert row.predicted == pytest.approx(
        false_match(found, found.search, found.everyone, 0.9, found.everyone).value, rel=0.05
    )


def test_prediction_is_too_high_rather_than_too_low_where_some_resemble_many():
    found = tallies(**CROWD)
    rows = gallery_sizes(found, found.search, found.everyone, 0.9, sizes=[20, 50, 119])
    ratios = [r.ratio for r in rows]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] < 0.95


def test_prediction_multiplies_over_the_parts_of_the_gallery():
    expected = 1 - (1 - 1e-3) ** 300 * (1 - 1e-4) ** 700
    assert predicted_fpir(np.array([1e-3, 1e-4]), np.array([0.3, 0.7]), 1000) == pytest.approx(expected)
    assert predicted_fpir(np.array([4.0e-7]), np.ones(1), 25_000) == pytest.approx(0.01, abs=1e-4)
    assert predicted_fpir(np.array([1.0]), np.ones(1), 5) == 1.0
    assert predicted_fpir(np.array([0.0]), np.ones(1), 5) == 0.0


def test_beyond_the_data_the_interval_is_that_of_the_fmr():
    found = tallies(**CROWD)
    row = gallery_sizes(found, found.search, found.everyone, 0.9, sizes=[1000])[0]
    fmr = false_match(found, found.search, found.everyone, 0.9, found.everyone)
    assert row.extrapolated
    assert row.fpir.interval.high == pytest.approx(1 - (1 - fmr.interval.high) ** 1000)
    blind = replace(found.search, dependence=None)
    bare = gallery_sizes(found, blind, found.everyone, 0.9, sizes=[1000])[0]
    assert bare.fpir.interval is None
    assert bare.fpir.reason


def test_no_hit_is_bounded_not_zero():
    found = tallies(**CROWD)
    top = float(found.search.ladder[-1])
    assert strangers_above(found.search, top).sum() == 0
    rows = gallery_sizes(found, found.search, found.everyone, top, sizes=[10, 1000])
    assert rows[0].fpir.value == 0.0
    assert rows[0].fpir.interval.high > 0
    assert rows[1].fpir.interval.high > rows[0].fpir.interval.high
    assert rows[0].ratio is None


def test_strangers_are_counted_the_same_three_ways():
    found = tallies(**CROWD)
    sweep = found.search
    rung = strangers_above(sweep, 0.9)
    few = replace(sweep, ladder=sweep.ladder[:0])
    np.testing.assert_array_equal(strangers_above(few, 0.9), rung)
    short = replace(few, candidates=replace(few.candidates, scores=few.candidates.scores[:, :1]))
    np.testing.assert_array_equal(strangers_above(short, 0.9), rung)
    with pytest.raises(NotEnoughDataError, match="--threshold"):
        strangers_above(replace(short, tail_cut=1.0), 0.9)
    with pytest.raises(NotEnoughDataError, match="no search"):
        strangers_above(found.verification, 0.9)


def test_a_group_without_probes_raises():
    found = tallies(**CROWD)
    nobody = replace(found.everyone, label={"gender": "none"}, cells=np.array([], dtype=np.int64))
    with pytest.raises(NotEnoughDataError, match="every probe of none"):
        gallery_sizes(found, found.search, nobody, 0.9)
    with pytest.raises(NotEnoughDataError, match="no gallery whose size"):
        gallery_sizes(found, found.verification, found.everyone, 0.9)


def test_vouched_gallery_is_that_of_the_worst_group():
    found = tallies(people=600, thresholds=(0.9,))
    sweep, groups = found.verification, found.groups(["gender"])
    threshold = float(sweep.ladder[-1])
    vouched = vouches_for(found, sweep, groups, threshold)
    upper = [false_match(found, sweep, g, threshold).interval.high for g in groups]
    assert vouched["references"] == math.floor(0.01 / max(upper))
    assert vouched["fpir"] == 0.01
    for row in vouched["groups"]:
        assert row["references"] * row["fmr_upper"] <= 0.01
        assert row["at_best"] == math.floor(0.01 / (-math.log(0.025) / (300 * 299 / 2))) >= row["references"]
    assert vouches_for(found, sweep, groups, threshold, fpir=0.1)["references"] > vouched["references"]


def test_without_an_error_people_who_resemble_many_are_allowed_for():
    found = tallies(people=200, shift=1.0)
    sweep, groups = found.verification, found.groups(["gender"])
    vouched = vouches_for(found, sweep, groups, float(sweep.grid[-1]), fpir=1.0)
    for row, group in zip(vouched["groups"], groups, strict=True):
        bound = false_match(found, sweep, group, float(sweep.grid[-1])).dependent_bound
        assert row["fmr_upper"] == bound > -math.log(0.025) / (100 * 99 / 2)
        assert row["references"] == math.floor(1 / bound) < row["at_best"]


def test_groups_without_a_pair_vouch_for_nothing():
    found = tallies(people=9, groups=(("kind", ("a", "a", "a", "a", "a", "a", "a", "a", "b")),))
    groups = found.groups(["kind"])
    vouched = vouches_for(found, found.verification, groups, 0.9, fpir=0.5)
    assert [r["references"] for r in vouched["groups"]][1] == 0
    assert vouched["references"] == 0
    with pytest.raises(NotEnoughDataError, match="vouch"):
        vouches_for(found, found.verification, groups[1:], 0.9)


def test_the_page_shows_these_numbers():
    found = tallies(**CROWD)
    rows = re.findall(
        r"^\| ([\d,]+) \| ([\d.]+) % \[([\d.]+), ([\d.]+)\] \| ([\d.]+) % \| (\w+) \|", PAGE.read_text(), re.M
    )
    assert len(rows) == 5
    sizes = [int(r[0].replace(",", "")) for r in rows]
    for row, shown in zip(gallery_sizes(found, found.search, found.everyone, 0.9, sizes), rows, strict=True):
        values = (row.fpir.value, row.fpir.interval.low, row.fpir.interval.high, row.predicted)
        assert [f"{100 * v:.1f}" for v in values] == list(shown[1:5])
        assert ("extrapolated" if row.extrapolated else "measured") == shown[5]

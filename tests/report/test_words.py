"""Rates in words: two significant figures, bounds that are never understated, never a bare zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.audit.intervals import Interval
from countenance.audit.result import Estimate
from countenance.report import words


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.0523, "5.2 %"), (0.167, "16.7 %"), (0.00043, "0.043 %"), (2.2e-6, "0.00022 %"), (0.5, "50.0 %"),
        (0.9902, "99.02 %"), (0.99999, "over 99.99 %"), (1.0, "100 %"), (0.0, "0 %"),
    ],
)  # fmt: skip
def test_percent(share, told):
    assert words.percent(share) == told


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (4e-5, "1 in 25,000"), (0.01, "1 in 100"), (4e-7, "1 in 2.5 million"), (1e-9, "1 in 1 billion"),
        (1 / 123_456, "1 in 120,000"), (0.055, "1 in 18"), (0.5, None), (0.0, None),
    ],
)  # fmt: skip
def test_one_in(share, told):
    assert words.one_in(share) == told


@given(st.floats(1e-9, 1.0))
def test_a_bound_is_never_understated(bound):
    told = words.at_most(bound).replace(",", "").replace(" million", "e6").replace(" billion", "e9")
    value = 1 / float(told.removeprefix("1 in ")) if told.startswith("1 in") else None
    if value is None:
        value = 0.9999 if told.startswith("over") else float(told.removesuffix(" %")) / 100
    assert value >= bound * (1 - 1e-6) or told.startswith("over")
    assert value <= bound * 1.12


@given(st.floats(1e-9, 1 - 1e-9))
def test_only_nothing_is_zero_and_only_everything_is_all(share):
    told = words.percent(share)
    assert float(told.removeprefix("over ").removesuffix(" %")) > 0
    assert not told.startswith("100")


def test_phrases():
    seen = Estimate(85 / 509, Interval(0.136, 0.203), None, 85, 509)
    assert words.rate(seen) == "85 of 509: 16.7 % (13.6 to 20.3 %)"
    none = Estimate(0.0, Interval(0, 3.69 / 4321), None, 0, 4321)
    assert words.rate(none) == words.share(none) == "none in 4,321 (at most 0.086 %)"
    assert words.share(Estimate(1.0, Interval(0.993, 1), None, 509, 509)) == "all 509 (at least 99.30 %)"
    assert words.share(Estimate(None, reason="no mated pairs")) == "not known: no mated pairs"
    assert words.share(Estimate(0.2, None, "scores only")) == "20.0 % (uncertainty not known)"
    assert words.share(Estimate(0.0, None, None, 0, 5)) == "none in 5 (no bound known)"
    rare = Estimate(1e-5, Interval(0.8e-5, 1.25e-5), None, 3, 300_000)
    assert words.share(rare) == "1 in 100,000 (1 in 120,000 to 1 in 80,000)"
    assert words.predicted(Estimate(0.0, Interval(-0.0, 0.114))) == "at most 11.4 %"
    assert words.predicted(Estimate(0.2, Interval(-0.0, 0.4))) == "20.0 % (0 to 40.0 %)"
    assert words.predicted(Estimate(1.0, Interval(0.6, 1.0))) == "nearly all (60.0 to 100 %)"


def test_scores():
    assert words.Scores()(0.363) == "score 0.363"
    assert words.Scores().bare(-0.6) == "−0.60"
    assert words.Scores().bare(80.0) == "80"
    assert words.Scores(distance=True)(-0.6) == "distance 0.60"
    assert words.Scores(distance=True).bare(0.0) == "0.00"
    assert words.Scores(distance=True).fine(-0.41) == "0.410"


def test_groups():
    assert words.group_name({}) == "everyone"
    assert words.group_name({"gender": "female", "ethnicity": None}) == "female, not labelled"

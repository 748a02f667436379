"""Published counts give the published figures, with the uncertainty that was not published."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.audit.published import PUBLISHED, implied_fmr, risk_ratio
from countenance.errors import NotEnoughDataError

PAGE = Path(__file__).parents[2] / "docs" / "estimators" / "published.md"


@pytest.mark.parametrize(
    ("at", "value", "low", "high"), [(0, 5.2, 3.5, 7.5), (1, 14.4, 9.7, 20.2), (2, 21.7, 14.7, 30.1)]
)
def test_searches_of_officials(at, value, low, high):
    fpir = PUBLISHED[at].fpir
    percent = [round(100 * x, 1) for x in (fpir.value, fpir.interval.low, fpir.interval.high)]
    assert percent == [value, low, high]
    assert (fpir.errors, fpir.trials) == (PUBLISHED[at].falsely_matched, PUBLISHED[at].probes)


def test_implied_fmr_of_the_aclus_test():
    fmr = PUBLISHED[0].fmr
    assert f"{fmr.value:.1e}" == "2.1e-06" or f"{fmr.value:.2e}" == "2.15e-06"
    assert fmr.value == pytest.approx(2.2e-6, abs=0.06e-6)
    assert fmr.interval.low < fmr.value < fmr.interval.high


def test_one_percent_at_25000_needs_four_in_ten_million():
    assert implied_fmr(0.01, 25_000) == pytest.approx(4.0e-7, abs=0.05e-7)


@given(st.floats(0, 1), st.integers(1, 10**8))
def test_implied_fmr_is_a_rate_below_the_fpir(fpir, references):
    fmr = implied_fmr(fpir, references)
    assert 0 <= fmr <= fpir * (1 + 1e-12)
    assert 1 - (1 - fmr) ** references == pytest.approx(fpir, abs=1e-6)


def test_implied_fmr_needs_a_gallery():
    with pytest.raises(NotEnoughDataError, match="gallery"):
        implied_fmr(0.5, 0)


def test_people_of_colour_in_congress():
    ratio = risk_ratio(11, 107, 17, 428)
    assert round(ratio.value, 1) == 2.6
    assert [round(x, 2) for x in ratio.interval] == [1.25, 5.36]
    assert round(ratio.p_value, 3) == 0.014
    assert json.loads(json.dumps(ratio.to_json()))["value"] == ratio.value


def test_ratio_turns_round_with_the_groups():
    there, back = risk_ratio(11, 107, 17, 428), risk_ratio(17, 428, 11, 107)
    assert there.value == pytest.approx(1 / back.value)
    assert there.interval[0] == pytest.approx(1 / back.interval[1])
    assert there.p_value == pytest.approx(back.p_value)


@pytest.mark.parametrize("counts", [(0, 10, 3, 10), (3, 10, 0, 10)])
def test_no_error_gives_no_ratio_but_a_p_value(counts):
    found = risk_ratio(*counts)
    assert found.value is None
    assert found.interval is None
    assert "no ratio" in found.reason
    assert 0 < found.p_value < 1
    assert found.to_json()["interval"] is None


@pytest.mark.parametrize("counts", [(0, 0, 1, 2), (1, 2, 0, 0)])
def test_no_trial_raises(counts):
    with pytest.raises(NotEnoughDataError):
        risk_ratio(*counts)


def test_the_page_shows_these_numbers():
    rows = re.findall(
        r"^\| [^|]+\| (\d+) of (\d+) \| ([\d,]+) \| ([\d.]+) % \[([\d.]+), ([\d.]+)\] \| (\S+) \|",
        PAGE.read_text(),
        re.M,
    )
    assert len(rows) == len(PUBLISHED)
    for search, (hits, probes, references, *percent, fmr) in zip(PUBLISHED, rows, strict=True):
        assert (int(hits), int(probes)) == (search.falsely_matched, search.probes)
        assert int(references.replace(",", "")) == search.references
        found = search.fpir
        assert [float(x) for x in percent] == [
            round(100 * x, 1) for x in (found.value, found.interval.low, found.interval.high)
        ]
        assert fmr == f"{search.fmr.value:.2e}"

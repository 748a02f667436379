"""How many people a test needs, and what a number of people can show."""

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

from countenance.audit.intervals import Dependence, PairSums, dependent_zero_bound
from countenance.audit.power import (
    WOLF_RATIO,
    design_effect,
    pairs_of,
    people_for,
    plan,
    power_of,
    shared_covariance,
)
from countenance.audit.simulate import Wolves, simulate_pair_sums
from countenance.errors import NotEnoughDataError

PAGE = Path(__file__).parents[2] / "docs" / "estimators" / "planner.md"
RULE_OF_3 = -math.log(0.025)


@given(st.floats(1, 1e9))
def test_people_for_is_the_fewest(pairs):
    people = people_for(pairs)
    assert pairs_of(people) >= pairs
    assert people == 2 or pairs_of(people - 1) < pairs


@pytest.mark.parametrize(("fmr", "ratio"), [(0.01, 0.4), (0.01, 1.0), (0.001, 0.58)])
def test_design_effect_is_that_of_simulated_populations(fmr, ratio):
    people = 150
    rates = [simulate_pair_sums([fmr], Wolves(ratio), people, seed=s)[0].rate for s in range(250)]
    expected = np.var(rates) / (fmr * (1 - fmr) / pairs_of(people))
    assert design_effect(fmr, people, ratio) == pytest.approx(expected, rel=0.35)


def test_nobody_special_means_no_design_effect():
    assert design_effect(1e-3, 1000, 0.0) == pytest.approx(1.0, abs=1e-9)
    assert shared_covariance(0.5, 0.0) == pytest.approx(0.0, abs=1e-12)
    assert shared_covariance(0.5, 0.5) == pytest.approx(1 / 3 - 1 / 4, abs=1e-9)  # Sheppard 1899
    assert design_effect(1e-3, 1000, 0.4) < design_effect(1e-3, 1000, 0.8)


def zero_bound(fmr, people, ratio):
    """The bound that an audit of so many people would give without an error."""
    rho = ratio**2 / (1 + 2 * ratio**2)
    rows, made = np.zeros(people), np.full(people, people - 1.0)
    return dependent_zero_bound(PairSums(pairs_of(people), 0.0, 0.0, rows, made, known=Dependence(rho, rho, 50.0)))


@given(st.sampled_from([1e-2, 1e-3, 1e-4, 1e-5, 1e-6]), st.integers(1, 9))
def test_plan_gives_the_fewest_people(target, groups):
    found = plan(target, groups)
    assert RULE_OF_3 / pairs_of(found.no_error) <= target < RULE_OF_3 / pairs_of(found.no_error - 1)
    assert 30 / pairs_of(found.thirty_errors) <= target
    errors = target * pairs_of(found.dependent) / design_effect(target, found.dependent)
    fewer = target * pairs_of(found.dependent - 1) / design_effect(target, found.dependent - 1)
    assert errors >= 30 > fewer
    assert zero_bound(target, found.certified // 2, 0.4) <= target < zero_bound(target, found.certified // 2 - 1, 0.4)
    alone = plan(target, groups, wolf_ratio=0.0)
    assert (alone.dependent, alone.certified) == (found.thirty_errors, 2 * found.no_error)
    assert f"{groups * found.no_error:,} in all" in found.sentences[0]
    assert ("groups" in found.sentences[0]) == (groups > 1)


def test_inverse_agrees():
    for target in (1e-3, 1e-5):
        needed = plan(target).dependent
        shows = plan(target, subjects=needed).shows
        assert shows.dependent == pytest.approx(target, rel=0.01)
        assert shows.smallest_fmr == pytest.approx(RULE_OF_3 / pairs_of(needed))
        assert shows.references == pytest.approx(0.01 / zero_bound(target, needed, 0.4), rel=1e-3, abs=1)
        assert shows.references < 0.01 / shows.smallest_fmr
        alone = plan(target, subjects=needed, wolf_ratio=0.0).shows
        assert alone.references == math.floor(0.01 / alone.smallest_fmr)
    tiny = plan(1e-3, subjects=2)
    assert tiny.shows.smallest_fmr == tiny.shows.dependent == 1.0
    assert plan(1e-3, subjects=9).shows.dependent <= 1.0


def test_plan_as_json_and_sentences():
    found = plan(1e-5, 4, subjects=1000, photos=2)
    printed = json.loads(json.dumps(found.to_json()))
    assert printed["subjects_per_group"]["no_error"] == found.no_error == 860
    assert printed["shows"]["people"] == 1000
    assert printed["wolf_ratio"] == WOLF_RATIO
    assert len(found.sentences) == 5
    assert "FNMR" in found.sentences[3]
    assert json.loads(json.dumps(plan(1e-5).to_json()))["shows"] is None
    assert "a second one is needed" in plan(1e-5).sentences[3]


@pytest.mark.parametrize(("target", "subjects"), [(0.0, None), (1.0, None), (1e-3, 1)])
def test_plan_refuses_nonsense(target, subjects):
    with pytest.raises(NotEnoughDataError, match="--"):
        plan(target, subjects=subjects)


def test_an_audit_says_what_it_can_show():
    found = tallies(people=200, shift=1.0)
    power = power_of(found)
    assert power.smallest_fmr == pytest.approx(RULE_OF_3 / pairs_of(200))
    assert power.rule_of_30_fmr > 30 / pairs_of(200)
    assert [n["target_fmr"] for n in power.needed] == [1e-3, 1e-4, 1e-5, 1e-6]
    assert power.needed[0]["more"] == 0
    assert power.needed[3]["more"] == people_for(RULE_OF_3 / 1e-6) - 200
    assert any(s.startswith("female: at best") for s in power.statements)
    json.dumps(power.to_json())


def test_groups_that_can_show_nothing():
    found = tallies(people=9, groups=(("kind", ("a", "a", "a", "a", "a", "a", "a", "a", "b")),))
    power = power_of(found)
    assert "b: no two people, so nothing can be shown." in power.statements
    short = replace(found.verification, ladder=found.verification.ladder[-3:])
    high = replace(
        short,
        dependence=replace(
            found.verification.dependence,
            **{
                name: getattr(found.verification.dependence, name)[-3:]
                for name in ("rows", "row_counts", "squares", "count_squares", "count_cross")
            },
        ),
    )
    assert power_of(replace(found, verification=high)).rule_of_30_fmr == pytest.approx(30 / 36)
    bare = replace(found, verification=replace(found.verification, left=None))
    assert power_of(bare).needed[0]["more"] == power.needed[0]["more"] + 9
    blind = replace(found, verification=replace(found.verification, dependence=None))
    with pytest.raises(NotEnoughDataError, match="who was compared"):
        power_of(blind)
    with pytest.raises(NotEnoughDataError):
        power_of(replace(found, verification=None, search=None))


def test_the_page_shows_these_numbers():
    rows = re.findall(r"^\| (1e-\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", PAGE.read_text(), re.M)
    assert len(rows) == 4
    for target, *shown in rows:
        found = plan(float(target))
        values = (found.no_error, found.thirty_errors, found.dependent, found.certified)
        assert [f"{v:,}" for v in values] == shown

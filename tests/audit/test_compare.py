"""Two systems on the same people: paired, symmetric, and able to say that it cannot tell."""

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from estimator_people import population

from countenance.audit.compare import DRAWS, Contrast, _contrast, _Curve, _fnmr_at, _log_fmr_at, compare
from countenance.audit.rates import false_nonmatch, threshold_for
from countenance.audit.sweep import tally
from countenance.errors import NotEnoughDataError, TalliesError

PAGE = Path(__file__).parents[2] / "docs" / "estimators" / "comparison.md"


@cache
def system(extra=0.0, name="test", people=600, seed=1):
    """The same people seen by a noisier system."""
    templates = population(0, people=people, dim=16, noise=0.5)
    noise = extra * np.random.default_rng(seed).normal(size=templates.vectors.shape)
    return tally(
        replace(
            templates,
            vectors=(templates.vectors + noise).astype(np.float32),
            system=replace(templates.system, name=name),
        ),
        search=False,
    )


def test_the_noisier_system_errs_more():
    found = compare(system(), system(0.3, "noisy"))
    first = found.contrasts[0]
    assert (first.what, first.target) == ("FNMR", 0.01)
    assert first.change == pytest.approx(first.second - first.first)
    assert first.interval[0] > 0
    assert first.verdict == "first"
    assert "test errs less" in found.sentences[0]
    ratio = next(c for c in found.contrasts if c.what == "FMR" and c.interval)
    assert ratio.change == pytest.approx(ratio.second / ratio.first)
    assert ratio.interval[0] > 1
    assert {str(c.group) for c in found.contrasts} == {"everyone", "female", "male"}
    json.dumps(found.to_json(), allow_nan=False)


def test_rates_are_those_at_each_systems_own_threshold():
    tallies = system()
    sweep = tallies.verification
    at = threshold_for(sweep, tallies.everyone, 0.01)
    expected = false_nonmatch(tallies, sweep, tallies.everyone, at).value
    assert compare(tallies, system(0.3)).contrasts[0].first == pytest.approx(expected, abs=0.01)


def test_turning_round_turns_the_signs():
    there, back = compare(system(), system(0.3)), compare(system(0.3), system())
    for a, b in zip(there.contrasts, back.contrasts, strict=True):
        assert (a.reason is None) == (b.reason is None)
        if a.interval and a.what == "FNMR":
            assert a.change == pytest.approx(-b.change)
            assert a.interval == pytest.approx((-b.interval[1], -b.interval[0]))
            assert {a.verdict, b.verdict} in ({None}, {"first", "second"})


def test_a_system_is_not_told_from_itself_nor_from_its_twin():
    same = compare(system(), system())
    assert all(c.verdict is None for c in same.contrasts)
    assert all("could not tell" in s for s in same.sentences)
    assert (same.first, same.second) == ("test (first)", "test (second)")
    told = [compare(system(0.2, "a", 200, s), system(0.2, "b", 200, s + 50)).contrasts[0].verdict for s in range(6)]
    assert sum(v is not None for v in told) <= 2


def test_pairing_narrows_the_interval():
    near, far = compare(system(0.2, "a"), system(0.2001, "b")), compare(system(0.2, "a"), system(0.2, "b", seed=9))
    width = [np.diff(c.contrasts[1].interval)[0] for c in (near, far)]
    assert width[0] < 0.7 * width[1]


def test_people_are_matched_by_name_in_whatever_order():
    first = system()
    templates = population(0, people=600, dim=16, noise=0.5)
    back = np.argsort(-templates.subject, kind="stable")
    turned = tally(
        replace(
            templates,
            vectors=templates.vectors[back],
            subject=599 - templates.subject[back],
            subjects=templates.subjects[::-1],
            paths=tuple(templates.paths[k] for k in back),
            groups={name: values[::-1] for name, values in templates.groups.items()},
        ),
        search=False,
    )
    assert compare(first, turned).notes == ()  # nobody has more photos in one than in the other
    found = compare(first, turned).contrasts[0]
    assert found.change == pytest.approx(0.0, abs=2e-3)  # rungs are placed by a sample of the people
    assert found.interval[1] < 0.02
    unnamed = compare(replace(first, names=None), replace(system(0.3), names=None))
    assert unnamed.to_json() == compare(first, system(0.3)).to_json()


def test_other_people_are_refused():
    first, second = system(), system(0.3)
    with pytest.raises(TalliesError, match="same people"):
        compare(first, system(people=200))
    names = tuple(n if n != "person 3" else "somebody" for n in second.names)
    with pytest.raises(TalliesError, match="such as person 3"):
        compare(first, replace(second, names=names))
    with pytest.raises(TalliesError, match="other groups"):
        compare(first, replace(second, cell=1 - second.cell))
    blind = replace(first, verification=replace(first.verification, dependence=None))
    with pytest.raises(NotEnoughDataError, match="paired"):
        compare(blind, second)


def test_photos_lost_by_one_system_are_noted():
    second = system(0.3)
    sums = second.verification.mated_sums
    made = sums.comparisons.copy()
    made[np.flatnonzero(made)[0]] += 1
    other = replace(second, verification=replace(second.verification, mated_sums=replace(sums, comparisons=made)))
    assert "1 people have more usable photos" in compare(system(), other).notes[0]
    assert compare(system(), second).notes == ()


def test_too_little_data_is_a_reason():
    found = compare(system(), system(0.3))
    reasons = {c.target: c.reason for c in found.contrasts[:7] if c.what == "FNMR"}
    assert "too few pairs" in reasons[1e-5]
    assert any("two photos are too few" in (c.reason or "") for c in found.contrasts if c.what == "FMR")
    small = tally(population(0, people=3, groups=(("kind", ("a", "a", "b")),)), search=False)
    assert {str(c.group) for c in compare(small, small).contrasts} == {"everyone", "a"}


def test_curves_are_read_between_rungs():
    fmr, fnmr = np.array([0.1, 0.01, 0.001, 0.0]), np.array([0.0, 0.1, 0.3, 0.5])
    assert _fnmr_at(fmr, fnmr, 0.01) == pytest.approx(0.1)
    assert _fnmr_at(fmr, fnmr, 10**-2.5) == pytest.approx(0.2)
    assert _fnmr_at(fmr, fnmr, 0.5) is _fnmr_at(fmr, fnmr, 1e-4) is _fnmr_at(np.zeros(2), np.zeros(2), 0.1) is None
    assert _log_fmr_at(fmr, fnmr, 0.2) == pytest.approx(np.log(10**-2.5))
    assert _log_fmr_at(fmr, fnmr, 0.3) == pytest.approx(np.log(0.001))
    assert _log_fmr_at(fmr, fnmr, 0.4) is _log_fmr_at(fmr, np.full(4, np.nan), 0.1) is None
    assert _log_fmr_at(fmr, fnmr + 0.2, 0.1) is None


def test_what_the_ladder_does_not_reach_is_a_reason():
    curve = _Curve(np.array([1e-2, 1e-5]), np.array([0.0, 0.5]), np.zeros((3, 2)), np.zeros((3, 2)), np.ones(3))
    still = [(np.tile(curve.fmr, (DRAWS, 1)), np.tile(curve.fnmr, (DRAWS, 1)))] * 2
    everyone = system().everyone

    def reason(what, target, drawn=still, people=10_000):
        return _contrast(what, target, everyone, [curve, curve], drawn, people, None).reason

    assert "do not reach FMR 0.1" in reason("FNMR", 0.1)
    assert "do not reach FNMR 0.9" in reason("FMR", 0.9)
    assert "too few false matches" in reason("FMR", 0.4, people=100)
    assert reason("FMR", 0.4) is None
    gone = [(np.where(np.arange(DRAWS)[:, None] % 2, still[0][0], 0.0), still[0][1])] * 2
    assert "not reached in every draw" in reason("FNMR", 1e-3, drawn=gone)


def test_verdict_is_who_is_lower():
    everyone = system().everyone
    assert Contrast("FMR", 0.1, everyone, 1e-3, 1e-4, 0.1, (0.05, 0.2)).verdict == "second"
    assert Contrast("FMR", 0.1, everyone, 1e-3, 1e-3, 1.0, (0.5, 2.0)).verdict is None
    assert Contrast("FMR", 0.1, everyone, None, None, None, None, "why").verdict is None


def test_the_page_shows_these_numbers():
    rows = re.findall(
        r"^\| (FN?MR) at (?:FNMR|FMR) ([\d.]+) \| (.+?) \| (.+?) \| (.+?) \[(.+?), (.+?)\] \|", PAGE.read_text(), re.M
    )
    found = [c for c in compare(system(), system(0.3, "noisy")).contrasts if c.interval and not c.group.label]
    assert len(rows) == len(found) >= 3
    for shown, c in zip(rows, found, strict=True):
        values = (c.first, c.second, c.change, *c.interval)
        assert list(shown) == [c.what, f"{c.target:g}", *(f"{v:.2g}" for v in values)]

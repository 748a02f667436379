"""The whole audit: which thresholds and groups, both tests, the sentence that comes first, and what is left unsaid."""

import json
from dataclasses import replace

import numpy as np
import pytest
from estimator_people import population, tallies
from scipy.stats import fisher_exact

from countenance.audit import Options, Verdict, audit, tally
from countenance.audit.headline import headline, setting, share
from countenance.audit.intervals import Interval
from countenance.audit.labels import SMALLEST_GROUP
from countenance.audit.rates import false_match
from countenance.audit.result import Estimate, SearchGroup, SearchPoint
from countenance.audit.search import _contrasts
from countenance.audit.tallies import Failures, System
from countenance.errors import NotEnoughDataError, TalliesError
from countenance.trials import read_scores

TWO = (("gender", ("female", "male")), ("site", ("x", "y", "z")))
DOCUMENTED = System("engine", "p", "cosine", 0.6, "the makers' threshold for comparing two photos (1:1)")


@pytest.fixture(scope="module")
def found():
    people = replace(population(3, people=50, groups=TWO), system=DOCUMENTED)
    return tally(people, thresholds=(0.5,))


def test_the_thresholds_are_those_asked_for_documented_and_needed(found) -> None:
    told = audit(found, Options(thresholds=(0.5,))).verification.thresholds
    assert [(t.origin, t.target_fmr) for t in told[:3]] == [("asked", None), ("documented", None), ("target", 0.01)]
    assert told[0].threshold == 0.5
    assert told[1].threshold == 0.6
    assert [t.target_fmr for t in told[2:]] == [1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    assert told[-1].threshold is None
    assert "1,000,000 pairs" in told[-1].reason


def test_groups_are_each_column_and_all_of_them_crossed(found) -> None:
    rows = audit(found).verification.groups
    labels = {tuple(sorted(r.group.items())) for r in rows}
    assert (("gender", "female"),) in labels
    assert (("site", "z"),) in labels
    assert (("gender", "male"), ("site", "y")) in labels
    assert len(labels) == 2 + 3 + 6
    only = audit(found, Options(by=("gender",))).verification.groups
    assert {tuple(r.group) for r in only} == {("gender",)}
    assert audit(found, Options(by=())).verification.groups == ()
    with pytest.raises(TalliesError, match="height"):
        audit(found, Options(by=("height",)))


def test_a_small_group_is_named_and_listed_as_not_tested(found) -> None:
    told = audit(found)
    small = [g for g in told.verification.groups if g.subjects < SMALLEST_GROUP]
    assert small
    assert all("too few" in g.too_small for g in small)
    assert any("female, x" in u.what for u in told.not_tested)
    assert all(g.too_small is None for g in told.verification.groups if g.subjects >= SMALLEST_GROUP)


def test_a_group_of_one_person_has_reasons_in_place_of_numbers() -> None:
    people = population(1, people=12, groups=(("gender", ("a",) * 11 + ("b",)),))
    told = audit(tally(people), Options(thresholds=(0.5,)))
    row = next(g for g in told.verification.groups if g.group == {"gender": "b"})
    assert row.subjects == 1
    assert row.fmr.value is None
    assert row.fmr.reason
    assert row.too_small.startswith("1 person")


def test_the_headline_names_a_threshold_made_for_two_photos(found) -> None:
    told = audit(found)
    assert told.headline.startswith(
        "At the makers' threshold for comparing two photos (1:1), score 0.6, used here to search, "
    )
    point = next(p for p in told.search.points if p.threshold == 0.6)
    assert f"matched {point.everyone.falsely_matched} of 50 people to somebody else among 49 others" in told.headline


def test_other_headlines() -> None:
    plain = tallies(3, people=50, thresholds=(0.5,))
    assert audit(plain).headline.startswith("At the threshold that a false match rate of 1 % needs, score ")
    assert audit(plain, Options(thresholds=(0.5,))).headline.startswith("At the threshold asked for, score 0.5, ")
    alone = replace(plain, search=None, system=DOCUMENTED)
    told = audit(alone)
    assert told.search is None
    assert told.reasons["gallery_sizes"] == told.reasons["vouches_for"] == "no search was made"
    assert "pairs of different people for one person" in told.headline
    assert "used here to search" not in told.headline
    tiny = audit(tally(population(1, people=3, photos=1)))
    assert tiny.headline.startswith("This data is too small")
    only_search = audit(replace(plain, verification=None))
    assert only_search.verification is None
    assert only_search.search is not None


def test_a_headline_without_an_error_gives_the_bound_beside_it() -> None:
    people = replace(population(3, people=50, groups=TWO), system=DOCUMENTED)
    told = audit(tally(people, thresholds=(0.9999999,)), Options(thresholds=(0.9999999,)))
    assert "matched none of 50 people to somebody else among 49 others (at most 7.4 %)." in told.headline
    alone = audit(tally(people, thresholds=(0.9999999,), search=False), Options(thresholds=(0.9999999,)))
    high = alone.verification.thresholds[0].fmr.interval.high
    assert f"took none in {alone.counts.nonmated:,} pairs of different people" in alone.headline
    assert alone.headline.endswith(f"(at most {100 * high:.2g} %).")


def test_probes_that_all_meet_themselves_have_no_rate_of_being_taken_for_others() -> None:
    people = population(3, people=50, groups=TWO)
    probes = replace(people, paths=tuple(f"again {path}" for path in people.paths))
    told = audit(tally(people, probes=probes, gallery=people), Options(thresholds=(0.5,)))
    assert told.reasons["gallery_sizes"] == "every probe of everyone has its own person in the gallery"
    assert told.gallery_sizes == ()
    assert (told.search.probes, told.search.references, told.search.pairs) == (0, 0, ())
    assert {p.origin for p in told.search.points} == {"target", "asked"}  # no sweep: there are no scores to sweep over
    assert all(p.everyone.fpir.value is None and p.groups == () for p in told.search.points)
    assert all(p.everyone.mated_probes == people.count for p in told.search.points)


def test_a_group_that_was_only_compared_with_others_has_no_curve(tmp_path) -> None:
    table = tmp_path / "scores.csv"
    random = np.random.default_rng(1)
    rows = [f"f{i},m{j},f{i},m{j},{random.normal():.4f},f,m" for i in range(12) for j in range(12)]
    head = "probe,reference,probe_subject,reference_subject,score,probe_sex,reference_sex"
    table.write_text("\n".join([head, *rows]) + "\n")
    told = audit(read_scores(table), Options(thresholds=(1.0,)))
    assert [dict(c.group) for c in told.verification.curves] == [{}]
    women = next(g for g in told.verification.groups if g.group == {"sex": "f"})
    assert women.subjects == 12
    assert women.fmr.value is None
    assert women.fmr.reason == "no comparison of different people in f"


def test_a_headline_without_a_measured_rate_says_why() -> None:
    plain = replace(tallies(3, people=50), search=None)
    told = audit(plain)
    none = replace(told.verification.thresholds[0], fmr=Estimate(None, reason="nobody was compared"))
    assert "nobody was compared" in headline(plain, [none], told.verification, None)


def test_words_for_settings_and_shares() -> None:
    assert setting(System("x", metric="euclidean"), -0.6) == "distance 0.60"
    assert setting(System("x", metric="cosine"), 0.3634) == "score 0.363"
    assert share(0.0, 4321) == "none in 4,321"
    assert share(0.123, 10) == "12 %"
    assert share(1 / 2345, 10**6) == "1 in 2,300"
    assert share(1 / 77, 100) == "1.3 %"
    assert share(1 / 101, 1000) == "1 in 100"


def test_nobody_to_compare_with_is_refused() -> None:
    with pytest.raises(NotEnoughDataError):
        audit(tally(population(1, people=1)))
    empty = tallies(3, people=20)
    with pytest.raises(NotEnoughDataError):
        audit(replace(empty, verification=None, search=None))


def test_the_search_lists_each_probe_once_most_alike_first(found) -> None:
    told = audit(found).search
    scores = [p.score for p in told.pairs]
    assert scores == sorted(scores, reverse=True)
    assert len({p.probe for p in told.pairs}) == len(told.pairs)
    assert all(p.probe != p.reference for p in told.pairs)
    assert told.pairs[0].probe_path.endswith(".jpg")
    points = [p.threshold for p in told.points]
    assert points == sorted(points)
    hits = [p.everyone.falsely_matched for p in told.points]
    assert hits == sorted(hits, reverse=True)
    assert len(points) > 15


def test_groups_are_contrasted_in_the_search(found) -> None:
    for point in audit(found).search.points:
        for contrast in point.contrasts:
            mine = next(g for g in point.groups if g.group == contrast.group)
            same = [g for g in point.groups if tuple(g.group) == contrast.by]
            rest = [g for g in same if g.group != contrast.group]
            others = sum(g.falsely_matched for g in rest), sum(g.probes for g in rest)
            table = [[mine.falsely_matched, mine.probes - mine.falsely_matched], [others[0], others[1] - others[0]]]
            assert contrast.p_adjusted >= fisher_exact(table).pvalue - 1e-12
            if contrast.ratio is not None:
                share = others[0] / others[1]
                assert contrast.ratio == pytest.approx(mine.falsely_matched / mine.probes / share)
        assert all(text.startswith("By ") for text in point.verdicts.values())


def test_a_contrast_that_chance_does_not_explain_is_told() -> None:
    none = Estimate(None)
    groups = tuple(SearchGroup({"g": n}, 100, k, none, 0, none) for n, k in (("a", 30), ("b", 2), ("c", 0)))
    rows = list(_contrasts(groups))
    assert [r.group["g"] for r in rows] == ["a", "c", "b"]
    assert all(r.p_adjusted < 0.05 for r in rows)
    told = SearchPoint(0.5, groups[0], groups, contrasts=tuple(rows)).verdicts[("g",)]
    assert told.startswith("By g: a 30 times as often as the others (p = ")
    assert "c none, unlike the others" in told
    equal = tuple(SearchGroup({"g": n}, 100, 5, none, 0, none) for n in "ab")
    point = SearchPoint(0.5, groups[0], equal, contrasts=tuple(_contrasts(equal)))
    assert point.verdicts == {("g",): "By g: this test could not tell whether the groups differ."}


def test_people_searched_with_several_photos_are_not_contrasted(found) -> None:
    probes = population(9, people=50, groups=TWO, photos=3)
    many = tally(probes, probes=probes, gallery=replace(probes, subjects=tuple(f"q{k}" for k in range(50))))
    assert all(p.contrasts == () for p in audit(many).search.points)


def test_failures_to_enrol_are_counted_per_group(found) -> None:
    photos = np.full(50, 3)
    failed = np.zeros(50, dtype=np.int64)
    failed[[0, 2]] = (3, 1)
    told = audit(replace(found, failures=Failures(photos, failed)))
    assert (told.counts.photos_failed, told.counts.subjects_failed) == (4, 1)
    women = next(f for f in told.counts.failures if f["group"] == {"gender": "female"})
    assert (women["photos_failed"], women["subjects_failed"], women["subjects"]) == (4, 1, 25)
    plain = replace(tallies(3, people=20, groups=()), failures=Failures(np.full(20, 2), np.arange(20) // 19))
    assert audit(plain).counts.failures[0]["group"] == {}


def test_rows_without_a_label_form_no_group_and_are_counted() -> None:
    people = population(2, people=30)
    labels = (None, *people.groups["gender"][1:])
    told = audit(tally(replace(people, groups={"gender": labels})))
    assert told.counts.unlabelled == {"gender": 1}
    assert sum(g.subjects for g in told.verification.groups[:2]) == 29


def test_no_group_column_is_said() -> None:
    told = audit(tallies(3, people=20, groups=()))
    assert told.not_tested[0].what == "any group of people"
    single = audit(tallies(3, people=20, photos=1, groups=()))
    assert any("recognised again" in u.what for u in single.not_tested)
    assert single.verification.curves[0].fnmr is None


def test_verdicts_give_both_results(found) -> None:
    told = audit(found)
    pair = told.search.pairs[0]
    both = audit(found, verdicts=[Verdict(pair.probe_path, pair.reference_path, "same")])
    assert both.adjudicated.counts.nonmated == told.counts.nonmated - 1
    assert both.counts == told.counts
    assert both.verification == told.verification


def test_a_suspect_carries_the_verdict_given_on_it() -> None:
    people = population(3, people=50, noise=0.5)
    vectors = people.vectors.copy()
    copied = int(np.flatnonzero(people.subject == 1)[0])
    vectors[copied] = vectors[0] * np.float32(1.001)
    mislabelled = tally(replace(people, vectors=vectors))
    listed = audit(mislabelled).suspects
    assert {listed[0].left_path, listed[0].right_path} == {f"{copied}.jpg", f"{copied + 1}.jpg"}
    judged = audit(mislabelled, verdicts=[Verdict(f"{copied + 1}.jpg", f"{copied}.jpg", "different")])
    assert [s.verdict for s in judged.suspects] == ["different", *[None] * (len(listed) - 1)]
    told = judged.to_json()["suspects"][0]
    assert {told["left_path"], told["right_path"]} == {f"{copied}.jpg", f"{copied + 1}.jpg"}
    assert (told["kind"], told["verdict"]) == ("mated_unlike", "different")


def test_a_second_system_is_compared(found) -> None:
    other = tally(
        replace(population(3, people=50, groups=TWO, noise=0.4), system=System("other", "q")), thresholds=(0.5,)
    )
    told = audit(found, against=other).comparison
    assert json.dumps(told)
    assert (told["first"], told["second"]) == ("engine", "other")


def test_scores_without_subjects_have_rates_and_no_intervals(found) -> None:
    bare = replace(
        found.verification, dependence=None, mated_sums=None, tail=None, mated_low=None, left=None, right=None
    )
    told = audit(replace(found, verification=bare, search=None))
    assert told.power is None
    assert told.suspects == ()
    assert told.counts.subjects is None
    assert "who was compared" in told.counts.to_json()["subjects_reason"]
    assert told.verification.thresholds[0].fmr.interval is None
    assert all(g.too_small is None for g in told.verification.groups)
    curve = told.verification.curves[0]
    assert curve.fmr_low is curve.fmr_band_high is None
    assert len(curve.thresholds) <= 200


def test_curves_carry_an_interval_at_each_threshold_and_a_band_around_all(found) -> None:
    sweep = found.verification
    curve = audit(found).verification.curves[0]
    assert curve.thresholds == tuple(sweep.ladder)
    rows = zip(curve.thresholds, curve.fmr_low, curve.fmr_high, curve.fmr_band_low, curve.fmr_band_high, strict=True)
    for threshold, low, high, band_low, band_high in rows:
        estimate = false_match(found, sweep, found.everyone, threshold)
        assert estimate.interval == Interval(low, high)
        assert 0.0 <= band_low <= low <= high <= band_high <= 1.0
        assert (band_low < low) == (0.0 < estimate.value < 1.0)
        assert band_high >= estimate.guaranteed
    assert curve.to_json()["fmr_band_high"] == list(curve.fmr_band_high)
    top = replace(sweep, ladder=sweep.grid[-2:])
    flat = audit(replace(found, verification=top, search=None)).verification.curves[0]
    assert flat.fmr_high is not None
    assert flat.fmr_band_high is None


def test_a_search_without_candidates_is_none(found) -> None:
    told = audit(replace(found, search=replace(found.search, candidates=None)))
    assert told.search is None
    assert "gallery_sizes" in told.reasons


def test_json_is_finite_and_the_same_twice(found) -> None:
    first, second = (json.dumps(audit(found, Options(seed=1)).to_json(), allow_nan=False) for _ in range(2))
    assert first == second

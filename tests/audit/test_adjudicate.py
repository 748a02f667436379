"""Verdicts on suspected label errors, against counting from scratch without the comparisons in question."""

from dataclasses import replace

import brute
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sweep import asked, template_sets

from countenance.audit.adjudicate import Verdict, adjudicate
from countenance.audit.sweep import tally
from countenance.audit.tallies import TailPairs
from countenance.audit.validate import validate
from countenance.errors import InputError, TalliesError


def drop(brute_rows, verdicts):
    """(left, right) of every comparison that a verdict takes out; verdicts as {pair of paths or names: verdict}."""
    wanted = {"same": brute_rows.nonmated, "different": brute_rows.mated}
    gone = set()
    for left, right, verdict, paths in verdicts:
        for _, p, q, a, b in wanted[verdict]:
            ends = (paths[0][p], paths[1][q]) if left.startswith("p") else (a, b)
            if set(ends) == {left, right} or (left == right == ends[0] == ends[1]):
                gone.add((p, q))
    return gone


@settings(max_examples=60, deadline=None)
@given(template_sets(), asked, st.data())
def test_verdicts_take_out_what_counting_without_them_would(templates, thresholds, data):
    found = tally(templates, thresholds=thresholds)
    photos, names = st.sampled_from(templates.paths), st.sampled_from(templates.subjects)
    pairs = st.one_of(st.tuples(photos, photos), st.tuples(names, names))
    given_ = data.draw(st.lists(st.tuples(pairs, st.sampled_from(["same", "different"])), min_size=1, max_size=5))
    after = adjudicate(found, [Verdict(*pair, verdict) for pair, verdict in given_])
    validate(after)
    chosen = brute.first_photos(templates)
    paths = (templates.paths, templates.paths), (templates.paths, tuple(templates.paths[k] for k in chosen))
    wholes = brute.within(templates), brute.against(templates, templates, chosen)
    for sweep, whole, of in zip((after.verification, after.search), wholes, paths, strict=True):
        gone = drop(whole, [(*pair, verdict, of) for pair, verdict in given_])
        brute.check(after, sweep, whole, gone)


def test_below_the_tail_counts_stay_exact_and_a_pair_of_people_weighs_one():
    random = np.random.default_rng(1)
    templates = template_set(random.choice([-1, 1], (24, 16)), np.arange(24) // 3)
    found = tally(templates, search=False)
    tail, sweep = found.verification.tail, found.verification
    cut = float(sweep.grid[np.searchsorted(sweep.grid, 0.5)])
    keep = tail.score >= cut
    short = TailPairs(tail.score[keep], tail.left[keep], tail.right[keep])
    found = replace(found, verification=replace(sweep, tail=short, tail_cut=cut))
    validate(found)
    after = adjudicate(found, [Verdict(f"p{short.left[0]}", f"p{short.right[0]}", "same")])
    validate(after)
    assert after.verification.nonmated.sum() == sweep.nonmated.sum() - 1
    assert (after.verification.pairs == sweep.pairs).all()
    np.testing.assert_allclose(after.verification.nonmated_weight.sum(axis=1), sweep.pairs)


def template_set(vectors, subject, metric="cosine"):
    from countenance.audit.tallies import System
    from countenance.audit.templates import TemplateSet

    names = tuple(f"s{k}" for k in range(int(max(subject)) + 1))
    paths = tuple(f"p{k}" for k in range(len(subject)))
    return TemplateSet(vectors, np.asarray(subject), names, paths, System("test"), metric=metric)


def test_a_person_whose_only_mated_comparison_is_taken_out_has_none_left():
    templates = template_set(np.random.default_rng(2).choice([-1, 1], (8, 16)), np.arange(8) // 2)
    found = tally(templates, search=False)
    after = adjudicate(found, [Verdict("p0", "p1", "different")])
    validate(after)
    assert found.verification.mated.sum() - after.verification.mated.sum() == 1
    assert found.verification.mated_weight.sum() - after.verification.mated_weight.sum() == pytest.approx(1.0)


def test_verdicts_that_change_nothing_are_said_and_none_is_applied_twice():
    templates = template_set(np.random.default_rng(2).choice([-1, 1], (6, 16)), [0, 0, 1, 1, 2, 2])
    found = tally(templates)
    after = adjudicate(found, [Verdict("p0", "p2", "different"), Verdict("p0", "p2", "unsure")])
    assert after.notes == ("1 verdicts agree with the labels or name no listed comparison, and change nothing",)
    with pytest.raises(TalliesError, match="applied before"):
        adjudicate(after, [])
    with pytest.raises(InputError, match="none of same"):
        Verdict("p0", "p1", "maybe")


def test_a_lost_mate_gives_its_place_to_the_next_best():
    gallery = template_set(np.random.default_rng(3).choice([-1, 1], (60, 16)), [0, 0, 0, *range(1, 58)])
    probes = template_set(np.random.default_rng(4).choice([-1, 1], (3, 16)), [0, 0, 0])
    probes = replace(probes, paths=("q0", "q1", "q2"))
    found = tally(gallery, probes=probes, gallery=gallery, verification=False)
    whole = brute.against(probes, gallery, range(60))
    best = max((s, r) for s, p, r, a, b in whole.mated if p == 0)[1]
    after = adjudicate(found, [Verdict("q0", f"p{best}", "different")])
    mates = [s for s, p, r, *_ in whole.mated if p == 0 and r != best]
    c = after.search.candidates
    assert c.mated_score[0] == max(mates)
    exact = 1 + sum(s >= max(mates) for s, p, *_ in whole.nonmated if p == 0)
    assert c.mated_rank[0] >= exact
    rung = np.searchsorted(after.search.ladder, max(mates), side="right") - 1
    known = [exact, 1 + c.counts[rung, 0]]
    assert c.mated_rank[0] in known


def test_without_names_and_paths_numbers_serve():
    templates = template_set(np.random.default_rng(2).choice([-1, 1], (6, 16)), [0, 0, 1, 1, 2, 2])
    found = tally(templates)
    sides = {k: replace(getattr(found.verification, k), paths=None) for k in ("left", "right")}
    bare = replace(found, names=None, verification=replace(found.verification, **sides), search=None)
    for verdict, removed in ((Verdict("1", "2", "same"), 1), (Verdict("0", "1", "same", subjects=True), 4)):
        after = adjudicate(bare, [verdict])
        assert after.verification.nonmated.sum() == found.verification.nonmated.sum() - removed
        assert after.inputs["adjudicated"] == {"verdicts": 1, "comparisons_removed": removed}


def test_sweeps_without_lists_stay_and_lists_without_sides_are_refused():
    templates = template_set(np.random.default_rng(2).choice([-1, 1], (6, 16)), [0, 0, 1, 1, 2, 2])
    found = tally(templates)
    bare = replace(found.search, tail=None, tail_cut=None, mated_low=None)
    after = adjudicate(replace(found, search=bare), [Verdict("p1", "p2", "same")])
    assert after.search is bare
    lost = replace(found, search=None, verification=replace(found.verification, left=None))
    with pytest.raises(TalliesError, match="whose they are"):
        adjudicate(lost, [])


def test_the_next_best_mate_far_down_the_list_is_ranked_against_the_system():
    random = np.random.default_rng(9)
    vectors = random.choice([-1, 1], (80, 64))
    vectors[1] = vectors[0]  # the best mate
    vectors[2] = -vectors[0]  # the next one is the least alike of all
    templates = template_set(vectors, [0, 0, 0, *range(1, 78)])
    probe = replace(template_set(vectors[:1], [0]), paths=("q0",))
    found = tally(templates, probes=probe, gallery=templates, verification=False)
    after = adjudicate(found, [Verdict("q0", "p1", "different"), Verdict("q0", "p0", "different")])
    assert after.search.candidates.mated_score[0] == -1
    assert after.search.candidates.mated_rank[0] == 78
    kept = adjudicate(found, [Verdict("q0", "p2", "different")])
    assert kept.search.candidates.mated_rank[0] == found.search.candidates.mated_rank[0]


def test_a_next_best_mate_among_the_best_is_ranked_exactly():
    templates, probe = searched_by(60, 56, strangers=(58, 55, 54))  # one is more alike than the next best
    found = tally(templates, probes=probe, gallery=templates, verification=False)
    assert found.search.candidates.mated_rank[0] == 1
    after = adjudicate(found, [Verdict("q0", "p0", "different")])
    assert after.search.candidates.mated_score[0] == np.float32(48 / 64)
    assert after.search.candidates.mated_rank[0] == 2
    rung = np.searchsorted(after.search.ladder, 48 / 64, side="right") - 1
    assert after.search.candidates.counts[rung, 0] == 2  # so the ladder alone would have said 3


def searched_by(best, next_best, strangers):
    """A probe, two photos of the same person and many others; numbers say how many of 64 signs agree with the probe."""
    vectors = np.random.default_rng(11).choice([-1, 1], (80, 64))
    probe = np.ones((1, 64), int)
    for row, agree in enumerate((best, next_best, *strangers)):
        vectors[row] = np.where(np.arange(64) < agree, 1, -1)
    templates = template_set(vectors, [0, 0, *range(1, 79)])
    return templates, replace(template_set(probe, [0]), paths=("q0",))


def test_tallies_of_a_score_table_are_corrected_in_the_table():
    templates = template_set(np.random.default_rng(2).choice([-1, 1], (6, 16)), [0, 0, 1, 1, 2, 2])
    found = replace(tally(templates), inputs={"scores": "scores.csv"})
    with pytest.raises(TalliesError, match="correct its labels instead"):
        adjudicate(found, [Verdict("p1", "p2", "same")])

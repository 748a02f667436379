"""The fitted tail: what it finds where the truth is known, how it is bounded, and that it always says what it is."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from estimator_people import tallies
from scipy.stats import genpareto, norm

from countenance.audit.intervals import Dependence
from countenance.audit.subjecttail import SubjectTail
from countenance.audit.tail import ALWAYS, SHAPES, _log_likelihood, fit_pareto, tail_fit
from countenance.errors import NotEnoughDataError

PAGE = Path(__file__).parents[2] / "docs" / "estimators" / "tail.md"


def subject_tail(score, people, seed=0):
    """Scores given to random pairs of people, each pair once."""
    random = np.random.default_rng(seed)
    left, right = np.triu_indices(people, 1)
    chosen = random.permutation(left.size)[: len(score)]
    score = np.sort(score)[::-1]
    return SubjectTail(
        float(score[-1]), score, left[chosen], right[chosen], np.ones(len(score)), np.arange(people, dtype=np.int64)
    )


def exponential(people=400, count=500, seed=0, scale=0.05):
    return subject_tail(0.5 + np.random.default_rng(seed).exponential(scale, count), people, seed)


def test_likelihood_is_that_of_the_generalised_pareto():
    over, weight, scales = np.array([0.1, 0.4, 0.2]), np.array([1.0, 0.5, 0.25]), np.array([0.2, 0.7])
    found = _log_likelihood(over, weight, scales)
    for row in (0, 32, 40, 60):
        for column, scale in enumerate(scales):
            expected = weight @ genpareto.logpdf(over, SHAPES[row], scale=scale)
            assert found[row, column] == pytest.approx(expected)


def test_the_shape_is_held_by_a_penalty():
    """Of the very few exceedances that decide it, the likelihood alone would often put the end among the data."""
    fit = fit_pareto(exponential())
    over = fit.tail.score - fit.cut
    alone = _log_likelihood(over, fit.tail.weight, fit.scales)
    penalised = alone - 0.5 * ((SHAPES[:, None] + 0.1) / 0.1) ** 2
    assert fit.deviance == pytest.approx(2.0 * (penalised.max() - penalised))


def photos(tail, copies, apart):
    """Each comparison as several of equal score and shared weight: of the same two people, or each of others."""
    people = len(tail.subject)
    shift = people * np.repeat(np.arange(copies), len(tail.score)) if apart else 0
    number = np.tile(np.arange(len(tail.score)), copies)
    order = np.argsort(-tail.score[number], kind="stable")
    first, second = ((of[number] + shift)[order] for of in (tail.first, tail.second))
    weight = np.full(len(number), 1.0 / copies)
    subject = np.arange(people * (copies if apart else 1), dtype=np.int64)
    return SubjectTail(tail.cut, tail.score[number][order], first, second, weight, subject)


def test_a_weight_spread_over_many_pairs_is_worth_more_and_copies_of_one_pair_are_not():
    one = exponential(count=400)
    fit, copied = fit_pareto(one), fit_pareto(photos(one, 4, apart=False))
    assert fit.strength == pytest.approx(1.0)
    assert copied.strength == pytest.approx(1.0, rel=0.02)
    at = fit.threshold(10.0 / fit.tail.pairs)
    before, after = fit.fmr(at).interval, copied.fmr(at).interval
    assert (after.low, after.high) == pytest.approx((before.low, before.high), rel=0.05)
    spread = fit_pareto(photos(one, 4, apart=True))
    assert spread.strength == pytest.approx(4.0, rel=0.02)


def test_fit_recovers_scale_and_passes_through_the_data():
    fits = [fit_pareto(exponential(seed=s)) for s in range(20)]
    assert np.mean([f.shape for f in fits]) == pytest.approx(-0.03, abs=0.05)
    assert np.mean([f.scale for f in fits]) == pytest.approx(0.05, rel=0.1)
    fit = fits[0]
    at = fit.fmr(fit.cut)
    assert at.value == pytest.approx(fit.exceedances / fit.tail.pairs)
    for level in (30, 10, 3):
        threshold = fit.threshold(level / fit.tail.pairs)
        found = fit.fmr(threshold)
        assert found.value == pytest.approx(level / fit.tail.pairs, rel=1e-6)
        assert found.interval.low < found.value < found.interval.high
        assert found.reason == ALWAYS


def test_a_shape_of_zero_is_the_exponential():
    fit = replace(fit_pareto(exponential()), shape=0.0)
    threshold = fit.threshold(10 / fit.tail.pairs)
    assert threshold == pytest.approx(fit.cut + fit.scale * np.log(fit.exceedances / 10))
    assert fit.fmr(threshold).value == pytest.approx(10 / fit.tail.pairs)


def test_many_photos_of_a_pair_are_merged_without_a_trace(monkeypatch):
    """3,000 comparisons of 300 pairs of people: the fit to means of neighbours is that to all."""
    random = np.random.default_rng(5)
    score = np.sort(random.exponential(size=3000))[::-1]
    people = random.integers(0, 400, (2, 3000))
    people[1] += people[0] == people[1]
    tail = SubjectTail(0.0, score, people[0], people[1], np.full(3000, 0.1), np.arange(401))
    merged = fit_pareto(tail)
    monkeypatch.setattr("countenance.audit.tail.MERGED", 10_000)
    whole = fit_pareto(tail)
    assert merged.shape == whole.shape
    assert merged.scale == pytest.approx(whole.scale, rel=1e-3)
    at = whole.threshold(whole.lowest_fmr)
    ours, theirs = merged.fmr(at).interval, whole.fmr(at).interval
    assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], rel=0.02)


def test_never_past_ten_times_the_data_nor_below_the_cut():
    fit = fit_pareto(exponential())
    assert fit.lowest_fmr == pytest.approx(3 / fit.tail.pairs)
    with pytest.raises(NotEnoughDataError, match="ten times"):
        fit.fmr(fit.threshold(2.9 / fit.tail.pairs))
    with pytest.raises(ValueError, match="begins"):
        fit.fmr(fit.cut - 0.01)


@pytest.mark.parametrize(
    ("tail", "why"),
    [
        (exponential(count=90), "at least 100"),
        (exponential(people=60), "no tail"),
        (exponential(count=200).only(np.arange(400) == 3), "no score"),
        (subject_tail(np.ones(500), 400), "at least 100"),
    ],
)
def test_refusals(tail, why):
    with pytest.raises(NotEnoughDataError, match=why):
        fit_pareto(tail)


def test_people_in_many_comparisons_widen_the_interval():
    tail = exponential()
    plain, known = fit_pareto(tail), fit_pareto(tail, Dependence(0.3, 0.3, 100.0))
    none = fit_pareto(tail, Dependence(0.0, 0.0, 100.0))
    threshold = plain.threshold(plain.lowest_fmr)
    width = [
        np.diff(np.log([f.fmr(threshold).interval.low, f.fmr(threshold).interval.high]))[0] for f in (plain, known)
    ]
    assert width[1] > 1.3 * width[0]
    poorly = fit_pareto(tail, Dependence(0.3, 0.3, 10.0)).fmr(threshold).interval  # the same, carried by ten people
    assert np.diff(np.log([poorly.low, poorly.high]))[0] > 1.1 * width[1]
    assert none.fmr(threshold).interval == plain.fmr(threshold).interval
    # ten people share all comparisons: the jackknife over subjects notices without being told
    crowd = fit_pareto(replace(tail, first=tail.first % 10))
    wide = crowd.fmr(crowd.threshold(crowd.lowest_fmr)).interval
    assert wide.high > 1.2 * plain.fmr(threshold).interval.high


def test_coverage_one_decade_out():
    """The FMR at the threshold that the fit gives for 3 / M, for scores a_i + a_j + e."""
    people, wolf, inside, above, runs = 300, 0.4, 0, 0, 60
    spread = np.sqrt(1 + 2 * wolf**2)
    left, right = np.triu_indices(people, 1)
    correlation = wolf**2 / (1 + 2 * wolf**2)
    for seed in range(runs):
        random = np.random.default_rng(seed)
        person = wolf * random.standard_normal(people)
        score = person[left] + person[right] + random.standard_normal(left.size)
        top = np.argsort(-score)[:400]
        tail = SubjectTail(
            float(score[top[-1]]), score[top], left[top], right[top], np.ones(400), np.arange(people, dtype=np.int64)
        )
        fit = fit_pareto(tail, Dependence(correlation, correlation, 100.0))
        threshold = fit.threshold(fit.lowest_fmr)
        found, truth = fit.fmr(threshold).interval, norm.sf(threshold / spread)
        inside += found.low <= truth <= found.high
        above += truth > found.high
    assert inside >= 0.85 * runs
    assert above <= 0.08 * runs


def test_tail_of_an_audit():
    found = tallies(people=300, photos=2, dim=16)
    fit = tail_fit(found, found.verification, found.everyone)
    assert 300 < fit.exceedances < 500  # pairs of people, most of them with one of their four comparisons
    assert [e["extrapolated"] for e in fit.estimates] == [True] * 3
    assert all(e["fmr_reason"] == ALWAYS for e in fit.estimates)
    assert fit.warning == ALWAYS
    assert fit.shape_interval[0] <= fit.shape <= fit.shape_interval[1]
    assert len(fit.points) <= 60
    fitted, measured = np.array(fit.points).T
    assert np.corrcoef(fitted, measured)[0, 1] > 0.97
    assert fit.to_json()["lowest_fmr"] == pytest.approx(3 / (300 * 299 / 2))


def test_a_bad_fit_is_said():
    random = np.random.default_rng(1)
    lumps = np.concatenate([0.5 + 0.001 * random.random(260), 0.9 + 0.001 * random.random(240)])
    found = tallies(people=300, photos=1, dim=16)
    sweep = found.verification
    tail = subject_tail(lumps.astype(np.float32).astype(float), 300)
    odd = replace(
        sweep,
        tail=replace(sweep.tail, score=tail.score.astype(np.float32), left=tail.first, right=tail.second),
        tail_cut=0.5,
    )
    assert "do not use it" in tail_fit(found, odd, found.everyone).warning


def test_without_a_useful_rung_nothing_is_known_of_the_dependence():
    found = tallies(people=300, photos=2, dim=16)
    sweep = found.verification
    top = replace(sweep.dependence, rows=sweep.dependence.rows[-1:], squares=sweep.dependence.squares[-1:])
    blind = replace(sweep, ladder=np.array([sweep.grid[-1]]), dependence=top)
    assert tail_fit(found, blind, found.everyone).estimates


def test_the_page_shows_these_numbers():
    found = tallies(people=300, photos=2, dim=16)
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.e-]+) \[([\d.e-]+), ([\d.e-]+)\] \|", PAGE.read_text(), re.M)
    assert len(rows) == 3
    for shown, row in zip(rows, tail_fit(found, found.verification, found.everyone).estimates, strict=True):
        values = [f"{row['threshold']:.3f}", f"{row['fmr']:.1e}", *(f"{x:.1e}" for x in row["fmr_interval"])]
        assert values == list(shown)

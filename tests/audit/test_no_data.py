"""No function of the audit returns a number for no data: each public one is called without any.

Whoever adds a public function says here what it does without data; the first test fails until then.
"""

import importlib
import inspect
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
from estimator_people import population, tallies

import countenance.audit
from countenance.audit import audit, tally
from countenance.audit.arrays import det, eer, fmr_fnmr, threshold_at_fmr
from countenance.audit.bootstrap import bootstrap_rates, bootstrap_weights, curve_band, curve_draws, rate_band
from countenance.audit.compare import compare
from countenance.audit.differentials import differentials
from countenance.audit.dyadic import PairSums, dependence, dyadic_variance, moments_of, pair_variance
from countenance.audit.galleries import gallery_sizes, hit_chance, predicted_fpir, strangers_above, vouches_for
from countenance.audit.headline import share
from countenance.audit.inequality import fdr, garbe, gini, max_geomean, max_min, measured
from countenance.audit.intervals import (
    ClusterSums,
    clopper_pearson,
    cluster_rate_interval,
    dependent_zero_bound,
    guaranteed_bound,
    pair_rate_interval,
    search_rate_interval,
    wilson,
    zero_error_bounds,
)
from countenance.audit.plan import Side
from countenance.audit.power import design_effect, plan, power_of
from countenance.audit.prepare import prepare
from countenance.audit.published import PublishedSearch, implied_fmr, risk_ratio
from countenance.audit.rates import (
    false_match,
    false_negative_identification,
    false_nonmatch,
    false_positive_identification,
    nonmated_probes,
    pair_sums,
    rates_along,
    threshold_for,
)
from countenance.audit.result import Estimate
from countenance.audit.search import search
from countenance.audit.spread import Spread, effective_trials, trials_at
from countenance.audit.subjecttail import SubjectTail
from countenance.audit.suspects import chance_of, suspects
from countenance.audit.tail import fit_pareto, tail_fit
from countenance.audit.thresholds import certify, certify_each, choose, reference_group
from countenance.audit.verification import verification
from countenance.errors import NotEnoughDataError

NONE, NOBODY = np.zeros(0), np.zeros(0, np.int64)
NO_PAIRS = PairSums(0, 0.0, 0.0, NONE, NONE)
NO_CLUSTERS = ClusterSums(NONE, NONE)
NO_TAIL = SubjectTail(0.5, NONE, NOBODY, NOBODY, NONE, NOBODY)
NO_SEARCH = PublishedSearch("none", 2018, "none", 0, 0, 25_000, "none")
FOUND = tallies(3, people=24, thresholds=(0.5,))
ONE, MANY = FOUND.verification, FOUND.search
EMPTY = replace(FOUND.everyone, label={"gender": "none"}, cells=NOBODY)
UNMEASURED = replace(FOUND, verification=None, search=None)
BARE = replace(ONE, dependence=None, mated_sums=None, tail=None, tail_cut=None, mated_low=None, left=None, right=None)
UNKNOWN = replace(FOUND, verification=BARE, search=None)  # a table that does not say who was compared


def nothing_prepared():
    side = Side.make(np.ones((1, 2), np.float32), np.arange(1), False, np.zeros(1, np.int64), np.zeros(1, np.int64))
    return prepare(side, side, True, np.full(1, -1), 1, False, [], 0)


#: Functions that refuse: by module and name, the calls without data.
REFUSE = {
    "arrays.det": [lambda: det([], [1.0]), lambda: det([1.0], [])],
    "arrays.eer": [lambda: eer([], [1.0]), lambda: eer([1.0], [])],
    "arrays.fmr_fnmr": [lambda: fmr_fnmr([], [1.0], 0.5), lambda: fmr_fnmr([1.0], [], 0.5)],
    "arrays.threshold_at_fmr": [lambda: threshold_at_fmr([], [1.0], 1.0), lambda: threshold_at_fmr([1.0], [], 1.0)],
    "bootstrap.bootstrap_rates": [
        lambda: bootstrap_rates(NOBODY, NOBODY, NONE, NOBODY, 2, np.zeros((3, 0), np.uint16)),
        lambda: bootstrap_rates(NOBODY, NOBODY, NONE, NOBODY, 2, np.array([[2, 0], [1, 1]], np.uint16)),
    ],
    "bootstrap.bootstrap_weights": [lambda: bootstrap_weights(0, 10, 0), lambda: bootstrap_weights(1, 10, 0)],
    "bootstrap.curve_band": [lambda: curve_band(NONE, [], np.zeros((0, 0)))],
    "bootstrap.curve_draws": [lambda: curve_draws([]), lambda: curve_draws([NO_PAIRS])],
    "bootstrap.rate_band": [lambda: rate_band([], []), lambda: rate_band([NO_PAIRS], [])],
    "compare.compare": [lambda: compare(UNMEASURED, FOUND), lambda: compare(FOUND, UNKNOWN)],
    "dyadic.dependence": [lambda: dependence(NO_PAIRS)],
    "dyadic.dyadic_variance": [lambda: dyadic_variance(NO_PAIRS)],
    "dyadic.moments_of": [lambda: moments_of(NONE)],
    "dyadic.pair_variance": [lambda: pair_variance(NO_PAIRS)],
    "dyadic.PairSums.rate": [lambda: NO_PAIRS.rate],
    "galleries.gallery_sizes": [
        lambda: gallery_sizes(FOUND, ONE, FOUND.everyone, 0.5),
        lambda: gallery_sizes(FOUND, MANY, EMPTY, 0.5),
    ],
    "galleries.hit_chance": [
        lambda: hit_chance(NOBODY, NOBODY, 10),
        lambda: hit_chance(np.zeros(1, int), np.zeros(1, int), 10),
        lambda: hit_chance(np.zeros(1, int), np.ones(1, int), 0),
    ],
    "galleries.predicted_fpir": [
        lambda: predicted_fpir(NONE, NONE, 10),
        lambda: predicted_fpir(np.ones(1), np.ones(1), 0),
    ],
    "galleries.strangers_above": [lambda: strangers_above(ONE, 0.5)],
    "galleries.vouches_for": [lambda: vouches_for(FOUND, ONE, [EMPTY], 0.5), lambda: vouches_for(FOUND, ONE, [], 0.5)],
    "headline.share": [lambda: share(0.0, 0)],
    "inequality.fdr": [lambda: fdr(NONE, NONE), lambda: fdr(np.ones(2), np.ones(1))],
    "inequality.garbe": [lambda: garbe(NONE, NONE), lambda: garbe(np.ones(2), np.ones(1))],
    "inequality.gini": [lambda: gini(NONE), lambda: gini(np.ones(1))],
    "inequality.max_geomean": [lambda: max_geomean(NONE), lambda: max_geomean(np.ones((5, 1)))],
    "inequality.max_min": [lambda: max_min(NONE), lambda: max_min(np.ones((5, 1)))],
    "spread.effective_trials": [lambda: effective_trials(Estimate(None, reason="nobody"))],
    "spread.trials_at": [lambda: trials_at(Estimate(None, reason="nobody"), 0.1)],
    "inequality.measured": [lambda: measured(max_min, Spread.of([], np.random.default_rng(0)))],
    "intervals.clopper_pearson": [lambda: clopper_pearson(0, 0)],
    "intervals.cluster_rate_interval": [lambda: cluster_rate_interval(NO_CLUSTERS)],
    "intervals.dependent_zero_bound": [lambda: dependent_zero_bound(NO_PAIRS)],
    "intervals.guaranteed_bound": [lambda: guaranteed_bound(NO_PAIRS)],
    "intervals.pair_rate_interval": [lambda: pair_rate_interval(NO_PAIRS)],
    "intervals.search_rate_interval": [lambda: search_rate_interval(NO_CLUSTERS)],
    "intervals.wilson": [lambda: wilson(0.0, 0.0)],
    "intervals.zero_error_bounds": [lambda: zero_error_bounds(0, 0), lambda: zero_error_bounds(0, 2)],
    "power.design_effect": [lambda: design_effect(1e-3, 0), lambda: design_effect(1e-3, 1)],
    "power.plan": [
        lambda: plan(1e-3, subjects=0),
        lambda: plan(1e-3, subjects=1),
        lambda: plan(0.0),
        lambda: plan(1e-3, groups=0),
        lambda: plan(1e-3, photos=0),
    ],
    "power.power_of": [lambda: power_of(UNMEASURED), lambda: power_of(UNKNOWN)],
    "prepare.prepare": [nothing_prepared],
    "published.implied_fmr": [lambda: implied_fmr(0.1, 0)],
    "published.risk_ratio": [lambda: risk_ratio(0, 0, 1, 2), lambda: risk_ratio(1, 2, 0, 0)],
    "published.PublishedSearch": [
        lambda: NO_SEARCH.fpir,
        lambda: NO_SEARCH.fmr,
        lambda: replace(NO_SEARCH, probes=5, references=0).fmr,
    ],
    "rates.pair_sums": [
        lambda: pair_sums(FOUND, ONE, EMPTY, 0.5),
        lambda: pair_sums(UNKNOWN, BARE, FOUND.everyone, 0.5),
    ],
    "rates.threshold_for": [lambda: threshold_for(ONE, EMPTY, 0.1)],
    "run.audit": [lambda: audit(UNMEASURED)],
    "subjecttail.SubjectTail": [
        lambda: NO_TAIL.rate(0.5),
        lambda: NO_TAIL.sums(0.5),
        lambda: SubjectTail.of(BARE),
        lambda: SubjectTail.of(MANY),
    ],
    "suspects.chance_of": [lambda: chance_of(np.zeros(0, np.float32))],
    "sweep.tally": [lambda: tally(population(1, people=1))],
    "tail.fit_pareto": [lambda: fit_pareto(NO_TAIL)],
    "tail.tail_fit": [lambda: tail_fit(FOUND, ONE, EMPTY), lambda: tail_fit(UNKNOWN, BARE, FOUND.everyone)],
    "tallies.Tallies.need": [lambda: UNMEASURED.need("verification")],
    "thresholds.certify": [lambda: certify(UNMEASURED, [FOUND.everyone], 0.1), lambda: certify(UNKNOWN, [EMPTY], 0.1)],
    "thresholds.certify_each": [lambda: certify_each(UNMEASURED, [FOUND.everyone], [0.1])],
    "thresholds.reference_group": [lambda: reference_group(FOUND, ONE, [FOUND.everyone], EMPTY, 0.1)],
}


def no_value(estimate):
    assert estimate.value is None
    assert estimate.interval is None
    assert estimate.reason


def no_values(*arrays):
    assert all(np.isnan(a).all() for a in arrays)


def refused(certificate):
    assert certificate.threshold is None
    assert certificate.reason


def no_differential(found):
    for measure in (found.max_min, found.max_geomean, found.garbe, found.fdr):
        assert measure.value is None
        assert measure.interval is None
        assert measure.reason


#: Functions that answer without data: with no value and the reason, or with an empty list.
ANSWER = {
    "differentials.differentials": lambda: no_differential(differentials(FOUND, ONE, [EMPTY, EMPTY], 0.5)),
    "rates.false_match": lambda: no_value(false_match(FOUND, ONE, EMPTY, 0.5)),
    "rates.false_nonmatch": lambda: no_value(false_nonmatch(FOUND, ONE, EMPTY, 0.5)),
    "rates.false_positive_identification": lambda: [
        no_value(false_positive_identification(FOUND, MANY, EMPTY, 0.5)[0]),
        no_value(false_positive_identification(FOUND, ONE, FOUND.everyone, 0.5)[0]),
    ],
    "rates.false_negative_identification": lambda: [
        no_value(false_negative_identification(FOUND, MANY, EMPTY, 0.5)[0]),
        no_value(false_negative_identification(FOUND, ONE, FOUND.everyone, 0.5)[0]),
    ],
    "rates.nonmated_probes": lambda: not_any(
        nonmated_probes(replace(MANY.candidates, searched=NOBODY, mated_rank=NOBODY))
    ),
    "rates.rates_along": lambda: no_values(*rates_along(ONE, EMPTY)),
    "search.search": lambda: empty(search(FOUND, ONE, [], [FOUND.everyone])),
    "suspects.suspects": lambda: empty(suspects(UNMEASURED)),
    "thresholds.choose": lambda: refused(choose(FOUND, ONE, EMPTY, 0.1)),
    "thresholds.certify": lambda: refused(certify(FOUND, [EMPTY], 0.1)),
    "verification.verification": lambda: [
        no_value(row.fmr) for row in verification(FOUND, ONE, audit(FOUND).verification.thresholds, [[EMPTY]]).groups
    ],
}


def not_any(mask):
    assert mask.size == 0


def empty(found):
    assert not found


#: Functions that make no figure out of data.
NO_FIGURE = {
    "accumulate.weights": "a step of the pass: an array of the counts' own shape",
    "adjudicate.adjudicate": "tallies to tallies",
    "anonymise.anonymised": "tallies to tallies",
    "blas.one_thread": "threads",
    "dyadic.dot": "a sum of products, 0 for none as any sum",
    "dyadic.shared_covariance": "a sum of covariances, 0 for none as any sum",
    "finish.finish": "a step of the pass, after `prepare` has refused",
    "headline.headline": "a sentence, which says so",
    "inequality.contrasts": "a row a group, so none for none",
    "draws": "draws data, from a model",
    "headline.setting": "a threshold in words",
    "kernels": "loops of the pass, after `prepare` has refused",
    "labels": "names of groups and people",
    "pairrates.bin_of": "a number of a bin",
    "pairrates.cell_pairs": "a list, empty for none",
    "pairrates.from_above": "sums, 0 for none",
    "pairrates.names_of": "names of groups",
    "pairrates.rung_of": "a number of a rung",
    "plan": "the grid of the pass, after `prepare` has refused",
    "power.pairs_of": "arithmetic: nobody makes no pair",
    "power.people_for": "arithmetic",
    "power.shared_covariance": "a property of an assumed distribution",
    "prepare.mated_comparisons": "a list, empty for none",
    "prepare.pair_sums": "counts, 0 for none",
    "rates.snap": "a grid value",
    "simulate": "draws data, from a model",
    "tallyfile": "reads and writes tallies",
    "validate.validate": "returns nothing",
}


def public_functions():
    for module in pkgutil.walk_packages(countenance.audit.__path__, "countenance.audit."):
        loaded = importlib.import_module(module.name)
        for name in getattr(loaded, "__all__", ()):
            value = getattr(loaded, name)
            if callable(value) and not inspect.isclass(value) and value.__module__ == module.name:
                yield f"{module.name.removeprefix('countenance.audit.')}.{name}"


def test_it_is_known_of_every_public_function_what_it_does_without_data():
    known = {*REFUSE, *ANSWER, *NO_FIGURE}
    unknown = {name for name in public_functions() if not {name, name.rsplit(".", 1)[0]} & known}
    assert not unknown


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{name}-{k}") for name, calls in REFUSE.items() for k, call in enumerate(calls)]
)
def test_without_data_there_is_an_error_and_no_number(call):
    with pytest.raises(NotEnoughDataError, match=r"\w+ \w+"):
        call()


@pytest.mark.parametrize("name", list(ANSWER))
def test_without_data_there_is_no_value_and_the_reason(name):
    ANSWER[name]()

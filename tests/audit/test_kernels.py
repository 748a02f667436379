"""The compiled loops against the same source run by Python: both give the same tallies, to the last bit."""

from contextlib import contextmanager
from dataclasses import replace

import brute
import numpy as np
import pytest
from hypothesis import given, settings
from test_sweep import asked, many, template_sets

from countenance.audit import accumulate, draws, kernels, plan, simulate, worker
from countenance.audit.accumulate import Tail
from countenance.audit.sweep import tally


def loops(module):
    return [name for name in vars(module) if hasattr(getattr(module, name), "py_func")]


@contextmanager
def interpreted(module=kernels):
    """A module's compiled functions as Python runs them, those that call each other too."""
    with pytest.MonkeyPatch.context() as patch, np.errstate(over="ignore"):  # whole numbers of 64 bits wrap around
        for name in loops(module):
            patch.setattr(module, name, getattr(module, name).py_func)
        yield


def check(templates, **options):
    compiled = tally(templates, threads=1, **options)
    with interpreted():
        brute.same(compiled, tally(templates, threads=1, **options))


def uneven(templates, seed=0):
    """Every person loses some photos, but keeps one."""
    keep = np.random.default_rng(seed).random(templates.count) < 0.6
    keep[np.unique(templates.subject, return_index=True)[1]] = True
    kept = np.flatnonzero(keep)
    paths = tuple(templates.paths[k] for k in kept)
    return replace(templates, vectors=templates.vectors[kept], subject=templates.subject[kept], paths=paths)


def test_every_loop_is_run_by_python_too():
    compiled = set(loops(kernels))
    assert compiled >= set(kernels.__all__) - {"SPLIT"}
    with interpreted():
        assert not loops(kernels)
    assert set(loops(kernels)) == compiled


@settings(max_examples=25, deadline=None)
@given(template_sets(), asked)
def test_small_sets_of_all_kinds(templates, thresholds):
    check(templates, thresholds=thresholds)


@pytest.mark.parametrize("photos", [1, 3])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_people_with_equally_many_photos(photos, metric):
    templates = many(photos, 12, metric)
    inside = float(np.nextafter(-10.0, 0)) if metric == "euclidean" else 0.25 + 1e-6  # splits a bin that holds scores
    check(templates, thresholds=[inside])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_people_with_different_numbers_of_photos_on_both_sides(metric):
    templates = uneven(many(4, 10, metric))
    inside = float(np.nextafter(-10.0, 0)) if metric == "euclidean" else 0.25 + 1e-6
    check(templates, gallery=templates, thresholds=[inside])
    probes = replace(uneven(many(4, 10, metric, seed=1), 1), subjects=tuple(map(str, range(5, 15))))
    check(templates, probes=probes, gallery=templates)


@pytest.mark.parametrize("change", [lambda templates: templates, uneven])
def test_only_the_tail_is_listed(change, monkeypatch):
    for module in (accumulate, worker):
        monkeypatch.setattr(module, "TAIL", 100)
    monkeypatch.setattr(Tail.shortened, "__defaults__", (100,))
    monkeypatch.setattr("countenance.audit.prepare.TAIL", 100)
    monkeypatch.setattr(plan, "PANEL", 16)
    check(change(many(3, 24)), thresholds=[1e-6])  # splits a bin below the tail


@pytest.mark.parametrize("photos", [1, 2, 8])
@pytest.mark.parametrize("others", [None, 40])
def test_simulated_pairs(photos, others):
    def draw():
        wolves = simulate.Wolves(0.58)
        return simulate.simulate_pair_sums([0.6, 0.1, 0.01], wolves, 50, photos, others=others, seed=photos)

    compiled = draw()
    with interpreted(draws):
        for one, same in zip(compiled, draw(), strict=True):
            brute.same(one, same)


@pytest.mark.parametrize("photos", [1, 3])
def test_simulated_searches(photos):
    def draw():
        return simulate.simulate_search(0.3, simulate.Wolves(1.0, "few"), 60, 40, photos, seed=photos)

    compiled, truth = draw()
    with interpreted(draws):
        again, same = draw()
    brute.same(compiled, again)
    assert truth == same


@pytest.mark.parametrize("photos", [1, 2])
def test_simulated_tails(photos):
    def draw():
        return simulate.simulate_tail(0.05, simulate.Wolves(0.58), 40, photos, seed=photos)

    compiled = draw()
    with interpreted(draws):
        brute.same(compiled, draw())

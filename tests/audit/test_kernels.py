"""The compiled loops against the same source run by Python: both give the same tallies, to the last bit."""

from contextlib import contextmanager
from dataclasses import replace

import brute
import numpy as np
import pytest
from hypothesis import given, settings
from test_sweep import asked, many, template_sets

from countenance.audit import accumulate, kernels, plan, worker
from countenance.audit.accumulate import Tail
from countenance.audit.sweep import tally

LOOPS = [name for name in vars(kernels) if hasattr(getattr(kernels, name), "py_func")]


@contextmanager
def interpreted():
    """The kernels as Python runs them, those that call each other too."""
    with pytest.MonkeyPatch.context() as patch:
        for name in LOOPS:
            patch.setattr(kernels, name, getattr(kernels, name).py_func)
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
    assert set(LOOPS) >= set(kernels.__all__) - {"SPLIT", "compiled"}
    with interpreted():
        assert not any(hasattr(getattr(kernels, name), "py_func") for name in LOOPS)
    assert all(hasattr(getattr(kernels, name), "py_func") for name in LOOPS)


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

"""The one pass against every comparison written out, on data whose scores float32 holds exactly."""

import _ctypes
import dataclasses
from dataclasses import replace
from pathlib import Path

import brute
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.audit import accumulate, blas, people, plan, sweep, worker
from countenance.audit.accumulate import Tail
from countenance.audit.people import People
from countenance.audit.prepare import prepare
from countenance.audit.sweep import _first_photos, tally
from countenance.audit.tallies import Failures, System
from countenance.audit.templates import TemplateSet
from countenance.audit.worker import Worker
from countenance.compiled import compiled
from countenance.errors import InputError, NotEnoughDataError

LABELS = (None, "a", "b")


@st.composite
def template_sets(draw, names="ABCDEFGHIJ", metric=None, columns=("g", "h"), least=2):
    """Few people with few photos, of small whole numbers: distances are exact; for the cosine all lengths are 4."""
    metric = metric or draw(st.sampled_from(["cosine", "euclidean"]))
    subjects = tuple(draw(st.lists(st.sampled_from(names), min_size=least, max_size=8, unique=True)))
    subject = draw(st.lists(st.integers(0, len(subjects) - 1), min_size=least, max_size=24))
    subject[:least] = range(least)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if metric == "cosine":
        vectors = random.choice([-1, 1], (len(subject), 16))
    else:
        vectors = random.integers(-3, 4, (len(subject), draw(st.integers(1, 6))))
        vectors = np.hstack([vectors, np.zeros((len(subject), 6 - vectors.shape[1]), int)])
    groups = {c: tuple(draw(st.sampled_from(LABELS)) for _ in subjects) for c in columns}
    return TemplateSet(
        vectors=vectors,
        subject=np.array(subject),
        subjects=subjects,
        paths=tuple(f"{draw(st.just('p'))}{k}" for k in range(len(subject))),
        system=System("test"),
        groups=groups,
        metric=metric,
    )


asked = st.lists(st.one_of(st.floats(-8, 2), st.sampled_from([0.0, -1.0, 0.5, -np.sqrt(2)])), max_size=4)


@settings(max_examples=60, deadline=None)
@given(template_sets(), asked)
def test_one_set_agrees_with_every_comparison_written_out(templates, thresholds):
    found = tally(templates, thresholds=thresholds)
    assert set(thresholds) <= set(found.verification.ladder.tolist())
    brute.check(found, found.verification, brute.within(templates))
    brute.check(found, found.search, brute.against(templates, templates, brute.first_photos(templates)))


@settings(max_examples=60, deadline=None)
@given(st.data(), asked)
def test_probes_and_gallery_share_people_by_name(data, thresholds):
    metric = data.draw(st.sampled_from(["cosine", "euclidean"]))
    templates = data.draw(template_sets(metric=metric))
    probes = data.draw(template_sets(names="FGHIJKLMNO", metric=metric, columns=("h",)))
    found = tally(templates, gallery=probes, thresholds=thresholds)
    brute.check(found, found.verification, brute.within(templates))
    brute.check(found, found.search, brute.against(templates, probes, range(probes.count)))
    found = tally(templates, probes=probes, thresholds=thresholds)
    brute.check(found, found.search, brute.against(probes, templates, brute.first_photos(templates)))


@settings(max_examples=25, deadline=None)
@given(template_sets(), asked, st.integers(1, 9), st.integers(1, 30), st.integers(1, 3))
def test_tiles_and_threads_change_nothing(templates, thresholds, panel, pure, threads):
    whole = tally(templates, thresholds=thresholds, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PANEL", panel)
        patch.setattr(people, "PURE", pure)
        patch.setattr(sweep, "PURE", pure)
        patch.setattr(People.side, "__defaults__", (pure,))
        cut = tally(templates, thresholds=thresholds, threads=threads)
    brute.check(cut, cut.verification, brute.within(templates))
    brute.check(cut, cut.search, brute.against(templates, templates, brute.first_photos(templates)))
    assert (cut.search.candidates.references == whole.search.candidates.references).all()


def many(photos, subjects=60, metric="cosine", cells=2, seed=0):
    random = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), photos)
    return TemplateSet(
        vectors=random.choice([-1, 1], (len(subject), 64)),
        subject=subject,
        subjects=tuple(map(str, range(subjects))),
        paths=tuple(f"p{k}" for k in range(len(subject))),
        system=System("test", documented_threshold=0.123),
        groups={"g": tuple("ab"[k % cells] for k in range(subjects))},
        metric=metric,
    )


@pytest.mark.parametrize("photos", [1, 3, 20])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_people_with_equally_many_photos(photos, metric):
    templates = many(photos, 12 if photos == 20 else 24, metric)
    found = tally(templates, thresholds=[-10.1, 0.1])
    brute.check(found, found.verification, brute.within(templates))
    brute.check(found, found.search, brute.against(templates, templates, brute.first_photos(templates)))
    assert 0.123 in found.verification.ladder
    assert found.system.metric == metric


def test_one_person_with_most_of_the_photos():
    templates = many(1, 300)
    subject = np.where(np.arange(300) < 270, 0, np.arange(300) - 269)
    templates = replace(templates, subject=subject)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PANEL", 64)
        found = tally(templates, search=False)
    brute.check(found, found.verification, brute.within(templates))


@settings(max_examples=20, deadline=None)
@given(template_sets(), st.integers(1, 6), st.randoms())
def test_workers_of_some_tiles_each_merge_to_the_whole(templates, panel, random):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "PANEL", panel)
        made = People([templates])
        everyone = np.arange(templates.count)
        left, right = made.side(templates, everyone), made.side(templates, _first_photos(templates))
        shape = len(made.cells), templates.metric == "euclidean"
        nobody = np.full(templates.count, -1)
        for search in (False, True):
            ends = (left, right) if search else (left, left)
            ready, _ = prepare(*ends, not search, nobody, *shape, [], 0)
            mate = np.full(templates.count, 0.0, np.float32) if search else None
            whole, parts = Worker(ready, mate), [Worker(ready, mate) for _ in range(3)]
            for tile in ready.tiles:
                whole.count(tile)
                random.choice(parts).count(tile)
            random.shuffle(parts)
            merged = parts[0].sums.merge(parts[1].sums, ready).merge(parts[2].sums, ready)
            for field in dataclasses.fields(merged):
                a, b = getattr(merged, field.name), getattr(whole.sums, field.name)
                if field.name == "tail":
                    assert sorted(zip(*a.whole, strict=True)) == sorted(zip(*b.whole, strict=True))
                elif field.name == "best" and a is not None:
                    for part in dataclasses.fields(a):
                        np.testing.assert_array_equal(getattr(a, part.name), getattr(b, part.name))
                elif a is not None:
                    np.testing.assert_array_equal(a, b)


def test_a_full_tail_is_cut_where_it_stays_complete(monkeypatch):
    templates = many(2, 60)
    whole = tally(templates)
    for module in (accumulate, worker):
        monkeypatch.setattr(module, "TAIL", 500)
    monkeypatch.setattr(Tail.shortened, "__defaults__", (500,))
    monkeypatch.setattr("countenance.audit.prepare.TAIL", 500)
    monkeypatch.setattr(plan, "PANEL", 16)
    found = tally(templates)
    brute.check(found, found.verification, brute.within(templates))
    brute.check(found, found.search, brute.against(templates, templates, brute.first_photos(templates)))
    for name in ("verification", "search"):
        tail, every = getattr(found, name).tail, getattr(whole, name).tail
        assert 0 < tail.score.size <= 500 < every.score.size
        assert (tail.score == every.score[: tail.score.size]).all()


def test_the_same_input_gives_the_same_tallies_and_progress_reaches_the_end():
    random = np.random.default_rng(5)
    templates = replace(many(2, 400), vectors=random.standard_normal((800, 64)))
    told = []
    first = tally(templates, seed=3, threads=1, progress=lambda done, total: told.append((done, total)))
    second = tally(templates, seed=3, threads=3)
    brute.same(first, second)
    assert told[-1][0] == told[-1][1]
    assert first.inputs["seed"] == 3


def test_many_cells_get_a_coarser_grid_and_too_many_are_refused(monkeypatch):
    templates = many(1, 60, cells=1)
    wide = replace(templates, groups={"g": tuple(map(str, range(60)))})
    assert tally(wide, search=False).verification.grid.size < tally(templates, search=False).verification.grid.size
    monkeypatch.setattr("countenance.audit.prepare.MOST_BYTES", 1000)
    with pytest.raises(InputError, match="fewer columns"):
        tally(templates)
    monkeypatch.setattr("countenance.audit.prepare.MOST_BYTES", 200_000)
    with pytest.raises(InputError, match="photos of one person"):
        tally(replace(many(1, 300, cells=1), subject=np.minimum(np.arange(300), 1)))


def test_sets_that_do_not_fit_together_are_refused():
    templates = many(1, 4)
    with pytest.raises(InputError, match="different systems"):
        tally(templates, gallery=replace(templates, metric="euclidean"))
    with pytest.raises(InputError, match="64 and 3 numbers"):
        tally(templates, gallery=replace(templates, vectors=np.ones((4, 3))))
    with pytest.raises(NotEnoughDataError, match="two different people"):
        tally(replace(templates, subject=np.zeros(4)))
    with pytest.raises(NotEnoughDataError):
        tally(replace(templates, vectors=np.zeros((0, 64)), subject=np.zeros(0), paths=()))
    for thresholds in ([np.nan], [np.inf], range(100)):
        with pytest.raises(InputError, match="threshold"):
            tally(templates, thresholds=thresholds)


def test_failures_labels_and_notes_of_several_sets_come_together():
    one = replace(many(1, 3), notes=("x",), failures=Failures(np.array([2, 1, 1]), np.array([1, 0, 0])))
    other = replace(many(1, 4), groups={"g": ("b", "b", None, "a"), "h": (None,) * 4}, notes=("x", "y"))
    found = tally(one, probes=other)
    assert found.failures.photos.tolist() == [2, 1, 1, 1]
    assert found.failures.failed.tolist() == [1, 0, 0, 0]
    assert found.notes == ("x", "y", "g: 1 subjects have different labels in two sets; the first one counts")
    assert [found.cells[c] for c in found.cell] == [("a", None), ("b", None), ("a", None), ("a", None)]
    assert tally(other).failures is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metric": "dot"}, "metric"),
        ({"subject": np.zeros(2)}, "one each"),
        ({"subjects": ("0", "0", "1", "2")}, "twice"),
        ({"subject": np.array([0, 1, 2, 4])}, "outside the 4"),
        ({"groups": {"g": ("a",)}}, "1 labels for 4"),
        ({"failures": Failures(np.zeros(1), np.zeros(1))}, "one count"),
        ({"vectors": np.full((4, 64), np.nan)}, "p0 and 3 more: a template holds NaN"),
        ({"vectors": np.vstack([np.ones((3, 64)), np.zeros((1, 64))])}, "p3: a template is all zeros"),
        ({"vectors": [[1.0], [1.0, 2.0], [1.0], [1.0]]}, "differ in length"),
        ({"vectors": np.ones(4)}, "one vector a row"),
    ],
)
def test_templates_are_checked_at_the_door(change, says):
    with pytest.raises(InputError, match=says):
        replace(many(1, 4), **change)


def test_where_nothing_can_be_cached_the_kernels_still_compile():
    space = {}
    exec(compile("def double(x):\n    return 2 * x", "<nowhere>", "exec"), space)  # no file, so no folder for a cache
    assert compiled(space["double"])(21) == 42


def test_products_are_held_to_one_thread_where_that_can_be_done(monkeypatch):
    found = blas._openblas()
    if found is not None:  # NumPy's own wheels
        before = found[0]()
        with blas.one_thread() as outer, blas.one_thread() as inner:
            assert outer
            assert inner
            assert found[0]() == 1
        assert found[0]() == before
    templates = many(2, 20)
    here = tally(templates)
    monkeypatch.setattr(blas.np, "__file__", "/nowhere/numpy/__init__.py")
    blas._openblas.cache_clear()
    with blas.one_thread() as held:
        assert not held
    brute.same(here, tally(templates))
    blas._openblas.cache_clear()


def test_only_a_library_that_says_how_many_threads_it_uses_is_held(monkeypatch, tmp_path):
    found = blas._openblas()
    if found is None:
        pytest.skip("NumPy comes without its own OpenBLAS")
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    real = next(f for f in sorted(folder.glob("*openblas*")) if "scipy" in f.name)
    (tmp_path / "numpy.libs").mkdir()
    (tmp_path / "numpy.libs" / "a-openblas-of-another-kind.so").symlink_to(_ctypes.__file__)
    monkeypatch.setattr(blas.np, "__file__", str(tmp_path / "numpy" / "__init__.py"))
    blas._openblas.cache_clear()
    assert blas._openblas() is None
    (tmp_path / "numpy.libs" / real.name).symlink_to(real)
    blas._openblas.cache_clear()
    before = found[0]()
    with blas.one_thread() as held:
        assert held
        assert found[0]() == 1
    assert found[0]() == before
    blas._openblas.cache_clear()

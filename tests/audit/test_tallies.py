"""The file of tallies: what goes in comes out, what was tampered with is refused."""

import io
import json
import zipfile
from dataclasses import replace

import brute
import numpy as np
import pytest
from hypothesis import given, settings
from test_sweep import asked, template_sets

from countenance.audit import tallyfile
from countenance.audit.sweep import tally
from countenance.audit.tallies import Failures, System
from countenance.audit.tallyfile import load_tallies, save_tallies
from countenance.audit.templates import TemplateSet
from countenance.errors import NotEnoughDataError, TalliesError


@settings(max_examples=30, deadline=None)
@given(template_sets(), asked)
def test_what_is_saved_with_names_is_loaded_again(tmp_path_factory, templates, thresholds):
    found = tally(templates, thresholds=thresholds)
    path = tmp_path_factory.mktemp("t") / "a.tallies"
    save_tallies(found, path, names=True)
    first = path.read_bytes()
    brute.same(found, load_tallies(path))
    save_tallies(load_tallies(path), path, names=True)
    assert path.read_bytes() == first
    save_tallies(found, path)
    assert load_tallies(path).names is None


def made(**change):
    random = np.random.default_rng(7)
    subject = np.repeat(np.arange(20), 3)
    given_ = {
        "vectors": random.choice([-1, 1], (60, 64)),
        "subject": subject,
        "subjects": tuple(f"Person {chr(65 + k)}" for k in range(20)),
        "paths": tuple(f"photos/{k}.jpg" for k in range(60)),
        "system": System("test", models={"net.onnx": "ab" * 32}),
        "groups": {"g": tuple(("a", "b", None)[k % 3] for k in range(20))},
        "failures": Failures(np.full(20, 4), np.ones(20, np.int64)),
    }
    return tally(TemplateSet(**(given_ | change)), thresholds=[0.111])


def test_without_names_nobody_can_be_found_and_the_figures_are_the_same(tmp_path):
    found = made(
        notes=("labels of Person_C conflict", "three photos are duplicates"),
        inputs={"manifest": "/home/x/photos/7.jpg", "version": "1.2", "files": ["PERSON D", "ok"], "more": {"n": 3}},
    )
    path, again = tmp_path / "a.tallies", tmp_path / "b.tallies"
    save_tallies(found, path)
    save_tallies(found, again)
    assert path.read_bytes() != again.read_bytes()
    with zipfile.ZipFile(path) as archive:
        text = archive.read("header.json").decode()
    assert "erson" not in text
    assert "photos/" not in text
    loaded = load_tallies(path)
    assert loaded.notes == ("three photos are duplicates",)
    assert dict(loaded.inputs) == {"version": "1.2", "files": ["ok"], "more": {"n": 3}, "seed": 0}
    assert loaded.names is None
    for name in ("verification", "search"):
        a, b = getattr(found, name), getattr(loaded, name)
        for part in ("nonmated", "nonmated_weight", "mated", "mated_weight", "pairs"):
            np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
        assert (a.tail.score == b.tail.score).all()
        assert (a.dependence.rows != b.dependence.rows).any()
        np.testing.assert_allclose(np.sort(a.dependence.rows.sum(2), 1), np.sort(b.dependence.rows.sum(2), 1))
        # who is alike is the same under new numbers: each pair's cells and how often both took part
        for one, t in ((a, found), (b, loaded)):
            ends = [side.subject[n] for side, n in ((one.left, one.tail.left), (one.right, one.tail.right))]
            assert (ends[0] != ends[1]).all()
            assert len(t.cell) == 20
    candidates = loaded.search.candidates
    assert np.array_equal(np.sort(candidates.mated_score), np.sort(found.search.candidates.mated_score))


def rewritten(path, change=None, header=None, raw=None):
    """The same file with one array or the header changed."""
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    for name, how in (change or {}).items():
        array = how(np.load(io.BytesIO(members[f"{name}.npy"])))
        out = io.BytesIO()
        np.save(out, array, allow_pickle=True)
        members[f"{name}.npy"] = out.getvalue()
    members |= raw or {}
    if header is not None:
        content = json.loads(members["header.json"])
        header(content)
        members["header.json"] = json.dumps(content).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return path


def put(at, value):
    def change(array):
        array = array.astype(np.int64) if array.dtype.kind in "iu" else array.copy()
        array[at] = value
        return array

    return change


def plus(at, value):
    def change(array):
        array = array.astype(np.int64) if array.dtype.kind in "iu" else array.copy()
        array[at] += value
        return array

    return change


V = "verification/"
S = "search/"
TAMPERED = [
    (V + "nonmated", plus((0, -1), 1), "nonmated|histogram"),
    (V + "nonmated", put((0, 0), -1), "below zero"),
    (V + "nonmated", lambda a: a[:, 1:], "shape"),
    (V + "nonmated", lambda a: a.astype(float), "float64 where int64"),
    (V + "nonmated", lambda a: a.astype(np.uint64), "uint64 where int64"),
    (V + "nonmated", lambda a: np.asfortranarray(np.vstack([a, a])), "C order"),
    (V + "nonmated", lambda a: a.astype(object), "plain number"),
    (V + "nonmated_weight", plus((0, 0), 5), "weight"),
    (V + "grid", lambda a: a[::-1].copy(), "rising"),
    (V + "grid", put(0, np.nan), "finite"),
    (V + "ladder", plus(0, 1e-6), "grid"),
    (V + "ladder", lambda a: a[:0], "row of numbers"),
    (V + "cell_pairs", put((0, 0), 99), "outside"),
    (V + "cell_pairs", lambda a: a[:, :1], "not pairs"),
    (V + "cell_pairs", lambda a: a[:, ::-1].copy(), "turned"),
    (V + "cell_pairs", lambda a: np.vstack([a[1:2], a[1:]]), "twice"),
    (V + "pairs", plus(0, 1), "weight|pairs"),
    (V + "mated", plus((0, -1), 1), "mated"),
    (V + "mated_sums/matches", put((0, 0), 10**6), "matches"),
    (V + "mated_sums/comparisons", plus(0, 1), "comparisons"),
    (V + "dependence/rows", lambda a: a * np.float32(1.1), "rows"),
    (V + "dependence/rows", lambda a: a.astype(np.float64), "float32 belongs"),
    (V + "dependence/row_counts", plus((0, 0, 0), 1), "row_counts"),
    (V + "dependence/row_pairs", plus((0, 0), 2), "row_pairs"),
    (V + "dependence/row_comparisons", plus((0, 0), 2), "row_comparisons"),
    (V + "dependence/squares", lambda a: a + 1e9, "squares"),
    (V + "dependence/count_squares", lambda a: a + 1e9, "count_squares"),
    (V + "dependence/count_cross", lambda a: a + 1e9, "count_cross"),
    (V + "tail/score", plus(0, 1), "histogram|tail"),
    (V + "tail/score", lambda a: a[::-1].copy(), "order"),
    (V + "tail/score", put(0, np.inf), "finite"),
    (V + "tail/score", lambda a: a[1:], "length"),
    (V + "tail/left", put(0, 10**6), "outside"),
    (V + "tail/left", lambda a: np.roll(a, 1), "tail"),
    (V + "mated_low/right", lambda a: np.roll(a, 1), "mated_low"),
    (V + "mated_low/score", lambda a: a - 1, "mated_low"),
    (V + "left/subject", put(0, 99), "outside"),
    (V + "left/subject", lambda a: a[:, None], "row of numbers"),
    (S + "candidates/scores", put((0, 0), 9), "candidates"),
    (S + "candidates/scores", lambda a: a[:, ::-1].copy(), "best first|candidates"),
    (S + "candidates/scores", put((0, 0), np.nan), "finite"),
    (S + "candidates/references", put((0, 0), -1), "candidates"),
    (S + "candidates/references", put((0, 0), 10**6), "outside"),
    (S + "candidates/searched", plus(0, 30), "candidates"),
    (S + "candidates/counts", plus((0, 0), 1), "candidates"),
    (S + "candidates/mated_rank", put(1, 0), "mated_rank"),
    (S + "candidates/mated_rank", put(0, 10**6), "mated_rank"),
    (S + "dependence/column_counts", plus((0, 0, 0), 1), "column_counts"),
    ("cell", put(0, 99), "cell"),
    ("failures/failed", put(0, 99), "more failed"),
    ("failures/failed", lambda a: a[1:], "one count"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "a.tallies"
    save_tallies(made(), path, names=True)
    return path


@pytest.mark.parametrize(("name", "how", "says"), TAMPERED)
def test_an_array_that_does_not_add_up_is_refused(saved, tmp_path, name, how, says):
    path = tmp_path / "b.tallies"
    path.write_bytes(saved.read_bytes())
    with pytest.raises(TalliesError, match=says) as caught:
        load_tallies(rewritten(path, {name: how}))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def at(*keys, to):
    def change(header):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (at("format", to="x"), "countenance-tallies/1"),
        (at("cells", to=[["a"]]), "cell"),
        (at("cells", 0, to=[1]), "text or null"),
        (at("cells", to=7), "a list belongs"),
        (at("cells", 0, to=["b"]), "twice"),
        (at("cells", 0, to=["b", "c"]), "each column"),
        (at("columns", to=["g", "g"]), "column"),
        (at("columns", to=[1]), "only text"),
        (at("names", to=["x"]), "names"),
        (at("inputs", to=[]), "an object"),
        (at("system", "documented_threshold", to="high"), "system"),
        (at("system", "models", to={"a": 1}), "system"),
        (at("verification", to=[1]), "an object"),
        (at("verification", "parts", to=["left", "faces"]), "unknown part"),
        (at("verification", "parts", to=["dependence", "mated_sums", "tail", "mated_low"]), "without the sides"),
        (at("search", "parts", to=["dependence", "mated_sums", "candidates"]), "shape|without the sides|tail_cut"),
        (at("verification", "tail_cut", to="high"), "tail_cut"),
        (at("verification", "tail_cut", to=None), "tail_cut"),
        (at("verification", "tail_cut", to=0.00001), "tail"),
        (at("verification", "tail_cut", to="inf"), "below the cut"),
        (at("search", "tail_cut", to=None), "tail_cut"),
        (at("verification", "symmetric", to=1), "symmetric"),
        (at("verification", "symmetric", to=False), "columns|shape|belong"),
        (at("verification", "left_paths", to=["x"]), "paths"),
    ],
)
def test_a_header_that_is_wrong_is_refused(saved, tmp_path, header, says):
    path = tmp_path / "b.tallies"
    path.write_bytes(saved.read_bytes())
    with pytest.raises(TalliesError, match=says):
        load_tallies(rewritten(path, header=header))


def test_damaged_and_hostile_files_are_refused(saved, tmp_path):
    path = tmp_path / "b.tallies"
    whole = saved.read_bytes()
    for content in (b"", b"no zip", whole[:1000], whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(content)
        with pytest.raises(TalliesError, match="not a file of tallies"):
            load_tallies(path)
    with pytest.raises(TalliesError, match="no such file"):
        load_tallies(tmp_path / "none")
    with pytest.raises(TalliesError, match="cannot be read"):
        load_tallies(tmp_path)
    with pytest.raises(TalliesError, match="unpacks to"):
        load_tallies(saved, most_bytes=1000)

    def broken(says, **how):
        path.write_bytes(whole)
        with pytest.raises(TalliesError, match=says):
            load_tallies(rewritten(path, **how))

    broken("missing", raw={"cell.npy": None})
    broken("header.json", raw={"header.json": None})
    broken("format None", raw={"header.json": b"[]"})
    broken("members", raw={f"x{k}": b"" for k in range(200)})
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"shape": (10**12,), "fortran_order": False, "descr": "<i8"})
    broken("do not make the shape", raw={"cell.npy": huge.getvalue()})
    second = io.BytesIO()
    np.lib.format.write_array(second, np.zeros(20, np.int64), version=(2, 0))
    broken("version 1.0", raw={"cell.npy": second.getvalue()})


def test_nothing_half_written_is_left_behind(saved, tmp_path, monkeypatch):
    with pytest.raises(TalliesError, match="cannot be written"):
        save_tallies(load_tallies(saved), tmp_path / "no" / "a.tallies")
    target = tmp_path / "a.tallies"
    target.mkdir()
    with pytest.raises(TalliesError, match="cannot be written"):
        save_tallies(load_tallies(saved), target)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tallies"]
    found = load_tallies(saved)
    found.verification.nonmated[0, -1] += 1
    with pytest.raises(TalliesError, match=r"verification\."):
        save_tallies(found, tmp_path / "b.tallies")


def test_scores_without_subjects_are_tallies_too(saved, tmp_path):
    found = load_tallies(saved)
    bare = replace(
        found.verification,
        nonmated_weight=found.verification.nonmated.astype(float),
        dependence=None,
        mated_sums=None,
        tail=None,
        tail_cut=None,
        mated_low=None,
        left=None,
        right=None,
    )
    path = tmp_path / "a.tallies"
    save_tallies(replace(found, verification=bare, search=None, failures=None), path)
    assert load_tallies(path).verification.tail is None
    assert not load_tallies(path).verification.has_subjects
    empty = replace(found.verification.tail, **{k: v[:0] for k, v in vars(found.verification.tail).items()})
    cut = replace(found, verification=replace(found.verification, tail=empty, tail_cut=np.inf))
    save_tallies(cut, path)
    assert load_tallies(path).verification.tail_cut == np.inf


def test_scores_finer_than_float32_are_kept_as_they_were_written(saved, tmp_path):
    found = load_tallies(saved)
    tail = found.verification.tail
    fine = replace(tail, score=tail.score.astype(np.float64) + 1e-12)
    assert (fine.score != fine.score.astype(np.float32)).all()
    path = tmp_path / "a.tallies"
    save_tallies(replace(found, verification=replace(found.verification, tail=fine)), path)
    again = load_tallies(path).verification.tail.score
    assert again.dtype == np.float64
    np.testing.assert_array_equal(again, fine.score)


def test_people_without_lists_of_pairs_get_new_numbers_too(saved, tmp_path):
    found = load_tallies(saved)
    bare = replace(found.verification, tail=None, tail_cut=None, mated_low=None)
    path = tmp_path / "a.tallies"
    save_tallies(replace(found, verification=bare, search=None), path)
    again = load_tallies(path).verification
    assert again.tail is again.mated_low is None
    assert np.array_equal(np.sort(again.left.subject), np.sort(bare.left.subject))
    assert np.array_equal(np.sort(again.dependence.row_pairs, 0), np.sort(bare.dependence.row_pairs, 0))


def test_whole_numbers_of_every_size_are_kept(saved, tmp_path):
    found = load_tallies(saved)
    for value in (0, -1, 2**40):
        compact = tallyfile._compact(np.array([value, 3]))
        assert compact.tolist() == [value, 3]
    assert tallyfile._compact(np.array([2**40])).dtype == np.int64
    assert found.verification.nonmated.dtype == np.int64


def test_groups_are_unions_of_cells():
    found = made(
        groups={"g": tuple("ab"[k % 2] for k in range(20)), "h": tuple((None, "x")[k % 4 == 0] for k in range(20))}
    )
    labels = [dict(g.label) for g in found.groups(["g", "h"])]
    assert labels == [{"g": "a", "h": "x"}]
    assert [str(g) for g in found.groups(["g"])] == ["a", "b"]
    assert str(found.everyone) == "everyone"
    assert found.subjects_in(found.groups(["g"])[0]).sum() == 10
    with pytest.raises(TalliesError, match="no group column x"):
        found.groups(["x"])
    assert found.need("search") is found.search
    with pytest.raises(NotEnoughDataError, match="no verification"):
        replace(found, verification=None).need("verification")

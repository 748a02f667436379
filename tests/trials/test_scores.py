"""Tables of scores: counts agree with counting by hand, whatever the format; oddities are found and said."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.audit import Verdict, adjudicate, audit
from countenance.audit.tallies import Sweep, System, Tallies
from countenance.audit.tallyfile import load_tallies, save_tallies
from countenance.audit.validate import validate
from countenance.errors import InputError, ScoreTableError, TalliesError
from countenance.trials import read_scores
from countenance.trials import scores as scores_module

Row = dict[str, object]


def write(path: Path, rows: list[Row]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def people_rows(rng: np.random.Generator, people: int = 12, photos: int = 3, share: float = 1.0) -> list[Row]:
    """Each sample once against each later one (in turned order now and then), with labels and a few without."""
    shown = [f"s{k % people}" for k in range(people * photos)]
    label = {f"s{k}": ["f", "m", "", "m", "f"][k % 5] for k in range(people)}
    rows: list[Row] = []
    for i in range(len(shown)):
        for j in range(i + 1, len(shown)):
            if rng.random() < share:
                a, b = (i, j) if rng.random() < 0.7 else (j, i)
                base = 0.5 if shown[i] == shown[j] else 0.0
                rows.append(
                    {
                        "probe": f"t{a}",
                        "reference": f"t{b}",
                        "probe_subject": shown[a],
                        "reference_subject": shown[b],
                        "score": round(float(rng.normal(base, 0.3)), 2),
                        "probe_sex": label[shown[a]],
                        "reference_sex": label[shown[b]],
                    }
                )
    return rows


def by_hand(rows: list[Row], tallies: Tallies) -> None:
    """Every count, weight and sum of the verification, recomputed in plain Python from tidy rows."""
    sweep = tallies.need("verification")
    assert tallies.names is not None
    cell = {name: tallies.cells[k] for name, k in zip(tallies.names, tallies.cell.tolist(), strict=True)}
    pairs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        pair = sorted((str(row["probe_subject"]), str(row["reference_subject"])))
        pairs[pair[0], pair[1]].append(float(str(row["score"])))
    at = {pair: k for k, pair in enumerate(map(tuple, sweep.cell_pairs.tolist()))}

    def cells(pair: tuple[str, str]) -> int:
        numbers = sorted(tallies.cells.index(cell[name]) for name in pair)
        return at[numbers[0], numbers[1]]

    for b, t in enumerate(sweep.grid):
        counts, weight = np.zeros(len(at), int), np.zeros(len(at))
        mated, mated_weight = np.zeros(len(tallies.cells), int), np.zeros(len(tallies.cells))
        for pair, scores in pairs.items():
            hits = sum(s >= t for s in scores)
            if pair[0] == pair[1]:
                where = tallies.cells.index(cell[pair[0]])
                mated[where] += hits
                mated_weight[where] += hits / len(scores)
            else:
                counts[cells(pair)] += hits
                weight[cells(pair)] += hits / len(scores)
        assert np.array_equal(sweep.nonmated[:, b:].sum(axis=1), counts)
        assert np.array_equal(sweep.mated[:, b:].sum(axis=1), mated)
        assert np.allclose(sweep.nonmated_weight[:, b:].sum(axis=1), weight, rtol=0, atol=1e-9)
        assert np.allclose(sweep.mated_weight[:, b:].sum(axis=1), mated_weight, rtol=0, atol=1e-9)
    _sums_by_hand(pairs, tallies, sweep, cells)


def _sums_by_hand(pairs, tallies: Tallies, sweep: Sweep, cells) -> None:
    assert sweep.dependence is not None
    assert sweep.mated_sums is not None
    assert tallies.names is not None
    sums, number = sweep.dependence, {name: k for k, name in enumerate(tallies.names)}
    for rung, t in enumerate(sweep.ladder):
        rows = np.zeros((len(number), len(tallies.cells)))
        counts, made, partners = (np.zeros(rows.shape, int) for _ in range(3))
        squares = np.zeros((4, len(sweep.cell_pairs)))
        matches, comparisons = np.zeros(len(number), int), np.zeros(len(number), int)
        for pair, scores in pairs.items():
            c, n = sum(s >= t for s in scores), len(scores)
            a, b = number[pair[0]], number[pair[1]]
            if a == b:
                matches[a], comparisons[a] = c, n
                continue
            for one, two in ((a, b), (b, a)):
                where = one, tallies.cell[two]
                rows[where] += c / n
                counts[where] += c
                made[where] += n
                partners[where] += 1
            squares[:, cells(pair)] += (c / n) ** 2, c**2, c * n, n**2
        assert np.allclose(sums.rows[rung], rows, rtol=1e-6)
        assert np.array_equal(sums.row_counts[rung], counts)
        assert np.array_equal(sums.row_comparisons, made)
        assert np.array_equal(sums.row_pairs, partners)
        expected = sums.squares[rung], sums.count_squares[rung], sums.count_cross[rung], sums.size_squares
        assert np.allclose(expected, squares)
        assert np.array_equal(sweep.mated_sums.matches[rung], matches)
        assert np.array_equal(sweep.mated_sums.comparisons, comparisons)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(1, 3), st.sampled_from([1.0, 0.6]))
def test_every_sum_agrees_with_plain_python(
    tmp_path_factory, seed: int, people: int, photos: int, share: float
) -> None:
    rows = people_rows(np.random.default_rng(seed), people, photos, share)
    if not any(row["probe_subject"] != row["reference_subject"] for row in rows):
        return
    path = write(tmp_path_factory.mktemp("s") / "s.csv", rows)
    tallies = read_scores(path, thresholds=[0.25])
    by_hand(rows, tallies)
    validate(tallies)
    assert 0.25 in tallies.need("verification").ladder


def test_many_files_on_disk_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = people_rows(np.random.default_rng(1))
    path = write(tmp_path / "s.csv", rows)
    whole = read_scores(path)
    monkeypatch.setattr("countenance.trials.score_spill.ROWS_PER_FILE", 40)
    monkeypatch.setattr("countenance.trials.score_reader.BLOCK", 1 << 10)
    parts = read_scores(path)
    by_hand(rows, parts)
    same(whole, parts)


def same(one: Tallies, two: Tallies) -> None:
    a, b = one.need("verification"), two.need("verification")
    assert (one.cells, one.names, one.columns, one.notes) == (two.cells, two.names, two.columns, two.notes)
    for name in ("grid", "ladder", "pairs", "nonmated", "mated"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert np.allclose(a.nonmated_weight, b.nonmated_weight)
    assert a.tail is not None
    assert b.tail is not None
    assert np.array_equal(a.tail.score, b.tail.score)
    assert np.array_equal(a.tail.left, b.tail.left)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "bob"])
def test_formats_agree(tmp_path: Path, suffix: str) -> None:
    rows = people_rows(np.random.default_rng(2))
    bare = [{k: row[k] for k in ("probe", "reference", "probe_subject", "reference_subject", "score")} for row in rows]
    whole = read_scores(write(tmp_path / "whole.csv", bare))
    path = tmp_path / f"s.{suffix}"
    if suffix == "bob":
        names = ("reference_subject", "reference", "probe_subject", "probe", "score")
        path.write_text("".join(" ".join(str(row[n]) for n in names) + "\n" for row in rows))
    elif suffix == "tsv":
        text = write(tmp_path / "x.csv", bare).read_text()
        path.write_text("\ufeff" + text.replace(",", "\t"), encoding="utf-8")
    else:
        write(path, bare)
    found = read_scores(path)
    same(whole, found)
    assert found.inputs["scores"]["rows"] == len(rows)


def test_bobs_four_columns_know_the_claimed_identity_only(tmp_path: Path) -> None:
    lines = ["ann ann ann/2 0.9", "ann bob bob/1 0.1", "bob ann ann/2 0.2", "bob bob bob/1 0.8"]
    (tmp_path / "scores-dev").write_text("\n".join(lines))
    tallies = read_scores(tmp_path / "scores-dev")
    sweep = tallies.need("verification")
    assert tallies.names == ("ann", "bob")
    assert (int(sweep.nonmated.sum()), int(sweep.mated.sum())) == (2, 2)
    search = tallies.need("search").candidates
    assert search is not None
    assert search.searched.tolist() == [1, 1]
    assert search.mated_rank.tolist() == [1, 1]


def test_distances_and_mapped_columns(tmp_path: Path) -> None:
    rows = people_rows(np.random.default_rng(3))
    whole = read_scores(write(tmp_path / "s.csv", rows))
    turned = [{("d" if k == "score" else k): -float(str(v)) if k == "score" else v for k, v in r.items()} for r in rows]
    found = read_scores(write(tmp_path / "d.csv", turned), columns={"score": "d"}, distance=True)
    same(whole, found)
    assert found.system.metric == "distance, negated"


def published(rng: np.random.Generator) -> list[Row]:
    """24,000 scores of four groups, 6,000 each, half of them mated."""
    rows: list[Row] = []
    for group in ("a", "b", "c", "d"):
        for mated in (1, 0):
            rows += [
                {"score": round(float(s), 4), "mated": mated, "group": group}
                for s in rng.normal(0.35 + 0.25 * mated, 0.12, 3000)
            ]
    rng.shuffle(rows)  # type: ignore[arg-type]
    return rows


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_pair_table_agrees_with_a_hand_computation_at_every_threshold(tmp_path: Path, suffix: str) -> None:
    rows = published(np.random.default_rng(4))
    tallies = read_scores(write(tmp_path / f"s.{suffix}", rows))
    sweep = tallies.need("verification")
    assert tallies.columns == ("group",)
    assert tallies.cells == (("a",), ("b",), ("c",), ("d",))
    scores = {float(str(r["score"])) for r in rows}
    assert scores <= set(sweep.grid.tolist())
    for k, (group,) in enumerate(tallies.cells):
        told = np.array([float(str(r["score"])) for r in rows if r["group"] == group])
        mated = np.array([r["mated"] == 1 for r in rows if r["group"] == group])
        at = np.flatnonzero((sweep.cell_pairs == k).all(axis=1))[0]
        false = (told[~mated][:, None] >= sweep.grid).sum(axis=0)
        found = (told[mated][:, None] >= sweep.grid).sum(axis=0)
        assert np.array_equal(sweep.nonmated[at][::-1].cumsum()[::-1], false)
        assert np.array_equal(sweep.mated[k][::-1].cumsum()[::-1], found)
    assert not sweep.has_subjects
    assert np.array_equal(sweep.nonmated_weight, sweep.nonmated)
    validate(tallies)
    asked = audit(read_scores(tmp_path / f"s.{suffix}", thresholds=[0.5]))
    assert asked.verification is not None


@pytest.mark.parametrize(
    ("yes", "no"), [("1", "0"), ("true", "FALSE"), ("Same", "different"), ("yes", "no"), ("mated", "non-mated")]
)
def test_words_for_mated(tmp_path: Path, yes: str, no: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"score,mated\n0.9,{yes}\n0.8,{no}\n0.1,{no}\n")
    sweep = read_scores(path).need("verification")
    assert (int(sweep.mated.sum()), int(sweep.nonmated.sum())) == (1, 2)


def test_boolean_mated_and_the_only_other_column_is_the_group(tmp_path: Path) -> None:
    rows: list[Row] = [{"score": 0.5, "mated": True, "site": "x"}, {"score": 0.25, "mated": False, "site": None}]
    tallies = read_scores(write(tmp_path / "s.parquet", rows))
    assert tallies.columns == ("site",)
    assert tallies.cells == (("x",), (None,))
    assert "1 rows have no site; they form no group" in tallies.notes


def test_which_column_is_the_group(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"score": k / 100, "mated": k % 2, "site": "xy"[k % 2], "camera": f"c{k}", "group": "g"} for k in range(70)
    ]
    path = write(tmp_path / "s.csv", rows)
    by_default = read_scores(path)
    assert by_default.columns == ("group",)
    assert any("columns not read: site, camera" in note for note in by_default.notes)
    assert read_scores(path, by=["site"]).cells == (("x",), ("y",))
    with pytest.raises(ScoreTableError, match="--by camera: makes 70 groups"):
        read_scores(path, by=["camera"])
    with pytest.raises(ScoreTableError, match="--by age: name one column"):
        read_scores(path, by=["age"])
    only = [{k: row[k] for k in ("score", "mated", "camera")} for row in rows]
    wide = read_scores(write(tmp_path / "w.csv", only))
    assert wide.columns == ()
    assert any("camera is not a group: it has 70 different values" in note for note in wide.notes)
    validate(wide)


def table(tmp_path: Path, text: str) -> Tallies:
    path = tmp_path / "s.csv"
    path.write_text("probe,reference,probe_subject,reference_subject,score\n" + text)
    return read_scores(path)


def test_oddities_are_found_said_and_settled(tmp_path: Path) -> None:
    text = (
        "a1,a1,a,a,1.0\n"  # a sample with itself: left out
        "a1,b1,a,b,0.5\n"
        "a1,b1,a,b,0.5\n"  # a repetition: counts once
        "b1,a1,b,a,0.5\n"  # the other direction, the same score: counts once
        "a1,c1,a,c,0.3\n"
        "c1,a1,c,a,0.4\n"  # the other direction, another score: both count
        "b1,c1,b,c,0.1\n"
        "b1,c1,b,c,0.2\n"  # another score: both count
        "a1,a2,a,a,0.9\n"
    )
    tallies = table(tmp_path, text)
    sweep = tallies.need("verification")
    assert int(sweep.nonmated.sum()) == 5
    assert int(sweep.mated.sum()) == 1
    assert int(sweep.pairs.sum()) == 3
    for said in (
        "1 comparisons of a sample with itself were left out",
        "1 rows repeat another row; each comparison counts once",
        "2 comparisons are given in both directions; where the score is the same they count once",
        "1 comparisons are given several times with different scores; all of them count",
    ):
        assert said in tallies.notes
    assert sweep.tail is not None
    assert sweep.tail.score.tolist() == [0.5, 0.4, 0.3, 0.2, 0.1]
    validate(tallies)


def test_clean_tables_say_nothing_of_oddities(tmp_path: Path) -> None:
    rows = people_rows(np.random.default_rng(5))
    assert not any("comparisons" in n or "repeat" in n for n in read_scores(write(tmp_path / "s.csv", rows)).notes[1:])


def test_a_tail_of_repeated_comparisons_survives_a_file(tmp_path: Path) -> None:
    text = "".join(f"x,y,a,b,0.{k}\nx,z,a,a,0.{k}\ny,z,b,a,0.{k}\n" for k in range(1, 9))
    tallies = table(tmp_path, text)
    save_tallies(tallies, tmp_path / "t", names=True)
    back = load_tallies(tmp_path / "t").need("verification")
    assert back.tail is not None
    assert back.tail.score.dtype == np.float64
    assert sorted(back.tail.score.tolist()) == sorted([k / 10 for k in range(1, 9)] * 2)


def test_without_ids_every_row_counts(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("probe_subject,reference_subject,score\na,b,0.5\na,b,0.5\nb,a,0.5\na,a,0.9\n")
    tallies = read_scores(path)
    assert int(tallies.need("verification").nonmated.sum()) == 3
    assert tallies.search is None
    assert any("without probe and reference ids" in note for note in tallies.notes)
    validate(tallies)


def test_ids_that_name_different_people_on_the_two_sides_are_different_samples(tmp_path: Path) -> None:
    tallies = table(tmp_path, "0,0,a,b,0.5\n0,1,a,c,0.4\n1,0,d,b,0.3\n1,1,d,c,0.2\n")
    assert int(tallies.need("verification").nonmated.sum()) == 4
    assert any("2 ids stand for different people as a probe and as a reference" in note for note in tallies.notes)
    left = tallies.need("verification").left
    right = tallies.need("verification").right
    assert left is not None
    assert right is not None
    assert [tallies.names[k] for k in left.subject] == ["a", "d"]  # type: ignore[index]
    assert [tallies.names[k] for k in right.subject] == ["b", "c"]  # type: ignore[index]
    validate(tallies)


@pytest.mark.parametrize("rows_per_file", [1_000_000, 30])
def test_a_search_is_read_where_every_probe_met_a_gallery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_per_file: int
) -> None:
    monkeypatch.setattr("countenance.trials.score_spill.ROWS_PER_FILE", rows_per_file)
    rng = np.random.default_rng(6)
    gallery = [f"s{k}" for k in range(15)]
    rows: list[Row] = []
    scores: dict[str, list[tuple[float, int, bool]]] = defaultdict(list)
    for q in range(20):
        who = f"s{q % 18}"  # the last ones have no mate
        for r, other in enumerate(gallery):
            score = round(float(rng.normal(0.6 if who == other else 0.2, 0.2)), 1)
            scores[f"q{q}"].append((score, r, who == other))
            row = {"probe": f"q{q}", "reference": f"g{r}", "probe_subject": who, "reference_subject": other}
            rows.append({**row, "score": score})
    tallies = read_scores(write(tmp_path / "s.csv", rows), thresholds=[0.4])
    sweep = tallies.need("search")
    found = sweep.candidates
    assert found is not None
    validate(tallies)
    for q in range(20):
        strangers = sorted(((-s, r) for s, r, mate in scores[f"q{q}"] if not mate))
        mates = [s for s, _, mate in scores[f"q{q}"] if mate]
        assert found.searched[q] == len(strangers)
        assert found.references[q].tolist() == [r for _, r in strangers[:10]]
        assert found.scores[q].tolist() == [-s for s, _ in strangers[:10]]
        for rung, t in enumerate(sweep.ladder):
            assert found.counts[rung, q] == sum(-s >= t for s, _ in strangers)
        if mates:
            assert found.mated_score[q] == max(mates)
            assert found.mated_rank[q] == 1 + sum(-s >= max(mates) for s, _ in strangers)
        else:
            assert found.mated_score[q] == -np.inf
            assert found.mated_rank[q] == 0
    assert any("search: each probe was compared with 15 to 15 of 15 references" in note for note in tallies.notes)


def test_no_search_where_probes_met_different_references(tmp_path: Path) -> None:
    tallies = read_scores(write(tmp_path / "s.csv", people_rows(np.random.default_rng(7))))
    assert tallies.search is None
    assert any(note.startswith("no search: a probe met between") for note in tallies.notes)


def test_labels_follow_the_rules_of_manifests(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    lines = ["probe_subject,reference_subject,score,probe_sex,reference_sex,probe_age,remark"]
    lines += [f"s{k},s{(k + 1) % 30},0.{k},{'fm'[k % 2]},{'fm'[(k + 1) % 2]},{k},x" for k in range(30)]
    lines += ["s0,s2,0.5,m,f,0,x"]  # s0 is f elsewhere
    path.write_text("\n".join(lines))
    tallies = read_scores(path)
    assert tallies.columns == ("sex",)
    assert tallies.cells == (("f",), ("m",), (None,))
    assert tallies.cell.tolist() == [2] + [1, 0] * 14 + [1]
    for said in (
        "sex: 1 people have photos with different labels; they form no group there",
        "column age is not a group: it has 30 different values for 30 people; bin it into bands",
        "age: only probe_age is in the table; who stands on the other side only has no label",
    ):
        assert said in tallies.notes
    assert any("columns not read: remark" in note for note in tallies.notes)
    assert read_scores(path, by=["age"]).columns == ("age",)
    with pytest.raises(InputError, match="--by"):
        read_scores(path, by=["size"])


def test_more_scores_than_bins_keep_the_top_and_what_was_asked_for_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores_module, "BINS", 200)
    monkeypatch.setattr(scores_module, "TOP", 40)
    rng = np.random.default_rng(8)
    scores = rng.normal(size=5000)
    mated = rng.random(5000) < 0.3
    rows: list[Row] = [{"score": s, "mated": int(m)} for s, m in zip(scores.tolist(), mated.tolist(), strict=True)]
    tallies = read_scores(write(tmp_path / "s.csv", rows), thresholds=[0.123, 9.0])
    sweep = tallies.need("verification")
    top = np.sort(scores[~mated])[-40:]
    assert np.isin([*top, 0.123, 9.0], sweep.grid).all()
    assert np.array_equal(sweep.nonmated[0][::-1].cumsum()[::-1], (scores[~mated][:, None] >= sweep.grid).sum(axis=0))
    assert np.array_equal(sweep.mated[0][::-1].cumsum()[::-1], (scores[mated][:, None] >= sweep.grid).sum(axis=0))
    assert any("different scores: counted at about" in note for note in tallies.notes)


def test_documented_threshold_is_counted_exactly(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", people_rows(np.random.default_rng(9)))
    tallies = read_scores(path, system=System("x", documented_threshold=0.4321))
    assert 0.4321 in tallies.need("verification").ladder
    assert tallies.system.name == "x"


def test_one_kind_only_is_allowed(tmp_path: Path) -> None:
    for mated in (0, 1):
        path = write(tmp_path / "s.csv", [{"score": 0.5, "mated": mated}, {"score": 0.6, "mated": mated}])
        sweep = read_scores(path).need("verification")
        assert (int(sweep.mated.sum()), int(sweep.nonmated.sum())) == ((0, 2), (2, 0))[mated]


def test_order_of_rows_says_nothing(tmp_path: Path) -> None:
    rows = people_rows(np.random.default_rng(10))
    one = audit(read_scores(write(tmp_path / "a.csv", rows))).to_json()
    two = audit(read_scores(write(tmp_path / "b.csv", rows[::-1]))).to_json()
    for a, b in zip(one["verification"]["groups"], two["verification"]["groups"], strict=True):
        for field in ("group", "nonmated", "mated", "threshold"):
            assert a[field] == b[field]
        assert a["fmr"] == pytest.approx(b["fmr"], abs=1e-12)


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = write(tmp_path / "s.csv", people_rows(np.random.default_rng(11)))
    read_scores(path, progress=lambda done, whole: told.append((done, whole)))
    assert told == sorted(told)
    assert told[-1] == (1000, 1000)


def test_too_many_ids_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores_module, "MOST_SAMPLES", 10)
    rows = people_rows(np.random.default_rng(12))
    tallies = read_scores(write(tmp_path / "s.csv", rows))
    by_hand(rows, tallies)
    assert any("more than 10 probe and reference ids" in note for note in tallies.notes)
    validate(tallies)


def test_a_column_with_countless_values_is_no_group_and_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores_module, "MOST_WORDS", 30)
    monkeypatch.setattr("countenance.trials.score_people.MOST_WORDS", 30)
    monkeypatch.setattr("countenance.trials.score_reader.BLOCK", 1 << 8)
    pairs: list[Row] = [{"score": k / 100, "mated": k % 2, "pair": f"p{k}"} for k in range(200)]
    tallies = read_scores(write(tmp_path / "p.csv", pairs))
    assert tallies.columns == ()
    assert int(tallies.need("verification").nonmated.sum()) == 100
    assert any("column pair is not a group" in note for note in tallies.notes)
    rows = people_rows(np.random.default_rng(13))
    for k, row in enumerate(rows):
        row["probe_file"] = f"f{k}"
    found = read_scores(write(tmp_path / "s.csv", rows))
    assert found.columns == ("sex",)
    assert "column file is not a group: it has more than 30 values" in found.notes
    by_hand(rows, found)
    with pytest.raises(ScoreTableError, match="--by file: has more than 30 values"):
        read_scores(tmp_path / "s.csv", by=["file"])


def test_verdicts_on_a_table_of_scores_are_refused(tmp_path: Path) -> None:
    tallies = read_scores(write(tmp_path / "s.csv", people_rows(np.random.default_rng(14))))
    with pytest.raises(TalliesError, match="correct its labels instead"):
        adjudicate(tallies, [Verdict("s0", "s1", "same", subjects=True)])

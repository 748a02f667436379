"""Files of templates: ours come back as they went, anybody's are accepted, faults are named by row."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from countenance.audit.tallies import System
from countenance.errors import InputError, ManifestError
from countenance.trials import TemplateRows, Unusable, load_rows, photo_paths, read_templates, write_templates

SYSTEM = System("engine", "abc", "euclidean", -0.6, "1:1", {"net.onnx": "0" * 64})


def rows(**changes: object) -> TemplateRows:
    given = {
        "subject": ("ann", "bob", "ann"),
        "path": ("1.jpg", "2.jpg", "3.jpg"),
        "labels": {"gender": ("f", "m", "f"), "name": ("Ann", "Bob", "Ann")},
        "vectors": np.arange(6, dtype=np.float32).reshape(3, 2),
        "system": SYSTEM,
        "unusable": (
            Unusable("4.jpg", "ann", "no face", {"gender": "f"}),
            Unusable("5.jpg", "cyd", "truncated", {"gender": "f"}),
        ),
        "notes": ("a note",),
        "inputs": {"manifest": {"sha256": "1", "photos": 5}},
        "root": "photos",
        "state": "s",
    }
    return TemplateRows(**{**given, **changes})


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_templates(path, rows())
    back = load_rows(path)
    assert np.array_equal(back.vectors, rows().vectors)
    assert back.vectors.dtype == np.float32
    for field in ("subject", "path", "labels", "system", "unusable", "notes", "inputs", "root", "state"):
        assert getattr(back, field) == getattr(rows(), field), field
    assert photo_paths(path) == {f"{k}.jpg": tmp_path / f"photos/{k}.jpg" for k in (1, 2, 3)}
    assert list(tmp_path.iterdir()) == [path]


def test_contract_columns_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_templates(path, rows())
    table = pq.read_table(path)
    assert table.column_names == ["subject", "path", "gender", "name", "embedding"]
    assert table.schema.field("embedding").type == pa.list_(pa.float32())
    assert table.schema.metadata[b"model"] == b"engine"
    assert b"net.onnx" in table.schema.metadata[b"sha256"]


def test_set_for_the_audit_counts_whom_it_could_not_enrol(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_templates(path, rows())
    found = read_templates(path)
    assert found.subjects == ("ann", "bob", "cyd")
    assert found.subject.tolist() == [0, 1, 0]
    assert found.groups == {"gender": ("f", "m", "f"), "name": ("Ann", "Bob", None)}
    assert found.failures is not None
    assert found.failures.photos.tolist() == [3, 1, 1]
    assert found.failures.failed.tolist() == [1, 0, 1]
    assert found.metric == "euclidean"
    assert found.system == SYSTEM
    assert found.notes[0] == "a note"
    assert read_templates(path, by=["gender"]).groups == {"gender": ("f", "m", "f")}
    with pytest.raises(InputError, match="no column age"):
        read_templates(path, by=["age"])


def test_digest_follows_the_content(tmp_path: Path) -> None:
    def digest(**changes: object) -> object:
        write_templates(tmp_path / "t.parquet", rows(**changes))
        return read_templates(tmp_path / "t.parquet").inputs["templates"]

    assert digest() == digest(state="other", root="elsewhere")
    assert digest() != digest(subject=("ann", "bob", "bob"))
    assert digest() != digest(vectors=np.ones((3, 2), np.float32))


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float16(), 2)]
)
def test_anybodys_file(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "theirs.parquet"
    embedding = pa.array([[np.float16(1), np.float16(0)], [np.float16(0), np.float16(1)]], kind)
    table = pa.table({"subject": [1, 2], "embedding": embedding, "box": [[1], [2]], "site": ["x", None]})
    pq.write_table(table, path)
    found = read_templates(path)
    assert found.vectors.tolist() == [[1, 0], [0, 1]]
    assert found.subjects == ("1", "2")
    assert found.paths == ("row 1", "row 2")
    assert found.groups == {"site": ("x", None)}
    assert (found.metric, found.failures, found.system.name) == ("cosine", None, "theirs.parquet")
    assert "does not say how its templates are compared; cosine was used" in found.notes[0]
    assert "columns box hold no labels" in found.notes[1]
    assert read_templates(path, metric="euclidean").metric == "euclidean"


def test_metric_against_the_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_templates(path, rows(vectors=np.ones((3, 2), np.float32)))
    found = read_templates(path, metric="cosine")
    assert (found.metric, found.system.metric) == ("cosine", "cosine")
    assert "templates compared by cosine as asked, not by euclidean as the file says" in found.notes
    with pytest.raises(ManifestError, match="--metric angular: unknown"):
        read_templates(path, metric="angular")


def faulty(tmp_path: Path, embedding: object, subject: object = ("a", "b", "c"), **metadata: str) -> str:
    path = tmp_path / "bad.parquet"
    table = pa.table({"subject": list(subject), "embedding": embedding})
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(ManifestError) as caught:
        read_templates(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("embedding", "says"),
    [
        ([[1.0, 2.0], [1.0, float("nan")], [float("inf"), 1.0]], "row 2 (of 2): the embedding holds NaN"),
        ([[1.0, 2.0], [1.0, 2.0], [1.0]], "row 3: 1 numbers where row 1 has 2"),
        (pa.array([[], [], []], pa.list_(pa.float32())), "row 1: the embedding is empty"),
        ([[1.0], None, [1.0]], "row 2: no embedding"),
        ([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], "row 2: the embedding is all zeros"),
        ([[1.0, None], [0.0, 1.0], [0.0, 1.0]], "row 1 (of 1): the embedding holds NaN"),
        (["a", "b", "c"], "is string, not a list of floating-point numbers"),
        ([["x"], ["y"], ["z"]], "not a list of floating-point numbers"),
    ],
)
def test_faulty_embeddings_are_named_by_row(tmp_path: Path, embedding: object, says: str) -> None:
    assert says in faulty(tmp_path, embedding)


def test_other_faults(tmp_path: Path) -> None:
    good = [[1.0], [1.0], [1.0]]
    assert "row 2 (of 2): no subject" in faulty(tmp_path, good, ("a", None, " "))
    assert "metric 'hamming' is unknown" in faulty(tmp_path, good, metric="hamming")
    assert "documented_threshold is 'high'" in faulty(tmp_path, good, documented_threshold="high")
    assert "metadata are not" in faulty(tmp_path, good, countenance="{")
    path = tmp_path / "bad.parquet"
    for table, says in [
        (pa.table({"embedding": good}), "no column 'subject'"),
        (pa.table({"subject": ["a"]}), "no column 'embedding'"),
        (
            pa.table({"subject": pa.array([], pa.string()), "embedding": pa.array([], pa.list_(pa.float32()))}),
            "no template",
        ),
    ]:
        pq.write_table(table, path)
        with pytest.raises(ManifestError, match=says):
            read_templates(path)
    path.write_text("not parquet")
    with pytest.raises(ManifestError, match="not a Parquet file"):
        read_templates(path)
    with pytest.raises(ManifestError, match="no such file"):
        read_templates(tmp_path / "gone.parquet")


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.float32, (5, 3), elements=st.floats(-10, 10, width=32).filter(lambda x: x != 0)))
def test_vectors_survive_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, vectors: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    five = rows(subject=tuple("abcde"), path=tuple("abcde"), labels={}, vectors=vectors)
    write_templates(path, five)
    assert np.array_equal(read_templates(path).vectors, vectors)

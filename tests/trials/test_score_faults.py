"""Faulty tables of scores: every faulty row named by its line, or counted; nothing made of them."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from countenance.errors import InputError, ScoreTableError
from countenance.trials import read_scores

FULL = "probe,reference,probe_subject,reference_subject,score\n"
PAIR = "score,mated,group\n"


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(ScoreTableError) as caught:
        read_scores(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


def said(tmp_path: Path, text: str | bytes, **options: object) -> str:
    path = tmp_path / "s.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = refusal(path, **options)
    assert str(path) in message
    return message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (FULL, "holds no score"),
        ("probe,reference,value\na,b,1\n", "no column 'score'; it has probe, reference, value"),
        ("probe,reference,score\na,b,1\n", "needs probe_subject and reference_subject, or mated"),
        ("probe_subject,score,mated\na,1,1\n", "names the subject of one side only"),
        ("score,mated,score\n1,1,1\n", "column 'score' occurs twice"),
        ("score,mated\n1,1\n".encode("utf-16"), "UTF-16"),
        (b"\x00\x01\x02", "neither text nor Parquet"),
        (b"PAR1 and then nothing", "damaged Parquet"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert says in said(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("p,r,a,b,high", "score 'high' is not a finite number"),
        ("p,r,a,b,nan", "score 'nan' is not a finite number"),
        ("p,r,a,b,inf", "score 'inf' is not a finite number"),
        ("p,r,a,b,", "no score"),
        ("p,r,,b,0.5", "no probe_subject"),
        ("p,r,a, ,0.5", "no reference_subject"),
        (",,a,b,0.5", "no probe and no reference"),
        ("p,r,a,b", "4 cells where there should be 5"),
        ("p,r,a,b,0.5,x", "6 cells where there should be 5"),
        ("p,r,a,b\udcff,0.5", "not UTF-8"),
    ],
)
def test_a_faulty_row_is_named_by_its_line(tmp_path: Path, line: str, says: str) -> None:
    text = FULL + "q,r,a,b,0.1\n\n" + line + "\nq,s,a,b,0.2\n"
    message = said(tmp_path, text.encode("utf-8", "surrogateescape"))
    assert "1 of 3 rows cannot be used: line 4: " + says in message
    assert message.endswith("Mend or remove them")


@pytest.mark.parametrize(
    ("line", "says"),
    [("0.5,2,x", "mated is '2', not 1 or 0"), ("0.5,,x", "no mated"), ("x,1,x", "score 'x' is not a finite number")],
)
def test_faulty_rows_of_a_pair_table(tmp_path: Path, line: str, says: str) -> None:
    assert f"1 of 2 rows cannot be used: line 3: {says}" in said(tmp_path, PAIR + "0.1,1,g\n" + line + "\n")


def test_mated_against_the_subjects(tmp_path: Path) -> None:
    text = "probe_subject,reference_subject,score,mated\na,b,0.5,0\na,a,0.9,1\na,c,0.5,1\nb,b,0.9,0\n"
    message = said(tmp_path, text)
    assert "2 of 4 rows" in message
    assert "line 4: mated is 1 but the subjects are 'a' and 'c'" in message
    assert "line 5: mated is 0 but the subjects are 'b' and 'b'" in message


def test_ten_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    text = FULL + "".join(f"p{k},r,a,b,{'bad' if k % 2 else 0.5}\n" for k in range(5000))
    message = said(tmp_path, text)
    assert "2,500 of 5,000 rows cannot be used" in message
    assert message.count("line ") == 10
    assert "line 3: " in message
    assert "; and 2,490 more. Mend" in message


def test_a_fault_far_down_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countenance.trials.score_reader.BLOCK", 1 << 12)
    text = FULL + "".join(f"p{k},r,a,b,0.5\n" for k in range(20_000)) + "p,r,a,b,oops\n"
    assert "1 of 20,001 rows cannot be used: line 20002: score 'oops'" in said(tmp_path, text)


def test_parquet_names_rows(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    columns = {"probe_subject": ["a", "a", None], "reference_subject": ["b", "b", "b"], "score": [0.5, None, 0.5]}
    pq.write_table(pa.table(columns), path)
    message = refusal(path)
    assert "2 of 3 rows cannot be used: row 2: no score; row 3: no probe_subject" in message
    pq.write_table(pa.table({"score": ["x"], "mated": [1]}), path)
    assert "column 'score' is string, not a number" in refusal(path)
    pq.write_table(pa.table({"score": [float("nan"), 1.0], "mated": [1, 0]}), path)
    assert "row 1: score 'nan' is not a finite number" in refusal(path)


def test_one_sample_cannot_show_two_people(tmp_path: Path) -> None:
    message = said(tmp_path, FULL + "p,r,a,b,0.5\nq,r,a,b,0.5\np,s,c,b,0.5\n")
    assert "data row 3: probe 'p' shows 'c', but 'a' in another row" in message


def test_only_comparisons_of_samples_with_themselves(tmp_path: Path) -> None:
    assert "every row compares a sample with itself" in said(tmp_path, FULL + "p,p,a,a,1\nq,q,b,b,1\n")


def test_mapping_faults(tmp_path: Path) -> None:
    assert "--column value: unknown" in refusal_of_mapping(tmp_path, {"value": "score"})
    assert "--column score=points" in refusal_of_mapping(tmp_path, {"score": "points"})


def refusal_of_mapping(tmp_path: Path, columns: dict[str, str]) -> str:
    path = tmp_path / "s.csv"
    path.write_text(PAIR + "0.5,1,x\n")
    return refusal(path, columns=columns)


def test_thresholds_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(PAIR + "0.5,1,x\n")
    with pytest.raises(InputError, match="--threshold"):
        read_scores(path, thresholds=[float("nan")])


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "gone.csv")


def test_bobs_text_with_a_broken_line(tmp_path: Path) -> None:
    path = tmp_path / "scores-dev"
    path.write_text("ann ann ann/2 0.9\nann bob bob/1\nbob ann ann/2 x\n")
    message = refusal(path)
    assert "2 of 3 rows cannot be used" in message
    assert "line 2: 3 cells where there should be 4" in message
    assert "line 3: score 'x'" in message


def test_no_room_for_what_is_put_aside(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "s.csv"
    path.write_text(FULL + "".join(f"p{k},r,a,b,0.5\n" for k in range(2000)))
    program = (
        "import sys\nfrom countenance.errors import ScoreTableError\nfrom countenance.trials import read_scores\n"
        "try:\n    read_scores(sys.argv[1])\nexcept ScoreTableError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "TMPDIR": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "numba")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "make room (24 bytes for each row), or set TMPDIR" in done.stdout
    assert not list(tmp_path.glob("countenance-scores-*"))

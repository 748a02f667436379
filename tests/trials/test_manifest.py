"""Reading manifests: what is accepted, what is refused and how it is said, what becomes a group."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from countenance.errors import InputError, ManifestError
from countenance.trials import duplicate_photos, read_manifest


def write(folder: Path, text: str | bytes, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_csv(tmp_path: Path) -> None:
    path = write(tmp_path, "path,subject,gender\na/1.jpg, Ann ,female\n../b.jpg,Bob,\na/2.jpg,Ann,female\n")
    manifest = read_manifest(path)
    assert manifest.paths == (tmp_path / "a/1.jpg", tmp_path.parent / "b.jpg", tmp_path / "a/2.jpg")
    assert manifest.given == ("a/1.jpg", "../b.jpg", "a/2.jpg")
    assert (manifest.subject, manifest.subjects) == ((0, 1, 0), ("Ann", "Bob"))
    groups, notes = manifest.groups()
    assert groups == {"gender": ("female", None)}
    assert notes == ["gender: 1 people have no label; they form no group there"]


def test_paths_are_relative_to_the_manifest_not_to_the_shell(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path / "inner", "path,subject\n1.jpg,a\n/abs/2.jpg,b\n")
    monkeypatch.chdir(tmp_path)
    assert read_manifest("inner/m.csv").paths == (tmp_path / "inner/1.jpg", Path("/abs/2.jpg"))


@pytest.mark.parametrize(
    "text",
    [
        "path;subject;größe\n1.jpg;Ann;x\n",
        "path\tsubject\tgröße\n1.jpg\tAnn\tx\n",
        "\ufeffpath,subject,größe\r\n1.jpg,Ann,x\r\n",
        'path,subject,größe\n"1.jpg","Ann",x\n\n',
    ],
)
def test_delimiters_marks_and_line_ends(tmp_path: Path, text: str) -> None:
    manifest = read_manifest(write(tmp_path, text))
    assert (manifest.given, manifest.subjects, manifest.labels) == (("1.jpg",), ("Ann",), {"größe": ("x",)})


def test_parquet(tmp_path: Path) -> None:
    table = pa.table({"path": ["1.jpg", "2.jpg"], "subject": [7, 8], "year": [1990.0, None], "tall": [True, False]})
    pq.write_table(table, tmp_path / "m.parquet")
    manifest = read_manifest(tmp_path / "m.parquet")
    assert manifest.subjects == ("7", "8")
    assert manifest.labels == {"year": ("1990", None), "tall": ("true", "false")}


def test_folder_of_folders(tmp_path: Path) -> None:
    for name in ("Ann/1.jpg", "Ann/deeper/2.PNG", "Bob/1.jpg", "Bob/notes.txt", "loose.jpg", ".cache/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "Empty").mkdir()
    manifest = read_manifest(tmp_path)
    assert manifest.given == ("Ann/1.jpg", "Ann/deeper/2.PNG", "Bob/1.jpg")
    assert manifest.subjects == ("Ann", "Bob")
    assert manifest.notes == (
        "1 photos lie in no person's folder and are not used",
        "1 files in the folders are no photos by their names and are not used",
        "1 folders hold no photo",
    )


def test_folder_with_a_manifest_means_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    write(tmp_path, "path,subject\nphotos/1.jpg,Ann\nphotos/2.jpg,Bob\n", "manifest.csv")
    manifest = read_manifest(tmp_path)
    assert manifest.subjects == ("Ann", "Bob")
    assert "manifest.csv" in manifest.notes[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"path,subject\n", "no photo"),
        (b"path,name\n1.jpg,Ann\n", "no column 'subject'; it has path, name"),
        (b"subject,file\nAnn,1.jpg\n", "no column 'path'"),
        (b"path,subject\n1.jpg,Ann\n2.jpg,\n3.jpg,\n", "line 3 (and in 1 more): no subject"),
        (b"path,subject\n1.jpg,Ann\n,Bob\n", "line 3: no path"),
        (b"path,subject,path\n1.jpg,Ann,x\n", "column 'path' occurs twice"),
        (b"path,subject,\n1.jpg,Ann,x\n", "column 3 has no name"),
        (b"path,subject\n1.jpg,Ann\n2.jpg,Bob,x\n", "line 3: 3 cells where the header has 2"),
        (b'path,subject\n1.jpg,"Ann\n2.jpg,Bob\n', "line 2: unexpected end of data"),
        ("path,subject\n1.jpg,Ann\n2.jpg,Zoë\n".encode("latin-1"), "line 3: not UTF-8"),
        ("path,subject\n1.jpg,Ann\n".encode("utf-16"), "UTF-16"),
        (b"PAR1 but not really", "damaged Parquet"),
        (b"\x00\x01\x02 nothing", "not text"),
    ],
)
def test_refused_in_one_line(tmp_path: Path, text: bytes, says: str) -> None:
    assert says in refusal(write(tmp_path, text))


def test_missing_file_and_folders_without_photos(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nowhere.csv")
    assert "nothing to read" in refusal(tmp_path)
    write(tmp_path, b"x", "1.jpg")
    assert "1 photos but no folders" in refusal(tmp_path)
    (tmp_path / "Ann").mkdir()
    assert "hold no photo" in refusal(tmp_path)


def test_line_numbers_count_lines_inside_quotes(tmp_path: Path) -> None:
    text = 'path,subject,remark\n1.jpg,Ann,"two\nlines"\n2.jpg,,x\n'
    assert "line 4: no subject" in refusal(write(tmp_path, text))


def rows(*cells: str) -> str:
    return "path,subject,born\n" + "".join(f"{k}.jpg,{cell}\n" for k, cell in enumerate(cells))


def test_a_person_whose_photos_disagree_forms_no_group(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, rows("a,x", "a,y", "b,x", "b,x", "c,y", "c,", "d,NA")))
    groups, notes = manifest.groups()
    assert groups == {"born": (None, "x", "y", None)}
    assert notes == [
        "born: 1 people have photos with different labels; they form no group there",
        "born: 1 people have no label; they form no group there",
    ]


def test_a_column_that_describes_photos_is_no_group(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, rows("a,x", "a,y", "b,x", "b,y", "c,y", "c,y")))
    groups, notes = manifest.groups()
    assert groups == {}
    assert "born is not a group: it differs between photos of one person for 2 of the 3 people" in notes[0]
    assert manifest.groups(["born"])[0] == {"born": (None, None, "y")}


def test_too_many_values(tmp_path: Path) -> None:
    twenty = read_manifest(write(tmp_path, rows(*(f"s{k},{1950 + k % 20}" for k in range(40)))))
    assert list(twenty.groups()[0]) == ["born"]
    more = read_manifest(write(tmp_path, rows(*(f"s{k},{1950 + k % 21}" for k in range(42)))))
    groups, notes = more.groups()
    assert groups == {}
    assert "21 different values for 42 people; bin it into bands" in notes[0]
    assert list(more.groups(["born"])[0]) == ["born"]
    names = read_manifest(write(tmp_path, rows(*(f"s{k},n{k}" for k in range(65)))))
    assert "--by born takes it" in names.groups()[1][0]
    with pytest.raises(InputError, match="makes 65 groups, more than 64"):
        names.groups(["born"])
    with pytest.raises(InputError, match="no column age in the data; it has born"):
        names.groups(["age"])


def test_nearly_as_many_values_as_people(tmp_path: Path) -> None:
    few = read_manifest(write(tmp_path, rows("a,w", "b,x", "c,y", "d,z")))
    assert list(few.groups()[0]) == ["born"]
    half = read_manifest(write(tmp_path, rows(*(f"s{k},{k % 5}" for k in range(10)))))
    assert list(half.groups()[0]) == ["born"]
    more = read_manifest(write(tmp_path, rows(*(f"s{k},{k % 5}" for k in range(9)))))
    assert more.groups() == (
        {},
        ["column born is not a group: it has 5 different values for 9 people; bin it into bands"],
    )
    assert list(more.groups(["born"])[0]) == ["born"]


def test_columns_crossed_into_too_many_groups_lose_the_widest(tmp_path: Path) -> None:
    lines = [f"{k}.jpg,s{k},a{k % 9},b{k % 10},c{k % 2}" for k in range(400)]
    manifest = read_manifest(write(tmp_path, "path,subject,a,b,c\n" + "\n".join(lines)))
    groups, notes = manifest.groups()
    assert list(groups) == ["a", "c"]
    assert notes[0].startswith("column b is not a group: combined")


def test_empty_column_and_capitals(tmp_path: Path) -> None:
    text = "path,subject,gender,none\n1.jpg,a,Male,\n2.jpg,b,male,n/a\n"
    groups, notes = read_manifest(write(tmp_path, text)).groups()
    assert groups == {"gender": ("Male", "male")}
    assert notes == [
        "column none is not a group: it is empty",
        "gender: Male, male differ in capitals only and are counted as different groups",
    ]


def test_repeated_rows_count_once_and_are_said(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, "path,subject\n1.jpg,a\n2.jpg,b\n1.jpg,a\n1.jpg,b\n"))
    assert list(zip(manifest.given, manifest.subject, strict=True)) == [("1.jpg", 0), ("2.jpg", 1), ("1.jpg", 1)]
    assert manifest.notes == ("1 rows repeat a photo of the same person; each photo is used once",)


def test_identical_photos_are_listed(tmp_path: Path) -> None:
    for name, content in {"1": b"one", "2": b"one", "3": b"two", "4": b"six", "5": b"two"}.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    text = "path,subject\n1.jpg,a\n2.jpg,a\n3.jpg,a\n4.jpg,b\n5.jpg,b\ngone.jpg,b\n"
    notes = duplicate_photos(read_manifest(write(tmp_path, text)))
    assert notes == [
        "2 photos are identical but stand under different people: one label must be wrong: 3.jpg (a) = 5.jpg (b)",
        "2 photos are identical photos of one person: their mated comparisons say nothing: 1.jpg (a) = 2.jpg (a)",
    ]


def test_digest_is_of_what_is_said_not_of_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    one = read_manifest(write(tmp_path, "path,subject,g\n1.jpg,a,u\n"))
    same = read_manifest(write(tmp_path / "x", "path;subject;g\n1.jpg;a;u\n"))
    other = read_manifest(write(tmp_path, "path,subject,g\n1.jpg,a,v\n"))
    assert one.digest == same.digest != other.digest


@pytest.mark.shared
def test_the_labelled_sets(shared: Path) -> None:
    london, notes = read_manifest(shared / "data/london/manifest.csv").groups()
    assert list(london) == ["gender", "ethnicity"]
    assert any("column age is not a group" in n and "bands" in n for n in notes)
    congress, _ = read_manifest(shared / "data/congress").groups()
    assert list(congress) == ["chamber", "gender", "ethnicity"]
    lfw = read_manifest(shared / "data/lfw/manifest.csv")
    assert (len(lfw.paths), len(lfw.subjects), list(lfw.groups()[0])) == (13_233, 5_749, ["gender"])

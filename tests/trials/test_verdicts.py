"""A person's verdicts on suspects."""

from pathlib import Path

import pytest

from countenance.audit import Verdict
from countenance.errors import ManifestError
from countenance.trials import read_verdicts


def write(folder: Path, text: str) -> Path:
    path = folder / "v.csv"
    path.write_text(text)
    return path


def test_photos_and_people(tmp_path: Path) -> None:
    rows = ["left,right,score,verdict", "a.jpg,b.jpg,0.9,Same", "c.jpg,d.jpg,0.8,", "e.jpg,f.jpg,0.7,unsure"]
    text = "\n".join([*rows, "b.jpg,a.jpg,0.9,same", ""])
    assert read_verdicts(write(tmp_path, text)) == (
        Verdict("a.jpg", "b.jpg", "same"),
        Verdict("e.jpg", "f.jpg", "unsure"),
    )
    people = write(tmp_path, "left_subject,right_subject,verdict\nBob,Robert,same\nMike,Mike,different\n")
    assert read_verdicts(people) == (
        Verdict("Bob", "Robert", "same", subjects=True),
        Verdict("Mike", "Mike", "different", subjects=True),
    )
    assert read_verdicts(write(tmp_path, "left,right,verdict\n")) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("left,right\na,b\n", "no column 'verdict'"),
        ("left,verdict\na,same\n", "no column 'right'"),
        ("left,right,verdict\na,b,same\nc,d,maybe\n", "line 3: verdict 'maybe'"),
        ("left,right,verdict\na,,same\n", "line 2: no right"),
        ("left,right,verdict\n,b,same\n", "line 2: no left"),
        ("left,right,verdict\na,a,same\n", "line 2: 'a' stands on both sides"),
        ("left,right,verdict\na,b,same\nb,a,different\n", "line 3: 'b' and 'a' are different here and same in line 2"),
        ("", "empty"),
    ],
)
def test_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read_verdicts(write(tmp_path, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)

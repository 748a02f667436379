"""`countenance ledger` as its users meet it: on a real gallery's ledger, its exports, proofs and receipts."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from countenance.cli import main
from countenance.gallery import Occasion, open_gallery
from countenance.ledger import Kind
from countenance.service.folder import hold
from countenance.service.receipts import erase_faces, write_receipt
from ledger.independent import verify as verify_independently
from ledger.independent import verify_inclusion
from report.ledger_examples import fill


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["ledger", *map(str, arguments)], input=stdin)


def done(*arguments: object) -> str:
    found = run(*arguments)
    assert found.exit_code == 0, found.output + found.stderr
    return found.stdout


def refused(found: Result, *words: str) -> None:
    """Exit status 2, and one line on standard error that has these words."""
    assert found.exit_code == 2, found.output + found.stderr
    (line,) = found.stderr.splitlines()
    assert line.startswith("countenance: ")
    for word in words:
        assert word in line, line


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder, a head and an export from when it was younger, and an export of now."""
    place = tmp_path_factory.mktemp("ledger")
    fill(place / "data")
    done("head", "--data", place / "data", "--out", place / "old.head")
    with open_gallery(place / "data") as gallery:
        (face, *_) = gallery.faces("family", limit=1)
        occasion = Occasion(actor="key-1", operation="countenance forget")
        erased = erase_faces(gallery, "family", [face.face_id], (), occasion, "forget")
        (place / "receipt").mkdir()
        write_receipt(place / "receipt", erased, str(gallery.ledger.key), datetime.now(UTC))
    said = done("export", "--data", place / "data", "--out", place / "ledger.jsonl")
    assert f": {json.loads(done('verify', place / 'ledger.jsonl', '--json'))['records']} records" in said
    return place


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of the data folder, to be changed."""
    return Path(shutil.copytree(made / "data", tmp_path / "data"))


def test_an_export_is_checked_by_us_and_by_others(made: Path) -> None:
    key = done("key", "--data", made / "data").strip()
    said = done("verify", made / "ledger.jsonl", "--key", key, "--head", made / "old.head")
    assert "it is the one you gave" in said
    assert "1 head kept elsewhere: this log continues" in said
    lines = (made / "ledger.jsonl").read_text().splitlines()
    verify_independently(lines, key, [(made / "old.head").read_text()])
    there = json.loads(done("verify", "--data", made / "data", "--json"))
    told = json.loads(done("verify", made / "ledger.jsonl", "--json"))
    assert there == told
    assert told["records"] == sum('{"entry"' in line for line in lines)
    assert told["key_compared"] is False
    assert "not compared  the key" in done("verify", made / "ledger.jsonl")


def test_a_key_may_lie_in_a_file_and_another_one_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "published").write_text(done("key", "--data", made / "data"))
    assert "it is the one you gave" in done("verify", made / "ledger.jsonl", "--key", tmp_path / "published")
    fill(tmp_path / "other")
    other = done("key", "--data", tmp_path / "other").strip()
    refused(run("verify", made / "ledger.jsonl", "--key", other), "is of the log", "check it against its own key")
    refused(run("verify", made / "ledger.jsonl", "--key", "nonsense"), "copy the whole line")


def _swap(lines: list[str]) -> None:
    lines[40], lines[41] = lines[41], lines[40]


def _flip(lines: list[str]) -> None:
    lines[60] = lines[60].replace('\\"started\\":\\"2026', '\\"started\\":\\"2025')


def _leaf(lines: list[str]) -> None:
    lines[60] = json.dumps({"leaf": "00" * 32}, separators=(",", ":"))


TAMPERED: dict[str, tuple[Callable[[list[str]], object], str]] = {
    "a changed record": (_flip, "another root"),
    "a record taken out": (lambda lines: lines.pop(60), "stands where"),
    "a record put in": (lambda lines: lines.insert(60, lines[60]), "stands where"),
    "two in another order": (_swap, "stands where"),
    "a body taken away": (_leaf, "another root"),
    "the end cut off": (lambda lines: lines.pop(), "was cut"),
    "a line of something else": (lambda lines: lines.insert(60, "{}"), "neither a record nor a head"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_export_is_found_out(made: Path, tmp_path: Path, how: str) -> None:
    lines = (made / "ledger.jsonl").read_text().splitlines()
    change, says = TAMPERED[how]
    before = [*lines]
    change(lines)
    assert lines != before
    (tmp_path / "broken.jsonl").write_text("\n".join(lines) + "\n")
    refused(run("verify", tmp_path / "broken.jsonl"), "broken.jsonl: ", says)
    refused(run("report", "--public", "--export", tmp_path / "broken.jsonl", "--out", tmp_path / "out"), says)
    assert not (tmp_path / "out").exists()


def test_a_ledger_changed_where_it_lies_is_found_out(data: Path) -> None:
    with sqlite3.connect(data / "gallery.db") as store:
        ((body,),) = store.execute("SELECT body FROM log WHERE idx = 100").fetchall()
        store.execute("UPDATE log SET body = ? WHERE idx = 100", (body.replace(b'"ended":"2026', b'"ended":"2025'),))
    refused(run("verify", "--data", data), "another root")


def test_a_log_taken_back_behind_a_head_is_found_out(made: Path, data: Path, tmp_path: Path) -> None:
    """The copy goes no further than the export that was made with it; the head kept is from later."""
    with open_gallery(made / "data") as gallery:
        gallery.create_collection(
            "later", Occasion(actor="a", operation="b"), pipeline="0" * 64, metric="cosine", dimension=2
        )
    done("head", "--data", made / "data", "--out", tmp_path / "later.head")
    refused(run("verify", "--data", data, "--head", tmp_path / "later.head"), "the log was cut")
    refused(run("verify", made / "ledger.jsonl", "--head", tmp_path / "later.head"), "the log was cut")


def test_a_receipt_of_erasure_is_a_proof(made: Path, tmp_path: Path) -> None:
    said = done("verify", made / "receipt" / "erasure-1.json")
    assert "record" in said
    assert "forget" in said
    assert "erasure" in said
    text = (made / "receipt" / "erasure-1.json").read_text()
    verify_inclusion(text, done("key", "--data", made / "data").strip())
    (tmp_path / "forged.json").write_text(text.replace('\\"reason\\":\\"forget\\"', '\\"reason\\":\\"expired\\"'))
    refused(run("verify", tmp_path / "forged.json"), "altered")


def test_proofs_of_a_record_and_of_growth(made: Path, tmp_path: Path) -> None:
    done("prove", 7, "--data", made / "data", "--out", tmp_path / "seven.json")
    assert "record 7 is in the log" in done("verify", tmp_path / "seven.json")
    size = json.loads(done("verify", made / "data" / ".." / "ledger.jsonl", "--json"))["records"]
    old = int((made / "old.head").read_text().splitlines()[1])
    done("prove", "--from", old, "--data", made / "data", "--out", tmp_path / "growth.json")
    said = done("verify", tmp_path / "growth.json", "--head", made / "old.head")
    assert f"only adds to that of {old:,}" in said
    assert "compared      1 head kept elsewhere: the same root" in said
    told = json.loads(done("verify", tmp_path / "growth.json", "--json"))
    assert (told["kind"], told["from"]) == ("consistency", old)
    assert told["size"] >= size > old
    refused(run("prove", 7_000, "--data", made / "data", "--out", tmp_path / "no.json"), "7000")
    refused(run("prove", "--data", made / "data", "--out", tmp_path / "no.json"), "the number of a record, or --from")
    refused(run("prove", "--from", 5, "--to", 6, "--data", made / "data", "--out", tmp_path / "no.json"), "no head was")
    assert not (tmp_path / "no.json").exists()


def test_a_new_key_takes_over_and_the_old_one_still_vouches(made: Path, data: Path, tmp_path: Path) -> None:
    old = done("key", "--data", data).strip()
    with hold(data, alone=True):
        refused(run("rotate", "--yes", "--data", data), "stop it first")
    assert run("rotate", "--data", data, stdin="n\n").exit_code == 130
    assert done("key", "--data", data).strip() == old
    said = done("rotate", "--yes", "--data", data)
    new = done("key", "--data", data).strip()
    assert new != old
    assert new in said
    done("export", "--data", data, "--out", tmp_path / "two.jsonl")
    for key in (old, new):
        assert "it is the one you gave" in done("verify", tmp_path / "two.jsonl", "--key", key)
        verify_independently((tmp_path / "two.jsonl").read_text().splitlines(), key, [])
    assert "the key was replaced once" in done("verify", "--data", data, "--head", made / "old.head")
    done("prove", 7, "--data", data, "--out", tmp_path / "seven.json")
    assert "it is the one you gave" in done("verify", tmp_path / "seven.json", "--key", old)


def test_retention_erases_what_was_said_and_nothing_else(made: Path, data: Path) -> None:
    before = json.loads(done("verify", "--data", data, "--json"))
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    refused(run("retain", "--yes", "--data", data, "--before", f"{tomorrow:%Y-%m-%d}"), "still to come")
    assert run("retain", "--data", data, "--before", "2026-07-01", stdin="n\n").exit_code == 130
    assert json.loads(done("verify", "--data", data, "--json")) == before
    said = done("retain", "--yes", "--data", data, "--before", "2026-04-01")
    found = json.loads(done("verify", "--data", data, "--json", "--head", made / "old.head"))
    assert f"erased what {found['erased']} records said" in said
    assert found["erased"] > 20
    assert found["records"] == before["records"] + 1
    kinds = {json.loads(line)["kind"] for line in done("show", "--json", "--data", data).splitlines()}
    assert {"policy", "certificate", "key", "erasure", "retention"} <= kinds


def test_show_lists_what_was_asked_for(made: Path) -> None:
    searches = done("show", "--kind", "search", "--data", made / "data").splitlines()
    assert len(searches) == 147 + 6
    assert all("  search " in line for line in searches)
    records = [json.loads(line) for line in done("show", "--json", "--from", 20, "--data", made / "data").splitlines()]
    assert records[0]["index"] == 20
    late = done("show", "--json", "--since", "2026-09-01", "--kind", "search", "--data", made / "data")
    assert {json.loads(line)["ended"][:7] >= "2026-09" for line in late.splitlines()} == {True}
    refused(run("show", "--kind", "gossip", "--data", made / "data"), "gossip")
    assert len(Kind) == len({json.loads(line)["kind"] for line in _all_kinds(made)} | {"restore", "retention"})


def _all_kinds(made: Path) -> list[str]:
    """Every kind can be asked for by its name."""
    kinds = [word for kind in Kind for word in ("--kind", kind.value)]
    return done("show", "--json", *kinds, "--data", made / "data").splitlines() + [
        json.dumps({"kind": kind}) for kind in ("collection", "user")
    ]


def test_the_report_is_the_same_from_the_folder_and_from_its_export(made: Path, data: Path, tmp_path: Path) -> None:
    done("report", "--public", "--data", data, "--out", tmp_path / "folder")
    done("export", "--data", data, "--out", tmp_path / "now.jsonl")
    done("report", "--public", "--export", tmp_path / "now.jsonl", "--out", tmp_path / "file")
    for name in ("transparency.html", "transparency.json", "transparency.csv"):
        assert (tmp_path / "folder" / name).read_bytes() == (tmp_path / "file" / name).read_bytes()
    done("report", "--public", "--data", data, "--since", "2026-04", "--until", "2026-07", "--out", tmp_path / "part")
    part = json.loads((tmp_path / "part" / "transparency.json").read_text())
    assert [row["name"] for row in part["searches"]["by_month"]] == ["2026-04", "2026-05", "2026-06", "2026-07"]
    assert part["searches"]["total"] == 34 + 12 + 18 + 4 + 40


def test_what_a_record_says_does_not_steer_the_terminal(data: Path) -> None:
    with open_gallery(data) as gallery:
        gallery.ledger.refuse(Occasion(actor="a", operation="b"), "no \x1b[2J\nnew line")
    last = json.loads(done("verify", "--data", data, "--json"))["records"] - 1
    (line,) = done("show", "--from", last, "--data", data).splitlines()
    assert "no \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}new line" in line


def test_the_schema_is_printed(made: Path, tmp_path: Path) -> None:
    done("report", "--public", "--data", made / "data", "--out", tmp_path)
    schema = json.loads(done("schema"))
    jsonschema.Draft202012Validator(schema).validate(json.loads((tmp_path / "transparency.json").read_text()))


def test_it_is_the_same_with_a_database(new_database: Callable[[], str], tmp_path: Path) -> None:
    url = new_database()
    fill(tmp_path / "data", url)
    there = ("--data", tmp_path / "data", "--database", url)
    done("export", *there, "--out", tmp_path / "ledger.jsonl")
    key = done("key", *there).strip()
    verify_independently((tmp_path / "ledger.jsonl").read_text().splitlines(), key, [])
    assert "it is the one you gave" in done("verify", *there, "--key", key)
    done("rotate", "--yes", *there)
    done("report", "--public", *there, "--out", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "transparency.json").read_text())
    assert report["searches"]["total"] == 147
    assert len(report["ledger"]["keys"]) == 2
    refused(run("verify", "--data", tmp_path / "data"), "there is no gallery")


def test_what_is_wrong_is_said_in_one_line(made: Path, tmp_path: Path) -> None:
    there = ("--data", made / "data")
    refused(run("verify", "--data", tmp_path / "nowhere"), "there is no gallery")
    assert not (tmp_path / "nowhere").exists()
    refused(run("verify", tmp_path / "nothing.jsonl"), "nothing.jsonl", "give an export or a proof")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" * 99)
    refused(run("verify", tmp_path / "photo.jpg"), "not text")
    (tmp_path / "poem.txt").write_text("roses\nare\nred\n")
    refused(run("verify", tmp_path / "poem.txt"), "line 1", "give the file that export wrote")
    (tmp_path / "half.json").write_text('{"format": "countenance-ledger-proof/1", "kind": ')
    refused(run("verify", tmp_path / "half.json"), "prove wrote")
    refused(run("verify", *there, "--head", tmp_path / "poem.txt"), "poem.txt: head: no signature")
    refused(run("export", *there, "--out", tmp_path / "no" / "where.jsonl"), "choose another place with --out")
    refused(run("report", *there), "--public")
    refused(run("report", "--public", *there, "--smallest", 2), "--smallest")
    refused(run("report", "--public", *there, "--since", "2026-05", "--until", "2026-04"), "turn them round")

"""Records of consent: read strictly, never from memory while the file is wrong, and from there to the ledger."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from countenance.cli import main
from countenance.errors import LedgerError, PolicyError
from countenance.gallery import Gallery
from countenance.ledger import Kind, VerifyingKey, check_proof
from countenance.policy import shipped_policy
from countenance.service.caller import Caller
from countenance.service.consents import COLUMNS, ConsentRegister, read_consents
from countenance.service.keyring import KeyRing
from service.backends import ask, opened, photo, refused

HEAD = ",".join(COLUMNS)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def row(
    collection: str = "friends",
    external: str = "",
    subject: str = "s-1",
    purpose: str = "evaluation",
    basis: str = "consent",
    given: str = "",
    until: str = "",
) -> str:
    given = given or f"{TODAY - timedelta(days=1):%Y-%m-%d}"
    until = until or f"{TODAY + timedelta(days=20):%Y-%m-%d}"
    return f"{collection},{external},{subject},{purpose},{basis},https://x.test/notice,{given},{until},mail us"


def written(folder: Path, *rows: str, head: str = HEAD) -> Path:
    """Replaced whole, as an editor does."""
    fresh = folder / "fresh.csv"
    fresh.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    os.replace(fresh, folder / "consents.csv")
    return folder / "consents.csv"


def test_a_face_has_its_own_record_or_its_collections(tmp_path: Path) -> None:
    path = written(tmp_path, row(subject="all"), row(external="anna.jpg", subject="s-7"), row("other", "b", "s-9"))
    register = ConsentRegister(path, shipped_policy("test"))
    found = register.find("friends", "anna.jpg")
    assert found is not None
    assert (found.subject, found.purpose, found.basis, found.withdraw) == ("s-7", "evaluation", "consent", "mail us")
    assert (found.notice, found.until) == ("https://x.test/notice", TODAY + timedelta(days=20))
    assert register.find("friends", "someone.jpg").subject == "all"  # type: ignore[union-attr]
    assert register.find("friends", None).subject == "all"  # type: ignore[union-attr]
    assert register.find("other", "someone.jpg") is None
    assert register.find("nowhere", "anna.jpg") is None
    assert [r.line for r in register.rows_of("friends", "s-7")] == [3]
    assert ConsentRegister().find("friends", None) is None
    assert ConsentRegister(tmp_path / "none.csv").find("friends", None) is None


def test_times_with_a_zone_blanks_quotes_and_a_mark_at_the_start(tmp_path: Path) -> None:
    line = '\ufefffriends, , "s, the first" ,evaluation,consent,"a\nb",2026-01-01T10:00:00+02:00,2026-01-05,mail'
    path = tmp_path / "consents.csv"
    path.write_text(f"{HEAD}\n\n{line.removeprefix(chr(0xFEFF))}\n{row(collection='x y')}\n", encoding="utf-8-sig")
    with pytest.raises(PolicyError, match=r"line 5: collection: 'x y' cannot be one"):
        read_consents(path)
    path.write_text(f"{HEAD}\n{line.removeprefix(chr(0xFEFF))}".replace(' "s, the first" ', '"s, the first"'))
    (found,) = read_consents(path)
    assert found.consent.subject == "s, the first"
    assert found.consent.given == datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert found.consent.until == datetime(2026, 1, 5, tzinfo=UTC)


FAULTS = {
    "a column more": ([row()], f"{HEAD},name", "line 1: has name too many"),
    "a column less": ([row()], HEAD.replace(",notice", ""), "line 1: lacks notice"),
    "a column twice": ([row()], f"{HEAD},until", "line 1: has until, until too many"),
    "a cell less": ([row(), row(external="a").removesuffix(",mail us")], HEAD, "line 3: 8 cells under 9 columns"),
    "no day": ([row(until="31.12.2026")], HEAD, "line 2: until: '31.12.2026' is no date; write 2027-01-31"),
    "no such day": ([row(given="2026-02-30")], HEAD, "line 2: given: '2026-02-30' is no date"),
    "no zone": ([row(given="2026-01-01T10:00:00")], HEAD, "line 2: given: '2026-01-01T10:00:00' has no zone"),
    "the wrong way": ([row(given="2026-02-02", until="2026-02-02")], HEAD, "line 2: until: is not after given"),
    "too long": ([row(given="2026-01-01", until="2027-01-01")], HEAD, "line 2: until: more than the policy's 30 days"),
    "twice": ([row(), row(external="a"), row(subject="x")], HEAD, "line 4: is for the same as line 2; keep one"),
    "no subject": ([row(subject=" ")], HEAD, "line 2: subject: empty; fill it in"),
    "a refused purpose": ([row(purpose="schools")], HEAD, "line 2: purpose: 'schools' is refused by the policy test"),
    "no purpose known": ([row(purpose="fun")], HEAD, "line 2: purpose: 'fun' is not declared in the policy test"),
    "a wrong basis": ([row(basis="contract")], HEAD, "line 2: basis: 'contract' is not one that counts here"),
    "a quote left open": ([row(), row(subject='"s')], HEAD, "line 3: is not CSV"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_named_by_its_line(tmp_path: Path, name: str) -> None:
    rows, head, told = FAULTS[name]
    path = written(tmp_path, *rows, head=head)
    with pytest.raises(PolicyError) as wrong:
        read_consents(path, shipped_policy("test"))
    assert told in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_many_faults_are_counted_and_bytes_that_are_no_text_refused(tmp_path: Path) -> None:
    path = written(tmp_path, *[row(external=f"a{k}", subject="") for k in range(5)])
    with pytest.raises(PolicyError, match=r"line 2: .*line 3: .*line 4: .*\(and 2 more\)"):
        read_consents(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="is not UTF-8"):
        read_consents(path)


def test_a_broken_file_holds_nothing_and_a_mended_one_is_read_again(tmp_path: Path) -> None:
    register = ConsentRegister(written(tmp_path, row(subject="old")))
    assert register.find("friends", None).subject == "old"  # type: ignore[union-attr]
    written(tmp_path, row(subject="old"), row(external="a", until="never, Anna"))
    for _ in range(2):
        with pytest.raises(PolicyError, match=r"damaged \(line 3\)") as wrong:
            register.find("friends", None)
        assert "Anna" not in str(wrong.value)  # it goes into answers and the ledger
    written(tmp_path, row(subject="new"))
    assert register.find("friends", None).subject == "new"  # type: ignore[union-attr]
    (tmp_path / "consents.csv").unlink()
    assert register.find("friends", None) is None


def test_from_the_register_to_enrolment_expiry_and_the_ledger(tmp_path: Path) -> None:
    """Under a policy that gives no record by default."""
    text = (Path(__file__).parents[2] / "src/countenance/policy/data/test.toml").read_text()
    from countenance.policy import read_policy

    policy = read_policy(text[: text.index("[defaults.consent]")])
    with opened(tmp_path, policy) as backend:
        ask(backend, "CreateCollection", CollectionId="friends")

        def index(external: str = "eileen.jpg", **more: object) -> dict[str, object]:
            image = {"Bytes": photo("eileen")}
            return ask(backend, "IndexFaces", CollectionId="friends", Image=image, ExternalImageId=external, **more)

        def no(external: str = "eileen.jpg") -> str:
            image = {"Bytes": photo("eileen")}
            return refused(
                backend,
                "AccessDeniedException",
                "IndexFaces",
                CollectionId="friends",
                Image=image,
                ExternalImageId=external,
            )

        assert "no record of consent" in no()
        soon = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
        late = row(external="late", given="2026-10-20", until="2026-11-01")
        written(tmp_path, row(external="eileen.jpg", subject="s-1", until=soon), late)
        assert len(index()["FaceRecords"]) == 1  # type: ignore[arg-type]
        assert "no record of consent" in no("grace.jpg")
        assert "ended on 2026-11-01" in no("late")
        written(tmp_path, row(external="eileen.jpg"), row(until="x"))
        assert "damaged (line 3)" in no()
        last = list(backend.gallery.ledger.records(kinds=[Kind.REFUSAL]))[-1].entry
        assert (last.rule, last.gallery) == ("consent", "friends")
        (face,) = backend.gallery.faces("friends")
        assert (face.consent.subject, f"{face.consent.until:%Y-%m-%dT%H:%M:%SZ}") == ("s-1", soon)

        assert backend.gallery.tick(face.consent.until - timedelta(seconds=1)) == 0
        assert backend.gallery.tick(face.consent.until) == 1
        assert backend.gallery.faces("friends") == ()
        (entry,) = (record.entry for record in backend.gallery.ledger.records(kinds=[Kind.ERASURE]))
        assert (entry.reason, entry.actor, entry.faces) == ("expired", "countenance", (face.face_id,))


def run(folder: Path, *words: str, role: str = "operator", secret: str | None = None):
    key = KeyRing(folder).issue(role)
    environment = {"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": secret or key.secret}
    environment |= {"COUNTENANCE_POLICY": str(Path(__file__).parents[2] / "src/countenance/policy/data/test.toml")}
    return CliRunner().invoke(main, [*words, "--data", str(folder)], env=environment)


def enrolled(folder: Path) -> list[str]:
    """Two faces of one subject in friends, one of them a user's, one of another; and one of the subject elsewhere."""
    mine = (row("friends", "a.jpg", "s-1"), row("friends", "b.jpg", "s-1"))
    written(folder, *mine, row("friends", "c.jpg", "s-2"), row("others", "a.jpg", "s-1"))
    with opened(folder) as backend:
        for name, external, who in (
            ("friends", "a.jpg", "eileen"), ("friends", "b.jpg", "mirror"), ("friends", "c.jpg", "grace"),
            ("others", "a.jpg", "eileen"),
        ):  # fmt: skip
            if not any(c.name == name for c in backend.gallery.collections()):
                ask(backend, "CreateCollection", CollectionId=name)
            ask(backend, "IndexFaces", CollectionId=name, Image={"Bytes": photo(who)}, ExternalImageId=external)
        mine = [f.face_id for f in backend.gallery.faces("friends") if f.consent.subject == "s-1"]
        ask(backend, "CreateUser", CollectionId="friends", UserId="u-1")
        ask(backend, "AssociateFaces", CollectionId="friends", UserId="u-1", FaceIds=mine[:1])
        return mine


def test_withdrawing_erases_all_of_the_subjects_faces_and_proves_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    mine = enrolled(folder)
    words = ("consent", "withdraw", "--collection", "friends", "--subject", "s-1", "--receipt", str(tmp_path / "r"))
    found = run(folder, *words)
    assert found.exit_code == 2
    assert "line 2, 3: still lets this subject be enrolled" in found.stderr
    written(folder, row("friends", "c.jpg", "s-2"), row("others", "a.jpg", "s-1"))
    found = run(folder, *words, role="reader")
    assert (found.exit_code, "may not erase" in found.stderr) == (2, True)
    found = run(folder, *words, secret="x" * 40)
    assert (found.exit_code, "secret is not its own" in found.stderr) == (2, True)

    found = run(folder, *words)
    assert found.exit_code == 0, found.output + found.stderr
    assert "erased 2 faces" in found.output
    with opened(folder) as backend:
        gallery: Gallery = backend.gallery
        assert [f.consent.subject for f in gallery.faces("friends")] == ["s-2"]
        assert len(gallery.faces("others")) == 1
        assert gallery.users("friends") == ()
        (record,) = gallery.ledger.records(kinds=[Kind.ERASURE])
        assert record.entry.reason == "consent withdrawn"
        assert sorted(record.entry.faces) == sorted(mine)
        public = str(gallery.ledger.key)
    proof = tmp_path / "r" / "erasure-1.json"
    shown = check_proof(proof.read_text(), VerifyingKey.parse(public)).record
    assert shown is not None
    assert sorted(shown.entry.faces) == sorted(mine)
    altered = proof.read_text().replace(mine[0][:8], "00000000")
    with pytest.raises(LedgerError):
        check_proof(altered, VerifyingKey.parse(public))
    again = run(folder, *words)
    assert (again.exit_code, "nothing was erased" in again.output) == (0, True)


def test_check_says_what_a_file_holds(tmp_path: Path) -> None:
    policy = str(Path(__file__).parents[2] / "src/countenance/policy/data/test.toml")
    path = written(tmp_path, row(), row(external="a"), row("x", "b", given="2026-01-01", until="2026-01-20"))
    found = CliRunner().invoke(main, ["consent", "check", str(path), "--policy", policy])
    assert "3 records for 2 collections; 1 for a whole collection, 1 ended" in found.output
    written(tmp_path, row(until="soon"))
    found = CliRunner().invoke(main, ["consent", "check", str(path), "--policy", policy])
    assert (found.exit_code, "line 2: until: 'soon' is no date" in found.stderr) == (2, True)


def test_only_a_key_and_its_secret_open_the_counter(tmp_path: Path) -> None:
    from countenance.errors import InputError
    from countenance.service.counter import sign_in

    ring = KeyRing(tmp_path)
    key = ring.issue("operator", ["evaluation"], "private")
    assert sign_in(ring, key.key_id, key.secret) == Caller(key.key_id, "operator", ("evaluation",), "private")
    for key_id, secret in ((key.key_id, ""), (key.key_id, key.secret[:-1]), ("AKIANOTHERE", key.secret)):
        with pytest.raises(InputError, match="there is none, or the secret"):
            sign_in(ring, key_id, secret)
    ring.revoke(key.key_id)
    for secret in (key.secret, ""):
        with pytest.raises(InputError):
            sign_in(ring, key.key_id, secret)
    found = run(tmp_path / "nothing", "review", "list")
    assert (found.exit_code, "no gallery lies there" in found.stderr) == (2, True)
    assert not (tmp_path / "nothing" / "gallery.db").exists()

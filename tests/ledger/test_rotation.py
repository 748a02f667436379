"""One key hands over to the next: both verifiers follow the chain, and find every way to break it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ledger.independent as rfc
from countenance.errors import LedgerError
from countenance.gallery import Occasion, open_gallery, open_ledger, replace_key
from countenance.ledger import (
    Edge,
    Kind,
    Record,
    SigningKey,
    TreeHead,
    VerifyingKey,
    check_export,
    check_proof,
    export_lines,
    replacement,
)
from ledger.test_export import ENTRIES, entry

NOW = datetime(2026, 11, 23, tzinfo=UTC)
A, B, C = (SigningKey.generate("log") for _ in "abc")
ADMIN = Occasion(actor="key-1", operation="ledger rotate")


def log(
    steps: list[Any], first: SigningKey = A, both: bool = True, end: SigningKey | None = None
) -> tuple[list[str], list[str]]:
    """An export of entries and of keys that take over; ``end`` signs the last head."""
    edge, bodies, leaves, heads, key = Edge(), [], [], [], first
    for step in steps:
        new = step if isinstance(step, SigningKey) else None
        item = entry(Kind.KEY, edge.size, detail=replacement(key.verifying, new.verifying)) if new else step
        record = Record(edge.size, "00" * 16, item)
        bodies.append(record.encode())
        leaves.append(record.leaf)
        edge, _ = edge.append(record.leaf)
        head = TreeHead("log", edge.size, edge.root, NOW)
        if new:
            note = key.sign(head)
            heads.append(new.cosign(note) if both else note)
            key = new
        elif step is steps[-1]:
            heads.append((end or key).sign(head))
    return list(export_lines(first.verifying, bodies, leaves, heads)), heads


def accepted(lines: list[str], key: VerifyingKey, kept: list[str] = []) -> bool:  # noqa: B006
    """Whether both implementations accept; they must agree."""
    try:
        check_export(lines, key, kept)
        ours = True
    except LedgerError:
        ours = False
    try:
        rfc.verify(lines, str(key), kept)
        theirs = True
    except (rfc.Bad, ValueError, KeyError, TypeError):
        theirs = False
    assert ours == theirs
    return ours


def test_whoever_kept_any_key_of_the_chain_can_check_the_log() -> None:
    lines, heads = log([*ENTRIES[:2], B, ENTRIES[2], C, ENTRIES[3]])
    for key in (A, B, C):
        assert accepted(lines, key.verifying, heads)
    assert not accepted(lines, SigningKey.generate("log").verifying)
    found = check_export(lines, A.verifying, heads)
    assert (found.keys, found.key) == ((A.verifying, B.verifying, C.verifying), C.verifying)
    assert (found.heads, found.kept, found.size) == (3, 3, 6)


def test_a_key_that_nobody_vouched_for_is_found() -> None:
    lines, _ = log([*ENTRIES[:2], B, ENTRIES[2]], both=False)  # the new key never showed that it exists
    assert not accepted(lines, A.verifying)
    lines, _ = log([*ENTRIES[:2], ENTRIES[2]], end=B)  # another key signs, and no record says why
    assert not accepted(lines, A.verifying)
    lines, _ = log([*ENTRIES[:2], B, ENTRIES[2]], end=A)  # the old key goes on
    assert not accepted(lines, A.verifying)
    lines, heads = log([*ENTRIES[:2], B, ENTRIES[2]])
    place = lines.index(json.dumps({"head": heads[0]}, ensure_ascii=False, separators=(",", ":")))
    assert not accepted([*lines[:place], *lines[place + 1 :]], A.verifying)  # the handing over is left out
    alone = B.sign(TreeHead("log", 3, B.verifying.open(heads[0]).root, NOW))
    forged = json.dumps({"head": alone}, ensure_ascii=False, separators=(",", ":"))
    assert not accepted([*lines[:place], forged, *lines[place + 1 :]], A.verifying)  # the old key did not sign


def test_a_replacement_of_another_key_is_found() -> None:
    bent = entry(Kind.KEY, 2, detail=replacement(C.verifying, B.verifying))
    lines, _ = log([*ENTRIES[:2], bent, ENTRIES[2]])
    assert not accepted(lines, A.verifying)
    half = entry(Kind.KEY, 2, detail={"ledger_key_new": str(B.verifying)})
    lines, _ = log([*ENTRIES[:2], half, ENTRIES[2]])
    with pytest.raises(LedgerError, match="one of the two is not named"):
        check_export(lines)
    lines, _ = log([*ENTRIES[:2], B, A, ENTRIES[2]])  # never back to an old one
    assert not accepted(lines, A.verifying)


def test_kept_heads_are_opened_with_the_key_of_their_time() -> None:
    lines, _ = log([*ENTRIES[:2], B, ENTRIES[2]])
    edge = Edge()
    for line in lines[1:3]:
        edge, _ = edge.append(Record.decode(json.loads(line)["entry"].encode()).leaf)
    early = TreeHead("log", 2, edge.root, NOW)
    assert accepted(lines, B.verifying, [A.sign(early)])
    assert not accepted(lines, B.verifying, [B.sign(early)])  # it did not sign yet
    empty = A.sign(TreeHead("log", 0, Edge().root, NOW))
    assert accepted(lines, B.verifying, [empty])
    later = A.sign(TreeHead("log", 4, b"0" * 32, NOW))  # whoever stole the old key
    assert not accepted(lines, B.verifying, [later])


def recorded(folder: Path) -> list[str]:
    """A gallery whose key was replaced twice; heads kept on the way."""
    kept = []
    with open_gallery(folder) as gallery:
        gallery.ledger.refuse(ADMIN, "first")
        kept.append(gallery.ledger.head())
    with open_ledger(folder) as ledger:
        kept.append(replace_key(folder, ledger, ADMIN))
        ledger.refuse(ADMIN, "second")
        kept.append(ledger.head())
        kept.append(replace_key(folder, ledger, ADMIN))
        ledger.refuse(ADMIN, "third")
    return kept


def test_a_real_gallery_hands_over(tmp_path: Path) -> None:
    kept = recorded(tmp_path)
    with open_gallery(tmp_path) as gallery:
        ledger = gallery.ledger
        lines = list(ledger.export())
        first = ledger.first_key()
        assert accepted(lines, first, kept)
        assert accepted(lines, ledger.key, kept)
        assert first != ledger.key
        found = ledger.check(first, kept)
        assert (found.size, found.unsigned, len(found.keys)) == (5, 0, 3)
        ledger.refuse(ADMIN, "fourth")
        assert ledger.check(first, kept).unsigned == 1
        for index in range(ledger.size):
            text = ledger.prove(index)
            rfc.verify_inclusion(text, str(first))
            shown = check_proof(text, first, kept)
            assert (shown.index, shown.trusted) == (index, True)
        growth = check_proof(ledger.prove_growth(1, 4), first, [kept[0], kept[1], kept[3]])
        assert (growth.first, growth.head.size, growth.kept, growth.others) == (1, 4, 2, 1)
    assert sorted(p.name for p in tmp_path.glob("ledger.key*"))[0] == "ledger.key"
    assert len(list(tmp_path.glob("ledger.key*"))) == 3
    assert all(p.stat().st_mode & 0o077 == 0 for p in tmp_path.glob("ledger.key*"))


def test_every_member_of_a_proof_that_is_bent_is_found(tmp_path: Path) -> None:
    recorded(tmp_path)
    with open_ledger(tmp_path) as ledger:
        said, first = json.loads(ledger.prove(2)), ledger.first_key()
        growth = json.loads(ledger.prove_growth(2))
    for proof in (said, growth):
        check_proof(json.dumps(proof), first)
        tried = 0
        for path, value in places(proof):
            bent = json.loads(json.dumps(proof))
            at = bent
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = bend(value)
            with pytest.raises(LedgerError):
                check_proof(json.dumps(bent), first)
            tried += 1
        assert tried > 12
    with pytest.raises(LedgerError, match="is of the log"):
        check_proof(json.dumps(said), SigningKey.generate(first.name).verifying)
    with pytest.raises(LedgerError, match="not a countenance-ledger-proof"):
        check_proof("{}")
    with pytest.raises(LedgerError, match="member is missing"):
        check_proof('{"format": "countenance-ledger-proof/1", "key": 3}')


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        return [found for name, one in value.items() for found in places(one, (*path, name))]
    if isinstance(value, list):
        return [found for number, one in enumerate(value) for found in places(one, (*path, number))]
    return [(path, value)]


def bend(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    middle = len(value) // 2
    return value[:middle] + chr(ord(value[middle]) ^ 1) + value[middle + 1 :]


def test_the_erased_record_is_still_proved(tmp_path: Path) -> None:
    recorded(tmp_path)
    with open_ledger(tmp_path) as ledger:
        ledger.erase_bodies(datetime.now(UTC), ADMIN)
        shown = check_proof(ledger.prove(0), ledger.key)
        assert (shown.record, shown.index) == (None, 0)
        assert check_proof(ledger.prove(1), ledger.key).record is not None  # how the key was replaced is kept
        with pytest.raises(LedgerError, match="no head was signed over 5 records; the nearest"):
            ledger.prove_growth(1, 5)


@pytest.mark.parametrize("when", ["before the log knows", "before the file is moved"])
def test_a_crash_while_the_key_is_replaced_is_finished_or_undone(tmp_path: Path, when: str) -> None:
    recorded(tmp_path)
    old = SigningKey.load(tmp_path / "ledger.key")
    new = SigningKey.generate(old.name)
    new.save(tmp_path / "ledger.key.next")
    if when == "before the file is moved":
        with open_ledger(tmp_path) as ledger:
            ledger.hand_over(new, ADMIN)
    with open_ledger(tmp_path) as ledger:
        assert ledger.key == (old if when == "before the log knows" else new).verifying
        replace_key(tmp_path, ledger, ADMIN)
        check_export(ledger.export(), old.verifying)


def test_a_program_that_still_holds_the_old_key_signs_nothing(tmp_path: Path) -> None:
    with open_gallery(tmp_path) as gallery:
        with open_ledger(tmp_path) as ledger:
            replace_key(tmp_path, ledger, ADMIN)
        gallery.ledger.refuse(ADMIN, "it still records")
        with pytest.raises(LedgerError, match="was replaced meanwhile; restart"):
            gallery.ledger.head()
    with open_ledger(tmp_path) as ledger:
        assert ledger.check().size == 2


def test_a_missing_or_foreign_key_file_is_not_made_anew(tmp_path: Path) -> None:
    with open_gallery(tmp_path):
        pass
    key = tmp_path / "ledger.key"
    kept = key.read_text()
    key.unlink()
    with pytest.raises(LedgerError, match="is missing; bring it back"), open_gallery(tmp_path):
        pass
    SigningKey.generate().save(key)
    with pytest.raises(LedgerError, match="is not the key of this ledger"), open_gallery(tmp_path):
        pass
    key.write_text(kept)
    with open_gallery(tmp_path) as gallery:
        assert gallery.ledger.size == 0

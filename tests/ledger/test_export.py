"""Every way to alter an export is found, by our check and by the independent one."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

import ledger.independent as rfc
from countenance.errors import LedgerError
from countenance.ledger import Edge, Entry, Kind, Record, SigningKey, TreeHead, check_export, export_lines
from ledger.test_entries import FULL

NOW = datetime(2026, 11, 23, tzinfo=UTC)
KEY = SigningKey.generate("log")
PUBLIC = KEY.verifying


def entry(kind: Kind, number: int, **more: Any) -> Entry:
    moment = NOW + timedelta(seconds=number)
    return Entry(kind=kind, actor=f"key-{number}", started=moment, ended=moment, **more)


def log(
    entries: list[Entry], salt: str = "00" * 16, erased: range = range(0), heads_at: tuple[int, ...] = (2,)
) -> tuple[list[str], list[str]]:
    """The lines of an export, and its heads."""
    edge, bodies, leaves, heads = Edge(), [], [], []
    for number, item in enumerate(entries):
        record = Record(number, salt, item)
        bodies.append(None if number in erased else record.encode())
        leaves.append(record.leaf)
        edge, _ = edge.append(record.leaf)
        if edge.size in heads_at or edge.size == len(entries):
            heads.append(KEY.sign(TreeHead("log", edge.size, edge.root, NOW)))
    return list(export_lines(PUBLIC, bodies, leaves, heads)), heads


ENTRIES = [
    entry(Kind.POLICY, 0),
    entry(Kind.ENROLMENT, 1, faces=("a", "b"), gallery="g", gallery_size=2),
    replace(FULL, kind=Kind.SEARCH),
    entry(Kind.REFUSAL, 3, reason="no certificate"),
    entry(Kind.ERASURE, 4, faces=("a",), gallery="g", gallery_size=1),
]


def accepted(lines: list[str], kept: list[str] = []) -> bool:  # noqa: B006
    """Whether both implementations accept; they must agree."""
    try:
        check_export(lines, PUBLIC, kept)
        ours = True
    except LedgerError:
        ours = False
    try:
        rfc.verify(lines, str(PUBLIC), kept)
        theirs = True
    except (rfc.Bad, ValueError, KeyError, TypeError):
        theirs = False
    assert ours == theirs
    return ours


def test_an_untouched_export_holds() -> None:
    lines, heads = log(ENTRIES)
    assert accepted(lines, heads)
    found = check_export(lines, PUBLIC, heads)
    assert (found.head.size, found.heads, found.kept, found.erased, found.trusted) == (5, 2, 2, (), True)
    assert not check_export(lines).trusted


def test_an_empty_log_holds() -> None:
    lines, _ = log([])
    lines.append(
        json.dumps({"head": KEY.sign(TreeHead("log", 0, Edge().root, NOW))}, separators=(",", ":"), ensure_ascii=False)
    )
    assert accepted(lines)


def flipped(value: Any) -> Any:
    match value:
        case str():
            return (chr(ord(value[0]) ^ 1) + value[1:]) if value else "x"
        case int():
            return value ^ 1
        case list():
            return [flipped(value[0]), *value[1:]]
        case dict():
            return {flipped(k): v for k, v in value.items()}
    raise AssertionError(value)


def test_every_field_of_every_entry_flipped_is_found() -> None:
    lines, _ = log(ENTRIES)
    tried = 0
    for place, line in enumerate(lines):
        members = json.loads(line)
        if "entry" not in members:
            continue
        body = json.loads(members["entry"])
        for name in body:
            for change in ({name: flipped(body[name])}, {flipped(name): body[name]}, None):
                bent = {k: v for k, v in body.items() if k != name} | (change or {})
                data = json.dumps(bent, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
                other = json.dumps({"entry": data}, ensure_ascii=False, separators=(",", ":"))
                assert not accepted([*lines[:place], other, *lines[place + 1 :]]), (name, change)
                tried += 1
    assert tried > 100


def test_every_flipped_character_of_a_record_is_found() -> None:
    lines, _ = log(ENTRIES)
    place = next(i for i, line in enumerate(lines) if "SearchFacesByImage" in line)
    for at in range(len(lines[place])):
        bent = lines[place][:at] + chr(ord(lines[place][at]) ^ 1) + lines[place][at + 1 :]
        with pytest.raises(LedgerError):
            check_export([*lines[:place], bent, *lines[place + 1 :]], PUBLIC)


def test_removed_inserted_and_reordered_records_are_found() -> None:
    lines, _ = log(ENTRIES)
    records = [i for i, line in enumerate(lines) if line.startswith('{"entry"')]
    extra = json.dumps({"entry": FULL.recorded(2).encode().decode()}, ensure_ascii=False, separators=(",", ":"))
    for at in records:
        assert not accepted([*lines[:at], *lines[at + 1 :]])
        assert not accepted([*lines[:at], extra, *lines[at:]])
        assert not accepted([*lines[:at], lines[at], *lines[at:]])
    for a, b in pairwise(records):
        swapped = list(lines)
        swapped[a], swapped[b] = lines[b], lines[a]
        assert not accepted(swapped)


def test_a_log_cut_below_a_head_kept_elsewhere_is_found() -> None:
    short, short_heads = log(ENTRIES[:3])
    lines, heads = log(ENTRIES)
    assert accepted(short)
    assert not accepted(short, heads)
    with pytest.raises(LedgerError, match="the log was cut"):
        check_export(short, PUBLIC, heads)
    assert accepted(lines, short_heads)
    anew, _ = log(ENTRIES, salt="11" * 16)
    assert not accepted(anew, short_heads)
    assert not accepted(lines[:-1])
    assert not accepted(lines[:1])


def test_a_log_rewritten_and_signed_anew_is_found_by_the_kept_head() -> None:
    _, heads = log(ENTRIES)
    forged, _ = log([*ENTRIES[:3], replace(ENTRIES[3], reason="another"), ENTRIES[4]])
    assert accepted(forged)
    assert not accepted(forged, heads)


def test_retention() -> None:
    retention = entry(Kind.RETENTION, 5, detail={"first": "0", "last": "2"})
    lines, heads = log([*ENTRIES, retention], erased=range(0, 3))
    assert accepted(lines, heads)
    assert check_export(lines, PUBLIC).erased == (0, 1, 2)
    assert "SearchFacesByImage" not in "".join(lines)
    unexplained, _ = log([*ENTRIES, retention], erased=range(0, 4))
    assert not accepted(unexplained)
    with pytest.raises(LedgerError, match="record 3: its body is gone"):
        check_export(unexplained, PUBLIC)


@pytest.mark.parametrize(
    "detail", [{"first": "0", "last": "6"}, {"first": "2", "last": "1"}, {"first": "x", "last": "1"}, {}]
)
def test_a_retention_that_cannot_be(detail: dict[str, str]) -> None:
    lines, _ = log([*ENTRIES, entry(Kind.RETENTION, 5, detail=detail)])
    with pytest.raises(LedgerError, match="retention"):
        check_export(lines, PUBLIC)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [], "not the start"),
        (lambda lines: ["{}", *lines[1:]], "not the start"),
        (lambda lines: [lines[0], "[]", *lines[1:]], "line 2: not one JSON object"),
        (lambda lines: [lines[0], '{"leaf":"00"}', *lines[1:]], "64 hex digits"),
        (lambda lines: [lines[0], '{"note":"00"}', *lines[1:]], "neither a record nor a head"),
        (lambda lines: [lines[0], '{"head":"x","leaf":"y"}', *lines[1:]], "neither a record nor a head"),
        (lambda lines: [lines[0], '{"head": "x"}', *lines[1:]], "not one JSON object"),
    ],
)
def test_what_is_not_an_export(change: Callable[[list[str]], list[str]], says: str) -> None:
    lines, _ = log(ENTRIES)
    with pytest.raises(LedgerError, match=says):
        check_export(change(lines), PUBLIC)


def test_the_key_of_another_log() -> None:
    lines, _ = log(ENTRIES)
    with pytest.raises(LedgerError, match="is of the log"):
        check_export(lines, SigningKey.generate("log").verifying)

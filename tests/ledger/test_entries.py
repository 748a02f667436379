import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.errors import LedgerError
from countenance.ledger import Entry, Kind, Record

NOW = datetime(2026, 11, 23, 1, 2, 3, 4, tzinfo=UTC)
FULL = Entry(
    kind=Kind.SEARCH,
    actor="key-7",
    started=NOW,
    ended=NOW + timedelta(milliseconds=20),
    operation="SearchFacesByImage",
    purpose="photo-archive",
    basis="consent",
    rule="allowed",
    reason="",
    policy="p" * 8,
    certificate="c1",
    pipeline="abc",
    gallery="ümlaut-Straße",
    gallery_version=3,
    gallery_size=300,
    threshold=-0.1 - 0.2,
    threshold_asked=80.0,
    candidates=2,
    probe="00ff",
    faces=("f1", "f2"),
    reviewers=("anna", "bert"),
    refers=(0, 5),
    detail={"first": "1", "last": "2"},
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 1), max_value=datetime(9000, 1, 1))
entries = st.builds(
    Entry,
    kind=st.sampled_from(Kind),
    actor=text,
    started=moments,
    ended=moments,
    reason=st.none() | text,
    gallery_size=st.none() | st.integers(-(2**53), 2**53),
    threshold=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    faces=st.lists(text).map(tuple),
    refers=st.lists(st.integers(0, 99)).map(tuple),
    detail=st.dictionaries(text, text),
)


@given(entries, st.integers(0, 2**53))
def test_what_is_written_is_read(entry: Entry, index: int) -> None:
    record = entry.recorded(index)
    assert Record.decode(record.encode()) == record


def test_every_field_is_in_the_bytes_and_changes_the_leaf() -> None:
    record = Record(4, "00" * 16, FULL)
    seen = {record.leaf, replace(record, index=5).leaf, replace(record, salt="11" * 16).leaf}
    for field in fields(Entry):
        value = getattr(FULL, field.name)
        other: Any
        match value:
            case Kind():
                other = Kind.REVIEW
            case str():
                other = value + "x"
            case datetime():
                other = value + timedelta(microseconds=1)
            case float() | int():
                other = value + 1
            case tuple():
                other = value[:1]
            case _:
                other = {**value, "more": "m"}
        seen.add(replace(record, entry=replace(FULL, **{field.name: other})).leaf)
    assert len(seen) == 3 + len(fields(Entry))


def test_the_format_does_not_drift() -> None:
    record = Record(0, "00" * 16, Entry(kind=Kind.REFUSAL, actor="k", started=NOW, ended=NOW, threshold=1e-07))
    assert record.encode() == (
        b'{"actor":"k","ended":"2026-11-23T01:02:03.000004Z","index":0,"kind":"refusal",'
        b'"salt":"00000000000000000000000000000000","started":"2026-11-23T01:02:03.000004Z","threshold":"1e-07","v":1}'
    )


def test_times_are_written_in_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
    assert Record(0, "", replace(FULL, started=elsewhere)).encode() == Record(0, "", FULL).encode()


def test_salts_differ() -> None:
    assert FULL.recorded(0).leaf != FULL.recorded(0).leaf


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": float("nan")},
        {"threshold": float("inf")},
        {"gallery_size": 2**54},
        {"gallery_size": True},
        {"actor": "\ud800"},
        {"detail": {"n": 1}},
        {"faces": (1.5,)},
        {"started": datetime(2026, 1, 1)},
    ],
)
def test_what_has_no_canonical_bytes_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(LedgerError):
        replace(FULL, **change).recorded(0).encode()


def test_only_canonical_bytes_are_read() -> None:
    members = json.loads(FULL.recorded(0).encode())
    for other in (
        json.dumps(members).encode(),
        json.dumps(members | {"v": 2}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        json.dumps(members | {"face": "x"}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        json.dumps(members | {"threshold": "0.10"}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        json.dumps(members | {"purpose": None}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(),
        b"[]",
        b"\xff",
        b"",
    ):
        with pytest.raises(LedgerError):
            Record.decode(other)

"""The transparency report: what it counts, what it hides, and that nobody can compute what it hides."""

import base64
import csv
import hashlib
import html
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ledger_examples import CERTIFICATE, PERSON, REFUSALS, fill, past
from scipy.optimize import linprog

from countenance.errors import InputError, LedgerError
from countenance.gallery import Ledger, Occasion, open_ledger
from countenance.ledger import Edge, Kind, SigningKey, TreeHead, export_lines, head_of
from countenance.policy import RULES
from countenance.report.counting import ERASED, REFUSED
from countenance.report.suppress import WITHHELD, Counts, hide
from countenance.report.transparency import csv_text, json_text, transparency_report, transparency_schema
from countenance.report.transparency_page import render_transparency, write_transparency

SEALED = ("secret-name", "ab" * 32, PERSON, "external-", "image-")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    folder = tmp_path_factory.mktemp("filled") / "data"
    return folder, fill(folder)


@pytest.fixture(scope="module")
def lines(filled: tuple[Path, tuple[str, ...]]) -> list[str]:
    with open_ledger(filled[0]) as ledger:
        return list(ledger.export())


@pytest.fixture(scope="module")
def report(lines: list[str]) -> dict[str, Any]:
    return transparency_report(lines)


def entries(lines: Sequence[str], kind: Kind) -> list[dict[str, Any]]:
    """Read without our reader: what the export says, line by line."""
    said = (json.loads(line) for line in lines)
    records = (json.loads(one["entry"]) for one in said if "entry" in one)
    return [record for record in records if record["kind"] == kind.value]


def test_what_is_shown_is_what_the_export_says(lines: list[str], report: dict[str, Any]):
    searches = [e for e in entries(lines, Kind.SEARCH) if e.get("rule") != "forget"]
    hits = [e for e in searches if e["candidates"]]
    assert report["searches"]["total"] == len(searches) == 147
    assert report["searches"]["with_candidates"] == len(hits)
    assert report["searches"]["hit_rate"] == round(len(hits) / len(searches), 4)
    by_month = Counter(e["ended"][:7] for e in searches)
    for row in report["searches"]["by_month"]:
        if isinstance(row["searches"], int):
            assert row["searches"] == by_month[row["name"]], row
    by_purpose = Counter(e["purpose"] for e in searches)
    shown = {row["name"]: row["searches"] for row in report["searches"]["by_purpose"]}
    assert shown["photo-archive"] == by_purpose["photo-archive"]
    assert shown["law-enforcement"] == 0
    rules = {row["name"]: row["count"] for row in report["refusals"]["by_rule"]}
    assert report["refusals"]["total"] == sum(REFUSALS.values())
    assert rules["law"] == "<10"
    assert rules["certificate"] == REFUSALS["certificate"]
    assert report["faces"]["enrolled"] == sum(len(e["faces"]) for e in entries(lines, Kind.ENROLMENT)) == 52
    assert report["faces"]["erased"] == sum(len(e["faces"]) for e in entries(lines, Kind.ERASURE)) == 28
    assert report["comparisons"] == {"total": 31, "matched": 11}
    reviews = {row["name"]: row["count"] for row in report["reviews"]}
    assert reviews["opened"] == 15
    assert reviews["match"] == "<10"
    assert report["own_searches"] == "<10"


def test_class_of_actor_is_what_the_key_was_given(report: dict[str, Any]):
    rows = {row["name"]: row["searches"] for row in report["searches"]["by_actor"]}
    assert rows["company"] == 21 + 34 + 18
    assert rows["government"] == 13
    assert rows["not declared"] == "<10"
    assert rows["police"] == 0


def test_what_was_in_force(lines: list[str], report: dict[str, Any]):
    force = report["in_force"]
    assert [p["version"] for p in force["policies"]] == [1, 2]
    assert force["policies"][0]["since"] == "2026-03-01"
    assert [(c["id"], c["issuer"], c["until"]) for c in force["certificates"]] == [
        (CERTIFICATE, "auditors/9f2c", "2027-03-01")
    ]
    thresholds = [float(e["threshold"]) for e in entries(lines, Kind.SEARCH) if "threshold" in e]
    (shown,) = force["thresholds"]
    assert (shown["lowest"], shown["highest"]) == (round(min(thresholds), 3), round(max(thresholds), 3))
    early = transparency_report(lines, (2026, 3), (2026, 4))
    assert [p["version"] for p in early["in_force"]["policies"]] == [1]


def test_nobody_is_in_it(filled: tuple[Path, tuple[str, ...]], report: dict[str, Any]):
    """No person, face, key, gallery, probe or name, in none of the three forms."""
    for text in (json_text(report), csv_text(report), render_transparency(report)):
        for secret in (*filled[1], *SEALED):
            assert secret not in text, secret
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-", text)
        assert "AKIA" not in text


def test_it_is_bound_to_the_log(lines: list[str], report: dict[str, Any]):
    head = head_of(json.loads(lines[-1])["head"])
    bound = report["ledger"]
    assert (bound["size"], bound["root"]) == (head.size, head.root.hex())
    assert bound["head"] == json.loads(lines[-1])["head"]
    assert bound["bodies_erased"] == 0


def test_the_same_export_gives_the_same_bytes(lines: list[str], report: dict[str, Any], tmp_path: Path):
    months = [tuple(map(int, report["period"][end].split("-"))) for end in ("from", "to")]
    again = transparency_report(lines, (months[0][0], months[0][1]), (months[1][0], months[1][1]))
    for made, folder in ((report, "one"), (again, "two")):
        write_transparency(made, tmp_path / folder)
    for name in ("html", "json", "csv"):
        one, two = (tmp_path / folder / f"transparency.{name}" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_json_keeps_its_schema_and_csv_says_the_same(report: dict[str, Any]):
    jsonschema.Draft202012Validator(json.loads(transparency_schema())).validate(json.loads(json_text(report)))
    rows = {tuple(row[:3]): row[3] for row in csv.reader(io.StringIO(csv_text(report)))}
    assert rows["searches", "", "total"] == str(report["searches"]["total"])
    for by in ("purpose", "actor", "month"):
        for row in report["searches"][f"by_{by}"]:
            assert rows[f"searches by {by}", row["name"], "searches"] == str(row["searches"])
    for row in report["refusals"]["by_rule"]:
        assert rows["refusals by rule", row["name"], "count"] == str(row["count"])
    assert len(rows) > 80


def test_the_page_needs_nothing_and_hides_what_is_hidden(report: dict[str, Any]):
    page = render_transparency(report)
    assert not re.search(r"<script|<link|src=|https?://(?!www\.w3\.org/2000/svg)", page)
    assert "147 searches for faces" in page
    assert "fewer than 10" in page
    assert "withheld" in page


def test_the_page_allows_its_own_style_alone(report: dict[str, Any]):
    page = render_transparency(report)
    style = page.split("<style>", 1)[1].split("</style>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in html.unescape(page)


def test_what_others_wrote_runs_nowhere(report: dict[str, Any]):
    """Names of policies and issuers are text of whoever wrote them."""
    hostile = json.loads(json.dumps(report))
    hostile["in_force"]["policies"][0]["name"] = "<script>alert(1)</script>"
    hostile["in_force"]["certificates"][0]["issuer"] = "=1+1"
    assert "<script" not in render_transparency(hostile)
    cells = [row[3] for row in csv.reader(io.StringIO(csv_text(hostile)))]
    assert "'=1+1" in cells
    assert "=1+1" not in cells


def test_a_tampered_export_gives_no_report(lines: list[str]):
    for number in range(1, len(lines) - 1, 40):
        broken = [*lines]
        broken[number] = broken[number].replace("2026-", "2025-", 1)
        with pytest.raises(LedgerError):
            transparency_report(broken)
    with pytest.raises(LedgerError):
        transparency_report(lines[:-1])


def test_records_erased_by_retention_are_told_and_classes_of_keys_stay(tmp_path: Path):
    """Its own gallery: what is erased here is gone for the other tests."""
    fill(tmp_path / "data")
    with open_ledger(tmp_path / "data") as ledger:
        gone = ledger.erase_bodies(datetime(2026, 7, 1, tzinfo=UTC), Occasion(actor="docs", operation="retain"))
        made = transparency_report(list(ledger.export()))
    assert made["ledger"]["bodies_erased"] == gone > 100
    assert f"{gone} older records" in render_transparency(made)
    assert made["searches"]["total"] == 40 + 13 + 2 + 3
    assert {row["name"]: row["searches"] for row in made["searches"]["by_actor"]}["government"] == 13


def test_what_cannot_be_reported_is_said(lines: list[str]):
    for months, smallest, says in (
        ((None, None), 4, "smallest: 4"),
        (((2026, 5), (2026, 4)), 10, "turn them round"),
        (((2099, 1), None), 10, "since: is after"),
        (((1, 1), None), 10, "months; give at most"),
    ):
        with pytest.raises(InputError, match=says):
            transparency_report(lines, *months, smallest=smallest)


def test_every_rule_that_refuses_has_its_words():
    assert set(RULES) <= set(REFUSED)
    source = Path(__file__).parents[2] / "src" / "countenance"
    written = "".join(path.read_text() for path in source.rglob("*.py"))
    used = set(re.findall(r'\.refuse\(call, "([a-z-]+)"', written))
    assert used
    assert used <= set(REFUSED)
    reasons = set(re.findall(r'reason="([a-z ]+)"', written)) - {"deleted"}
    assert {"forget", "expired", "restore", "collection deleted"} & reasons <= set(ERASED)


# -- suppression -------------------------------------------------------------------------------------------------------


def readings(shown: dict[str, int | str], parts: Sequence[str], k: int, top: int) -> Iterator[tuple[int, ...]]:
    """All that a reader must hold possible: every number in every cell that the signs and the sum allow.

    By plain enumeration: it shares nothing with the solver. A withheld cell may be anything, up to ``top``.
    """
    ranges = []
    for name in parts:
        said = shown[name]
        ranges.append(
            range(said, said + 1) if isinstance(said, int) else range(1, k) if said == f"<{k}" else range(k, top)
        )
    total = shown["all"]
    for cells in itertools.product(*ranges):
        fits = (
            sum(cells) == total if isinstance(total, int) else sum(cells) < k if total == f"<{k}" else sum(cells) >= k
        )
        if fits:
            yield cells


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 14), min_size=1, max_size=4), st.integers(5, 6))
def test_no_hidden_count_can_be_computed(cells: list[int], k: int):
    """At least (k - 1) // 2 + 1 values stay possible for each small count, by enumeration of everything possible."""
    counts = Counts()
    counts.total("all", {str(n): count for n, count in enumerate(cells)})
    parts = [name for name in counts.cells if name != "all"]
    counts.tables.append(tuple(parts))
    shown = hide(counts, k)
    assert all(shown[n] == c for n, c in counts.cells.items() if isinstance(shown[n], int))
    possible = list(readings(shown, parts, k, 40))
    for place, name in enumerate(parts):
        if shown[name] == f"<{k}":
            values = {reading[place] for reading in possible}
            assert counts.cells[name] in values
            assert len(values) >= (k - 1) // 2 + 1, (cells, shown)
    assert not any(isinstance(s, int) and 0 < s < k for s in shown.values())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nor_from_two_tables_of_the_same_searches(data: st.DataObject):
    """Searches and those that found somebody, in two breakdowns with the same totals: enumerated, too."""
    k, tables = 5, {"a": ("a1", "a2"), "b": ("b1", "b2")}
    searches = data.draw(st.lists(st.integers(0, 7), min_size=4, max_size=4))
    hits = [data.draw(st.integers(0, count)) for count in searches]
    counts = Counts()
    for names, places in zip(tables.values(), (((0, 1), (2, 3)), ((0, 2), (1, 3))), strict=True):
        for total, cells in (("searches", searches), ("hits", hits)):
            counts.total(total, {name: sum(cells[n] for n in at) for name, at in zip(names, places, strict=True)})
        counts.at_most += [(f"hits/{name}", f"searches/{name}") for name in names]
        counts.tables.append(tuple(f"{total}/{name}" for total in ("searches", "hits") for name in names))
    counts.at_most.append(("hits", "searches"))
    shown = hide(counts, k)
    possible = possible_values(shown, k, tables)
    for name in shown:
        if 0 < counts.cells[name] < k:
            assert counts.cells[name] in possible[name]
            assert len(possible[name]) >= (k - 1) // 2 + 1, (counts.cells, shown)


def possible_values(
    shown: dict[str, int | str], k: int, tables: dict[str, tuple[str, str]], top: int = 40
) -> dict[str, set[int]]:
    """Which values a reader must hold possible for each count; given the totals, the tables do not bear on another."""

    def fits(name: str, value: int) -> bool:
        said = shown[name]
        return value == said if isinstance(said, int) else 0 < value < k if said == f"<{k}" else True

    found: dict[str, set[int]] = {name: set() for name in shown}
    for s in (s for s in range(top) if fits("searches", s)):
        for h in (h for h in range(s + 1) if fits("hits", h)):
            of_table: list[dict[str, set[int]]] = []
            for first, second in tables.values():
                at = (f"searches/{first}", f"searches/{second}", f"hits/{first}", f"hits/{second}")
                rows = [
                    (a, s - a, p, h - p)
                    for a in range(s + 1)
                    if fits(at[0], a) and fits(at[1], s - a)
                    for p in range(max(0, h - s + a), min(a, h) + 1)
                    if fits(at[2], p) and fits(at[3], h - p)
                ]
                of_table.append({name: set(column) for name, column in zip(at, zip(*rows, strict=True), strict=False)})
            if all(of_table):
                found["searches"].add(s)
                found["hits"].add(h)
                for name, values in itertools.chain.from_iterable(one.items() for one in of_table):
                    found[name] |= values
    return found


@settings(max_examples=25, deadline=None, phases=[Phase.generate])
@given(st.data())
def test_nor_from_a_whole_report(data: st.DataObject):
    """From the JSON as published, every total and breakdown written down anew; bounds by linear programming.

    These are never closer than what whole numbers allow, so a hidden count that they pin down is exposed.
    """
    report = transparency_report(drawn_export(data), smallest=6)
    jsonschema.validate(report, json.loads(transparency_schema()))
    cells, sums, most = as_a_reader(report)
    names = list(cells)
    ends = [(said, said) if isinstance(said, int) else (1, 5) if said == "<6" else (0, None) for said in cells.values()]
    equal, upper = np.zeros((len(sums), len(names))), np.zeros((len(most), len(names)))
    for row, (total, parts) in zip(equal, sums, strict=True):
        row[[names.index(part) for part in parts]] = 1
        row[names.index(total)] = -1
    for row, (few, many) in zip(upper, most, strict=True):
        row[names.index(few)], row[names.index(many)] = 1, -1
    for place, said in enumerate(cells.values()):
        if said == "<6":
            goal = np.eye(len(names))[place]
            low, high = (
                sign * linprog(sign * goal, upper, np.zeros(len(most)), equal, np.zeros(len(sums)), ends).fun
                for sign in (1, -1)
            )
            assert high - low > 1.99, (names[place], low, high)


def drawn_export(data: st.DataObject) -> Iterator[str]:
    """The export of a log with a few records of each kind that is counted, signed, without a gallery."""
    few = st.one_of(st.just(0), st.just(0), st.integers(1, 3), st.integers(0, 14))
    drawn = [past(Kind.KEY, 0, 0, "op", detail={"key": "k", "actor": "company"})]
    for actor, purpose, months, found in itertools.product("kl", ("access", None), (0, 2), (0, 1)):
        drawn += [past(Kind.SEARCH, months, n, actor, purpose=purpose, candidates=found) for n in range(data.draw(few))]
    for rule in ("law", "consent", "certificate", "unheard-of"):
        drawn += [past(Kind.REFUSAL, 1, n, "k", rule=rule, reason="no") for n in range(data.draw(few))]
    for reason in ("forget", "expired", "request"):
        drawn.append(past(Kind.ERASURE, 1, 1, "k", reason=reason, faces=tuple(map(str, range(data.draw(few))))))
    for found in (0, 1):
        drawn += [past(Kind.COMPARISON, 1, n, "k", candidates=found) for n in range(data.draw(few))]
    drawn += [past(Kind.SEARCH, 1, n, "k", rule="forget", candidates=0) for n in range(data.draw(few))]
    records = [entry.recorded(n) for n, entry in enumerate(drawn)]
    edge = Edge()
    for record in records:
        edge, _ = edge.append(record.leaf)
    key = SigningKey("drawn", bytes(32))
    note = key.sign(TreeHead("drawn", edge.size, edge.root, datetime(2026, 7, 1, tzinfo=UTC)))
    return export_lines(key.verifying, [r.encode() for r in records], [r.leaf for r in records], [note])


def as_a_reader(
    report: dict[str, Any],
) -> tuple[dict[str, int | str], list[tuple[str, list[str]]], list[tuple[str, str]]]:
    """(counts, totals with their parts, pairs of which the first is never larger) of what is published."""
    searches, cells = report["searches"], {"searches": report["searches"]["total"]}
    cells |= {"hits": searches["with_candidates"], "refusals": report["refusals"]["total"]}
    cells |= {"erased": report["faces"]["erased"], "comparisons": report["comparisons"]["total"]}
    cells |= {"matched": report["comparisons"]["matched"], "own": report["own_searches"]}
    sums: list[tuple[str, list[str]]] = []
    most = [("hits", "searches"), ("matched", "comparisons")]
    for by in ("by_purpose", "by_actor", "by_month"):
        for total, measure in (("searches", "searches"), ("hits", "with_candidates")):
            rows = {f"{total}/{by}/{row['name']}": row[measure] for row in searches[by]}
            sums.append((total, list(rows)))
            cells |= rows
        most += [(f"hits/{by}/{row['name']}", f"searches/{by}/{row['name']}") for row in searches[by]]
    for total, table, measure in (
        ("refusals", report["refusals"]["by_rule"], "count"),
        ("erased", report["faces"]["erased_by_reason"], "faces"),
    ):
        rows = {f"{total}/{row['name']}": row[measure] for row in table}
        sums.append((total, list(rows)))
        cells |= rows
    cells |= {"size": report["ledger"]["size"], "all recorded": "?"}
    sums.append(("all recorded", ["searches", "own", "refusals", "comparisons"]))
    return cells, sums, [*most, ("all recorded", "size")]


def test_a_lone_small_count_takes_another_with_it():
    counts = Counts()
    counts.total("all", {"few": 3, "some": 12, "many": 90})
    shown = hide(counts, 10)
    assert shown == {"all/few": "<10", "all/some": WITHHELD, "all/many": 90, "all": 105}


def test_where_nothing_is_left_the_table_goes():
    """Two small counts whose total is shown and tells them: 17 of at most 9 and 9."""
    counts = Counts()
    counts.total("all", {"a": 8, "b": 9})
    counts.cells["all"] = 17
    counts.tables.append(("all/a", "all/b"))
    shown = hide(counts, 10)
    assert shown["all"] == WITHHELD


def test_a_sum_known_from_elsewhere_counts():
    counts = Counts(cells={"a": 3, "b": 50, "c": 20})
    assert hide(counts, 10) == {"a": "<10", "b": 50, "c": 20}
    counts.known.append((("a", "b", "c"), 73))
    assert hide(counts, 10) == {"a": "<10", "b": 50, "c": WITHHELD}


def test_ledger_fixture_is_real(filled: tuple[Path, tuple[str, ...]]):
    ledger: Ledger
    with open_ledger(filled[0]) as ledger:
        assert ledger.check().size == ledger.size > 250

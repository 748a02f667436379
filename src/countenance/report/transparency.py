"""The transparency report: what a server was used for, counted from its ledger, with no person in it.

It is computed from an export alone and bound to its last head, so that whoever has the export computes the same bytes.
Small counts are hidden, and others with them (`suppress`). The JSON is described by ``transparency.schema.json``; CSV
and HTML say the same.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from countenance.errors import InputError
from countenance.ledger import Checked, VerifyingKey, check_export, timestamp
from countenance.policy import ACTORS
from countenance.report.counting import ERASED, REFUSED, REVIEWED, UNDECLARED, Counting, Month
from countenance.report.suppress import Counts, Shown, hide

__all__ = ["Report", "csv_text", "json_text", "transparency_report", "transparency_schema"]

FORMAT = "countenance-transparency/1"
SCHEMA_PATH = Path(__file__).with_name("transparency.schema.json")
Report = dict[str, Any]
UNTOLD = "other records"
BREAKDOWNS = ("purpose", "actor", "month")


def transparency_schema() -> str:
    """The JSON Schema (draft 2020-12) of the report, as published."""
    return SCHEMA_PATH.read_text(encoding="utf-8")


def transparency_report(
    lines: Iterable[str],
    since: Month | None = None,
    until: Month | None = None,
    *,
    smallest: int = 10,
    key: VerifyingKey | None = None,
) -> Report:
    """Count the export in ``lines`` from the month ``since`` to the month ``until`` (both included, UTC).

    By default from the log's first record to the month of its last head. The export is checked on the way. Counts from
    1 to ``smallest - 1`` are hidden. Raises LedgerError for an export that does not hold, InputError for months in the
    wrong order and for ``smallest`` below 5.
    """
    if smallest < 5:
        raise InputError(f"smallest: {smallest} hides next to nothing; give 5 or more")
    if since is not None and until is not None and since > until:
        raise InputError("since, until: the first month is after the last; turn them round")
    counted = Counting(since, until)
    last = _Last()
    checked = check_export(last.of(lines), key, seen=counted.see)
    if checked.head is None:
        raise InputError("export: has no head; export again")
    months = _months(counted, checked.head.time)
    counts = _counts(counted, months)
    shown = hide(counts, smallest)
    return {
        "format": FORMAT,
        "period": {"from": _name(months[0]), "to": _name(months[-1])},
        "ledger": _ledger(checked, last.note),
        "suppression": {"smallest": smallest, "hidden": sum(isinstance(one, str) for one in shown.values())},
        "searches": {
            "total": shown["searches"],
            "with_candidates": shown["hits"],
            "hit_rate": _rate(shown["searches"], shown["hits"]),
            **{f"by_{by}": _rows(shown, by) for by in BREAKDOWNS},
        },
        "own_searches": shown["own searches"],
        "comparisons": {"total": shown["comparisons"], "matched": shown["matched"]},
        "refusals": {"total": shown["refusals"], "by_rule": _parts(shown, "refusals", "count")},
        "faces": {
            "enrolled": shown["enrolled"],
            "erased": shown["erased"],
            "erased_by_reason": _parts(shown, "erased", "faces"),
            "largest_gallery_searched": _band(counted.largest) if counted.searched_in else None,
        },
        "reviews": _parts(shown, "reviews", "count"),
        "in_force": _in_force(counted, months, shown["searches"], smallest),
    }


def csv_text(report: Mapping[str, Any]) -> str:
    """The counts as CSV: one line each, with the columns table, name, measure and value."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("table", "name", "measure", "value"))
    for part in ("period", "ledger", "suppression"):
        for name, value in report[part].items():
            if name != "head":
                rows.writerow((part, "", name, _safe(value)))
    searches, faces = report["searches"], report["faces"]
    for name in ("total", "with_candidates", "hit_rate"):
        rows.writerow(("searches", "", name, _safe(searches[name])))
    for by in BREAKDOWNS:
        for row in searches[f"by_{by}"]:
            for name in ("searches", "with_candidates", "hit_rate"):
                rows.writerow((f"searches by {by}", _safe(row["name"]), name, _safe(row[name])))
    rows.writerow(("searches by people for themselves", "", "searches", report["own_searches"]))
    for name, value in report["comparisons"].items():
        rows.writerow(("comparisons", "", name, value))
    rows.writerow(("refusals", "", "total", report["refusals"]["total"]))
    rows.writerows(("refusals by rule", row["name"], "count", row["count"]) for row in report["refusals"]["by_rule"])
    for name in ("enrolled", "erased", "largest_gallery_searched"):
        rows.writerow(("faces", "", name, faces[name]))
    rows.writerows(("faces erased by reason", row["name"], "faces", row["faces"]) for row in faces["erased_by_reason"])
    rows.writerows(("reviews", row["name"], "count", row["count"]) for row in report["reviews"])
    for table, found in report["in_force"].items():
        for number, row in enumerate(found, 1):
            rows.writerows((table, number, name, _safe(value)) for name, value in row.items())
    return out.getvalue()


def _safe(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is quoted; lists are joined, nothing is an empty cell."""
    if isinstance(value, (list, tuple)):
        value = "; ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value[:1] in set("=+-@\t\r") else "" if value is None else value


def json_text(report: Mapping[str, Any]) -> str:
    """The report as JSON text."""
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


# -- counts and what hangs together ----------------------------------------------------------------------------------


def _months(counted: Counting, head: datetime) -> list[Month]:
    """Every month of the period, also those in which nothing was recorded."""
    last = counted.last or max([(head.year, head.month), *counted.months])
    first = counted.first or min([last, *counted.months])
    span = (last[0] - first[0]) * 12 + last[1] - first[1] + 1
    if span < 1:
        raise InputError("since: is after the last record of the log; give an earlier month")
    if span > 1200:
        raise InputError(f"since, until: {span} months; give at most 1,200")
    return [((first[0] * 12 + first[1] - 1 + n) // 12, (first[1] - 1 + n) % 12 + 1) for n in range(span)]


def _counts(counted: Counting, months: Sequence[Month]) -> Counts:
    """All counts, and the sums that a reader can make of them.

    Heads are public, so a reader may know how many records a period has; those of which nothing is published are in
    that sum as well.
    """
    counts = Counts()
    actors = (*ACTORS, UNDECLARED)
    purposes = sorted(counted.declared | set(counted.searches["purpose"]))
    tables: dict[str, tuple[Mapping[Any, int], Mapping[Any, int], Sequence[Any]]] = {
        "purpose": (counted.searches["purpose"], counted.hits["purpose"], purposes),
        "actor": (counted.searches["actor"], counted.hits["actor"], actors),
        "month": (counted.searched_in, counted.hits_in, months),
    }
    for by, (searches, hits, names) in tables.items():
        labels: dict[str, Any] = {f"{by}:{name if by != 'month' else _name(name)}": name for name in names}
        counts.total("searches", {label: searches.get(name, 0) for label, name in labels.items()})
        counts.total("hits", {label: hits.get(name, 0) for label, name in labels.items()})
        counts.at_most += [(f"hits/{label}", f"searches/{label}") for label in labels]
        counts.tables.append(tuple(f"{total}/{label}" for total in ("searches", "hits") for label in labels))
    counts.at_most.append(("hits", "searches"))
    for total, parts, reasons in (("refusals", counted.refusals, REFUSED), ("erased", counted.erased, ERASED)):
        counts.total(total, {reason: parts[reason] for reason in reasons})
        counts.tables.append(tuple(f"{total}/{reason}" for reason in reasons))
    reviews = {f"reviews/{reason}": counted.reviews[reason] for reason in REVIEWED}
    counts.cells |= reviews | {
        "own searches": counted.own_searches,
        "comparisons": counted.comparisons,
        "matched": counted.matched,
        "enrolled": counted.enrolled,
    }
    counts.at_most.append(("matched", "comparisons"))
    recorded = ("searches", "own searches", "comparisons", "refusals", *reviews)
    records = sum(counted.months.values())
    counts.cells[UNTOLD] = records - sum(counts.cells[name] for name in recorded)
    counts.unshown.add(UNTOLD)
    counts.known.append(((*recorded, UNTOLD), records))
    return counts


def _rows(shown: Mapping[str, Shown], by: str) -> list[dict[str, Any]]:
    start = f"searches/{by}:"
    names = [name.removeprefix(start) for name in shown if name.startswith(start)]
    return [
        {
            "name": name,
            "searches": shown[f"{start}{name}"],
            "with_candidates": shown[f"hits/{by}:{name}"],
            "hit_rate": _rate(shown[f"{start}{name}"], shown[f"hits/{by}:{name}"]),
        }
        for name in names
    ]


def _parts(shown: Mapping[str, Shown], total: str, measure: str) -> list[dict[str, Any]]:
    start = f"{total}/"
    return [{"name": name.removeprefix(start), measure: shown[name]} for name in shown if name.startswith(start)]


def _rate(searches: Shown, hits: Shown) -> float | None:
    """Only of what is shown: a rate of a hidden count would tell it."""
    if isinstance(searches, str) or isinstance(hits, str) or searches == 0:
        return None
    return round(hits / searches, 4)


# -- what was in force, and the log ----------------------------------------------------------------------------------


def _in_force(counted: Counting, months: Sequence[Month], searches: Shown, smallest: int) -> dict[str, Any]:
    start, end = _name(months[0]), _name(months[-1])
    policies = []
    for number, (since, policy) in enumerate(counted.policies):
        later = counted.policies[number + 1][0] if number + 1 < len(counted.policies) else None
        if f"{since:%Y-%m}" <= end and (later is None or f"{later:%Y-%m}" >= start):
            policies.append(
                {"name": policy.name, "version": policy.version, "digest": policy.digest, "since": f"{since:%Y-%m-%d}"}
            )
    certificates = [
        {
            "id": name,
            "issuer": entry.detail.get("issuer", "").partition("+")[0],
            "since": f"{since:%Y-%m-%d}",
            "until": entry.detail.get("until", "")[:10],
        }
        for name, (since, entry) in counted.certificates.items()
        if f"{since:%Y-%m}" <= end and entry.detail.get("until", "9")[:7] >= start
    ]
    thresholds = [
        {"pipeline": pipeline, "lowest": round(found.lowest, 3), "highest": round(found.highest, 3)}
        for pipeline, found in sorted(counted.thresholds.items())
        if found.count >= smallest and not isinstance(searches, str)
    ]
    return {"policies": policies, "certificates": certificates, "thresholds": thresholds}


class _Last:
    """Remembers the last line that went by: the head of everything."""

    line = ""

    def of(self, lines: Iterable[str]) -> Iterator[str]:
        for self.line in lines:
            yield self.line

    @property
    def note(self) -> str:
        return str(json.loads(self.line)["head"])


def _ledger(checked: Checked, note: str) -> dict[str, Any]:
    head = checked.head
    if head is None:
        raise InputError("export: has no head; export again")
    return {
        "log": head.origin,
        "keys": [str(key) for key in checked.keys],
        "size": head.size,
        "root": head.root.hex(),
        "signed": timestamp(head.time),
        "bodies_erased": len(checked.erased),
        "head": note,
    }


def _band(size: int) -> str:
    """The order of magnitude of a gallery: an exact size would tell how many faces came and went."""
    if size < 10:
        return "fewer than 10"
    low = 10 ** (len(str(size)) - 1)
    return f"{low:,} to {low * 10 - 1:,}"


def _name(month: Month) -> str:
    return f"{month[0]:04}-{month[1]:02}"

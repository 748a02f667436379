"""Tables of a report: rates per group with their intervals drawn beside them, and the rates between groups."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from countenance.audit.intervals import Interval
from countenance.audit.result import AuditResult, Estimate, GroupRates, Operating, SearchGroup, SearchPoint
from countenance.report import reading, words
from countenance.report.charts import Axis, decades, nice

__all__ = [
    "Matrix",
    "MatrixCell",
    "RateRow",
    "RateTable",
    "fnmr_table",
    "matrices",
    "search_table",
    "verification_table",
]

RARE = 0.01  # below this, "1 in 130" is said beside the percentage
SPREAD = 30  # beyond this ratio of rates a linear scale hides the small ones
HEATS = 6


@dataclass(frozen=True)
class RateRow:
    """One group: how often it went wrong, in words, and drawn."""

    label: str
    counted: str
    share: str
    one_in: str
    bar: Markup
    too_small: str | None = None
    lead: bool = False


@dataclass(frozen=True)
class RateTable:
    """Groups at one threshold, by grouping, with one scale for all."""

    title: str
    why: str
    head: str
    parts: tuple[tuple[str, tuple[RateRow, ...]], ...]
    axis: Markup
    without: str = ""
    verdicts: tuple[str, ...] = ()

    @property
    def few(self) -> bool:
        """Whether there is but one row, so that a drawing says nothing."""
        return sum(len(rows) for _, rows in self.parts) < 2


@dataclass(frozen=True)
class Entry:
    """What a row is made of."""

    group: Mapping[str, str]
    estimate: Estimate
    errors: int | None
    trials: int | None
    too_small: str | None


def search_table(result: AuditResult, point: SearchPoint) -> RateTable:
    """Who was matched to somebody else at one threshold."""

    def entry(g: SearchGroup) -> Entry:
        return Entry(g.group, g.fpir, g.falsely_matched, g.probes, g.too_small)

    found = _table(
        f"At {reading.scores_of(result)(point.threshold)}",
        reading.introduce(point, result),
        "matched to somebody else",
        [entry(point.everyone), *(entry(g) for g in point.groups)],
    )
    return replace(found, verdicts=tuple(point.verdicts.values()))


def verification_table(result: AuditResult, threshold: float) -> RateTable | None:
    """False matches within each group at one threshold."""
    return _verification(result, threshold, "false matches within the group", lambda g: g.fmr, lambda g: g.nonmated)


def fnmr_table(result: AuditResult, threshold: float) -> RateTable | None:
    """People not recognised again, per group at one threshold; None where nobody has two photos."""
    return _verification(result, threshold, "not recognised again", lambda g: g.fnmr, lambda g: g.mated)


def _verification(
    result: AuditResult,
    threshold: float,
    head: str,
    pick: Callable[[GroupRates | Operating], Estimate],
    trials: Callable[[GroupRates], int],
) -> RateTable | None:
    groups = reading.rates_at(result, threshold)
    points = result.verification.thresholds if result.verification else ()
    whole = next((p for p in points if p.threshold == threshold), None)
    entries = [Entry({}, pick(whole), None, None, None)] if whole else []
    entries += [Entry(g.group, pick(g), None, trials(g), g.too_small) for g in groups]
    if not any(e.estimate.value is not None for e in entries):
        return None
    why = reading.introduce(whole, result) if whole else ""
    return _table(f"At {reading.scores_of(result)(threshold)}", why, head, entries)


def _table(title: str, why: str, head: str, entries: list[Entry]) -> RateTable:
    empty = [e for e in entries if e.group and e.estimate.value is None and not e.trials]
    entries = [e for e in entries if e not in empty]
    axis = _axis([e.estimate for e in entries if not e.too_small])
    whole = next((e.estimate.value for e in entries if not e.group), None)
    grouped = reading.by_columns(entries, lambda e: e.group)
    parts = tuple(
        (reading.grouping_name(columns) if columns else "", tuple(_row(e, axis, whole) for e in found))
        for columns, found in sorted(grouped.items(), key=lambda item: bool(item[0]))
    )
    without = "; ".join(words.group_name(e.group) for e in empty)
    return RateTable(title, why, head, parts, _axis_svg(axis), without)


def _row(entry: Entry, axis: Axis, whole: float | None) -> RateRow:
    found = entry.estimate
    return RateRow(
        label=words.group_name(entry.group),
        counted=words.of(found, entry.errors, entry.trials) if found.value is not None else "",
        share=words.beside(found).removeprefix("(").removesuffix(")") if found.value in (0, 1) else words.beside(found),
        one_in=(words.one_in(found.value) if found.value and words.TINY <= found.value < RARE else None) or "",
        bar=Markup("") if entry.too_small else _bar(found, axis, whole),
        too_small=entry.too_small,
        lead=not entry.group,
    )


def _axis(estimates: Sequence[Estimate]) -> Axis:
    """A scale in per cent of the cell's width that holds every interval; log where rates differ widely."""
    values = [e.value for e in estimates if e.value]
    highs = [e.interval.high for e in estimates if e.value is not None and e.interval] + values
    top = max(highs, default=1.0) or 1.0
    if values and top / min(values) > SPREAD:
        low = 10.0 ** math.floor(math.log10(min(values)))
        high = min(1.0, 10.0 ** math.ceil(math.log10(top)))
        ticks = decades(low, high, 3)
        return Axis(low, high, 2, 96, "log", tuple((t, "all" if t == 1 else f"1 in {1 / t:,.0f}") for t in ticks))
    steps = nice(0, min(1.0, top), 3)
    return Axis(0, min(1.0, top * 1.02), 2, 96, "linear", tuple((t, _tick(t)) for t in steps))


def _tick(share: float) -> str:
    return f"{share * 100:.6g} %" if share else "0"


def _axis_svg(axis: Axis) -> Markup:
    parts = [
        Markup('<text class="tick {}" x="{:.1f}%" y="12">{}</text>').format(_side(axis(v)), axis(v), t)
        for v, t in axis.ticks
    ]
    return Markup('<svg class="bar" width="100%" height="16" aria-hidden="true">{}</svg>').format(
        Markup("").join(parts)
    )


def _side(at: float) -> str:
    return "start" if at < 8 else "end" if at > 85 else "mid"


def _bar(found: Estimate, axis: Axis, whole: float | None) -> Markup:
    """The interval as a line and the rate as a dot; without an error only the line, up to its bound."""
    if found.value is None:
        return Markup("")
    parts = []
    for value, _ in axis.ticks:
        parts.append(Markup('<line class="grid" x1="{0:.1f}%" x2="{0:.1f}%" y1="0" y2="22"/>').format(axis(value)))
    if whole:
        parts.append(Markup('<line class="whole" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="22"/>').format(axis(whole)))
    if found.interval:
        low, high = axis(max(found.interval.low, axis.low)), axis(found.interval.high)
        parts.append(Markup('<line class="ci" x1="{:.2f}%" x2="{:.2f}%" y1="11" y2="11"/>').format(low, high))
        parts.append(Markup('<line class="ci" x1="{0:.2f}%" x2="{0:.2f}%" y1="6" y2="16"/>').format(high))
        if found.value:
            parts.append(Markup('<line class="ci" x1="{0:.2f}%" x2="{0:.2f}%" y1="6" y2="16"/>').format(low))
    if found.value:
        parts.append(Markup('<circle class="dot" cx="{:.2f}%" cy="11" r="4.5"/>').format(axis(found.value)))
    return Markup('<svg class="bar" width="100%" height="22" aria-hidden="true">{}</svg>').format(
        Markup("").join(parts)
    )


@dataclass(frozen=True)
class MatrixCell:
    """False matches between two groups: words, and ``heat`` 0 (lowest) to 5 for the shade."""

    main: str
    detail: str
    among: str
    heat: int | None


@dataclass(frozen=True)
class Matrix:
    """FMR between every two groups of one grouping."""

    by: str
    groups: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MatrixCell | None, ...]], ...]
    threshold: float


def matrices(result: AuditResult) -> list[Matrix]:
    """One table for each grouping; symmetric, so only the lower half is filled."""
    rows = result.verification.matrix if result.verification else ()
    grouped = reading.by_columns(rows, lambda r: r["group"])
    # The diagonal alone says what the groups' table has said.
    known = [
        k for k, found in grouped.items() if any(r.get("fmr") is not None and r["group"] != r["other"] for r in found)
    ]
    return [_matrix(columns, grouped[columns]) for columns in known if columns]


def _matrix(columns: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> Matrix:
    names = list(dict.fromkeys(words.group_name(r["group"]) for r in rows))
    names += [n for n in dict.fromkeys(words.group_name(r["other"]) for r in rows) if n not in names]
    values = [math.log10(r["fmr"]) for r in rows if r.get("fmr")]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    cells: dict[tuple[str, str], MatrixCell] = {}
    for row in rows:
        first, second = words.group_name(row["group"]), words.group_name(row["other"])
        cells[second, first] = cells[first, second] = _cell(row, low, high)
    lines = tuple(
        (n, tuple(cells.get((n, m)) if names.index(m) <= k else None for m in names)) for k, n in enumerate(names)
    )
    return Matrix(reading.grouping_name(columns), tuple(names), lines, rows[0]["threshold"])


def _cell(row: Mapping[str, Any], low: float, high: float) -> MatrixCell:
    value, edge, trials = row.get("fmr"), row.get("fmr_interval"), row.get("nonmated")
    found = Estimate(value, Interval(*edge) if edge else None, row.get("fmr_reason"), row.get("fmr_errors"), trials)
    among = f"{words.count(trials)} comparisons" if trials is not None else ""
    if value is None and not trials:
        return MatrixCell("not compared", "", "", None)
    if row.get("too_small"):
        return MatrixCell("too few", str(row["too_small"]), "", None)
    if not value:
        main = words.UNKNOWN if value is None else words.of(found)
        detail = found.reason or "" if value is None else words.beside(found).strip("()")
        return MatrixCell(main, detail, among if value is None else "", None)
    share = (math.log10(value) - low) / (high - low) if high > low else 0.0
    detail = words.interval(found.interval, value) if found.interval else "uncertainty not known"
    main = words.one_in(value) or words.percent(value)
    return MatrixCell(main, detail, among, min(HEATS - 1, int(share * HEATS)))

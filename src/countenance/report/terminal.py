"""The result in a terminal: what a reader must know in ten seconds, in 80 columns, with or without colour."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from countenance.audit.result import AuditResult, Estimate, Operating, SearchPoint
from countenance.report import reading, words

__all__ = ["print_summary", "summary"]

WIDTH = 80
RARE = 0.01  # below this, "1 in 130" is said beside the percentage
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # and those that turn text round
FEW = "too few to speak"
COMPARED = 3  # sentences; the report has them all
NOT_TESTED = 4  # lines; the report has them all


def print_summary(result: AuditResult, report: Path | None = None, console: Console | None = None) -> None:
    """Print the summary to standard output; colour only on a terminal, and never where NO_COLOR is set.

    ``report`` is where report.html lies, named in the last line.
    """
    if console is None:
        # rich takes an empty NO_COLOR for unset, and a pipe has no width of its own.
        plain = Console()
        console = Console(
            width=None if plain.is_terminal else WIDTH, no_color=True if "NO_COLOR" in os.environ else None
        )
    console.print(summary(result, report), highlight=False, soft_wrap=False)


def summary(result: AuditResult, report: Path | None = None) -> RenderableType:
    """The summary as something rich can print; all text from the data is shown as it is, never as markup."""
    parts: list[RenderableType] = [Text(""), _text(result.headline, "bold"), Text("")]
    if result.adjudicated:
        parts += [
            _labelled("After a person's verdicts on suspected label errors", result.adjudicated.headline),
            Text(""),
        ]
    parts += [_labelled("Tested", _tested(result)), Text("")]
    parts += [Group(table, Text("")) for table in _tables(result)]
    for point in reading.lead_points(result):
        where = reading.scores_of(result)(point.threshold)
        for by, verdict in point.verdicts.items():
            if len(by) == 1:
                parts.append(_labelled(f"Falsely matched at {where}", verdict))
    lead = reading.lead_threshold(result)
    told = [d for d in result.differentials if d.threshold == lead and len(d.by) == 1 and d.max_min.reason is None]
    for found in told:
        where = f"By {reading.grouping_name(found.by)}, at {reading.scores_of(result)(found.threshold)}"
        parts.append(_labelled(where, found.verdict))
    for line in (result.comparison or {}).get("sentences", ())[:COMPARED]:
        parts.append(_labelled("Compared", line))
    if result.suspects:
        parts.append(
            _labelled("Suspected label errors", f"{words.count(len(result.suspects))} pairs, listed in the report")
        )
    parts += [_labelled("Not tested", line) for line in _not_tested(result)]
    if report is not None:
        parts += [Text(""), _assembled(("Report: ", "bold"), str(report))]
    return Group(*parts)


def _labelled(label: str, text: str) -> Text:
    return _assembled((f"{label}: ", "bold cyan"), text)


def _tested(result: AuditResult) -> str:
    """Who was tested, in one or two lines."""
    counts, search = result.counts, result.search
    name = reading.system_name(result)
    told = [name] if name else []
    if search:
        told.append(
            f"{words.count(search.probes)} people searched for among {words.count(search.references)} references"
        )
    told.append(f"{words.count(counts.subjects)} people" if counts.subjects else "people not known (scores only)")
    mated = f"{words.count(counts.mated)} of one person" if counts.mated else "none of one person"
    told.append(f"comparisons: {words.count(counts.nonmated)} of two people, {mated}")
    if counts.photos_failed:
        told.append(f"{words.count(counts.photos_failed)} photos without a face")
    return "; ".join(told) + "."


def _tables(result: AuditResult) -> Iterator[RenderableType]:
    """Falsely matched per group at the thresholds told first; the 1:1 rates where there was no search."""
    points, lead = reading.lead_points(result), reading.lead_threshold(result)
    if points:
        table = _table("falsely matched")
        for point in points:
            _search_rows(table, result, point)
        clear = reading.first_clear(result)
        if clear is not None and clear not in points:
            table.add_row()
            table.add_row(_text(f"from {reading.scores_of(result)(clear.threshold)} on", "cyan"))
            _row(table, "everyone", clear.everyone.fpir, 0, clear.everyone.probes, "bold")
        yield table
    elif lead is not None and result.verification is not None:
        table = _table("pairs taken for one")
        _pair_rows(table, result, lead)
        yield table


def _table(head: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("", head, "share (95 % interval)"):
        table.add_column(name)
    return table


def _search_rows(table: Table, result: AuditResult, point: SearchPoint) -> None:
    """Everyone and the groups of each single column; crossed groups are left to the report."""
    if table.row_count:
        table.add_row()
    _threshold_row(table, result, point)
    _row(table, "everyone", point.everyone.fpir, point.everyone.falsely_matched, point.everyone.probes, "bold")
    for g in point.groups:
        if len(g.group) == 1:
            _row(table, words.group_name(g.group), g.fpir, g.falsely_matched, g.probes, few=g.too_small)


def _pair_rows(table: Table, result: AuditResult, threshold: float) -> None:
    points = result.verification.thresholds if result.verification else ()
    whole = next((p for p in points if p.threshold == threshold), None)
    if whole is None:
        table.add_row(_text(f"at {reading.scores_of(result)(threshold)}", "cyan"))
    else:
        _threshold_row(table, result, whole)
        _row(table, "everyone", whole.fmr, None, None, "bold")
    for g in reading.rates_at(result, threshold):
        if len(g.group) == 1 and g.nonmated:
            _row(table, words.group_name(g.group), g.fmr, None, g.nonmated, few=g.too_small)


def _threshold_row(table: Table, result: AuditResult, point: SearchPoint | Operating) -> None:
    why = {"documented": "documented", "asked": "asked for", "sweep": ""}.get(point.origin)
    if why is None:
        why = f"for FMR {words.one_in(point.target_fmr or 0)}"
    where = reading.scores_of(result)(point.threshold) if point.threshold is not None else "no threshold"
    table.add_row(_text(f"at {where}", "cyan"), _text(why, "cyan"))


def _row(
    table: Table,
    name: str,
    found: Estimate,
    errors: int | None,
    trials: int | None,
    style: str = "",
    few: str | None = None,
) -> None:
    """Counts and rate of one group; where no error was seen the whole phrase stands together."""
    if few:
        cells = (name, "too few to say", f"{words.count(trials)} tested" if trials is not None else "")
    elif found.value is None or found.value in (0, 1):
        cells = (name, "", words.share(found, trials))
    else:
        rare = words.one_in(found.value) if words.TINY <= found.value < RARE else None
        told = words.share(found)
        cells = (name, words.of(found, errors, trials), f"{told}, {rare}" if rare else told)
    table.add_row(*(_text(("  " if k == 0 else "") + c, style or ("dim" if few else "")) for k, c in enumerate(cells)))


def _not_tested(result: AuditResult) -> Iterator[str]:
    """Whom and what this audit says nothing about; groups too small to speak of in one line."""
    small = [u.what for u in result.not_tested if FEW in u.why]
    if small:
        more = f" and {len(small) - NOT_TESTED} more" if len(small) > NOT_TESTED else ""
        yield f"too few people to speak of: {'; '.join(small[:NOT_TESTED])}{more}"
    for found in result.not_tested:
        if FEW not in found.why:
            yield f"{found.what}: {found.why}"
    missing = [f"{words.count(n)} people have no {column}" for column, n in result.counts.unlabelled.items() if n]
    if missing:
        yield f"groups of the unlabelled ({', '.join(missing)})"


def _text(text: str, style: str = "") -> Text:
    """Text as it is, but with no control character that a terminal would obey: names and paths may hold any."""
    return Text(CONTROLS.sub("�", text), style=style)


def _assembled(*parts: tuple[str, str] | str) -> Text:
    return Text.assemble(*(_text(p) if isinstance(p, str) else _text(*p) for p in parts))

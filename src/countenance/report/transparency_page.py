"""The transparency report as a page that opens offline: drawn from the JSON alone, so it cannot tell more."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from countenance.report import words
from countenance.report.charts import nice
from countenance.report.counting import ERASED, REFUSED, REVIEWED, UNDECLARED
from countenance.report.drawing import Figure, both, kind, make_frame
from countenance.report.html import page_environment, page_style
from countenance.report.suppress import WITHHELD
from countenance.report.transparency import Report, csv_text, json_text
from countenance.report.write import write_texts

__all__ = ["render_transparency", "write_transparency"]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "Dec")
ACTORS = {
    "police": "the police",
    "government": "other public authorities",
    "school": "schools",
    "company": "companies",
    "private": "private persons and associations",
    UNDECLARED: "a key that does not say whose it is",
}
UNKNOWN = 26  # height of the box that stands for a count that is not shown
DRAWN = 120  # months; a longer period is told by its table alone


def write_transparency(report: Report, directory: Path) -> tuple[Path, ...]:
    """Write ``transparency.html``, ``.json`` and ``.csv`` into a folder, all or none. Raises InputError."""
    texts = {
        directory / "transparency.html": render_transparency(report),
        directory / "transparency.json": json_text(report),
        directory / "transparency.csv": csv_text(report),
    }
    write_texts(directory, texts)
    return tuple(texts)


def render_transparency(report: Report) -> str:
    """The page as text: the same for the same report."""
    page = page_environment().get_template("transparency.html.j2")
    return page.render(
        **page_style("report.css", "transparency.css"),
        r=report,
        told=_told,
        share=lambda value: "–" if value is None else words.percent(value),
        month=_month,
        headline=_headline(report),
        figure_of_months=_figure(report),
        actors=ACTORS,
        refused=REFUSED,
        erased=ERASED,
        reviewed=REVIEWED,
        hidden=any(one in str(report) for one in (f"'<{report['suppression']['smallest']}'", f"'{WITHHELD}'")),
    )


def _told(count: Any) -> Markup | str:
    """A count as the page writes it."""
    if count == WITHHELD:
        return Markup('<abbr title="withheld, so that a smaller count cannot be computed">withheld</abbr>')
    if isinstance(count, str):
        return f"fewer than {count.removeprefix('<')}"
    return words.count(count) if count else "none"


def _month(name: str) -> str:
    year, number = name.split("-")
    return f"{MONTHS[int(number) - 1]} {year}"


def _headline(report: Report) -> str:
    searches, period = report["searches"], report["period"]
    start, end = _month(period["from"]), _month(period["to"])
    when = f"in {start}" if start == end else f"from {start} to {end}"
    total, rate = searches["total"], searches["hit_rate"]
    if total == WITHHELD:
        return f"Searches for faces {when}: their number is withheld to protect a smaller one."
    if isinstance(total, str):
        return f"Fewer than {total[1:]} searches for faces {when}."
    if total == 0:
        return f"Nobody searched for a face {when}."
    found = "" if rate is None else f" {words.percent(rate)} of them returned a candidate."
    return f"{words.count(total)} searches for faces {when}.{found}"


def _figure(report: Report) -> Figure | None:
    rows = report["searches"]["by_month"]
    if len(rows) > DRAWN or not any(isinstance(row["searches"], int) and row["searches"] for row in rows):
        return None
    caption = "Each column is a month: all searches, and the darker part those that returned a candidate."
    if any(isinstance(row[name], str) for row in rows for name in ("searches", "with_candidates")):
        caption += " A dashed box stands for a count that is not shown; its height says nothing."
    return Figure("Searches, month by month", both(lambda narrow: _bars(rows, narrow)), caption)


def _bars(rows: Sequence[Mapping[str, Any]], narrow: bool) -> Markup:
    known = [row["searches"] for row in rows if isinstance(row["searches"], int)]
    top = max([*known, 1])
    ticks = [(value, words.count(value)) for value in nice(0, top, 4) if value == int(value)]
    step = max(1, -(-len(rows) // (4 if narrow else 12)))
    labels = [(n + 0.5, _month(row["name"])) for n, row in enumerate(rows) if n % step == 0]
    frame = make_frame(
        narrow, (0, len(rows), "linear", labels), (0, max(top, ticks[-1][0]), "linear", ticks), ("", "searches")
    )
    floor = frame.y.start
    for n, row in enumerate(rows):
        left, right, title = frame.x(n + 0.12), frame.x(n + 0.88), f"{_month(row['name'])}: {_said(row)}"
        total, found = row["searches"], row["with_candidates"]
        if isinstance(total, str):
            frame.parts.append(_bar(left, right, floor - UNKNOWN, floor, "hidden", title))
            continue
        if total:
            frame.parts.append(_bar(left, right, frame.y(total), floor, "all", title))
        if isinstance(found, str):
            top_of_box = max(floor - UNKNOWN, frame.y(total))
            frame.parts.append(_bar(left + 3, right - 3, top_of_box, floor, "hidden", title))
        elif found:
            frame.parts.append(_bar(left, right, frame.y(found), floor, "hit", title))
    return frame.svg("Searches in each month", kind(narrow))


def _said(row: Mapping[str, Any]) -> str:
    counts = [
        "a number withheld"
        if one == WITHHELD
        else f"fewer than {one[1:]}"
        if isinstance(one, str)
        else words.count(one)
        for one in (row["searches"], row["with_candidates"])
    ]
    return f"{counts[0]} searches, {counts[1]} with a candidate"


def _bar(left: float, right: float, top: float, floor: float, style: str, title: str) -> Markup:
    return Markup(
        '<rect class="month {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
    ).format(style, left, top, right - left, max(floor - top, 1), title)

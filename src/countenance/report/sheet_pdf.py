"""The candidate sheet as a PDF of A4 pages, in the fonts that every reader has."""

import io
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from countenance.errors import UnavailableError
from countenance.report.sheet import BANNER, CHECKS, NOBODY, ODDS, SIMILARITY, Sheet

__all__ = ["sheet_pdf"]

_INK, _SOFT, _RULE, _PANEL, _MARK = "#1d1c1a", "#5d5a54", "#d9d5cb", "#f4f1ea", "#a4152f"
_LEFT = 54.0  # points from the edge of an A4 page to the text
_WIDTH = 595.28 - 2 * _LEFT
_STYLES = {  # font, size, leading, colour, space after
    "title": ("Times-Roman", 21, 25, _INK, 5),
    "banner": ("Times-Roman", 11.5, 15, _MARK, 0),
    "heading": ("Times-Roman", 13, 16, _INK, 3),
    "text": ("Times-Roman", 10.2, 13.6, _INK, 3),
    "note": ("Helvetica", 7.7, 10.6, _SOFT, 3),
    "cell": ("Helvetica", 8.6, 11.4, _INK, 0),
    "small": ("Helvetica", 7.2, 9.6, _SOFT, 0),
    "fact": ("Helvetica", 10, 13, _INK, 0),
    "number": ("Times-Roman", 13, 14, _INK, 0),
    "mono": ("Courier", 6.6, 9, _INK, 0),
}


def sheet_pdf(sheet: Sheet) -> bytes:
    """The sheet as PDF. Raises UnavailableError where reportlab is not installed."""
    try:
        from reportlab.lib.pagesizes import A4
        from reportlab.platypus import SimpleDocTemplate
    except ImportError:
        raise UnavailableError("a PDF needs an extra: pip install 'countenance[serve]'") from None
    written = io.BytesIO()
    document = SimpleDocTemplate(
        written,
        pagesize=A4,
        leftMargin=_LEFT - 6,
        rightMargin=_LEFT - 6,
        topMargin=30,
        bottomMargin=38,
        title=_plain(f"Candidate sheet: {sheet.title}"),
        author="Countenance",
        subject=_plain(BANNER),
        invariant=True,
    )
    story = [*_head(sheet), *_candidates(sheet), *_probe(sheet), *_review(sheet), *_rest(sheet)]

    def foot(canvas: Any, page: Any) -> None:
        canvas.saveState()
        canvas.setFont("Helvetica", 7)
        canvas.setFillColor(_SOFT)
        canvas.drawString(_LEFT, 28, _plain(f"Ledger entry {sheet.basis.entry}. {BANNER}"))
        canvas.drawRightString(A4[0] - _LEFT, 28, f"{page.page}")
        canvas.restoreState()

    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return written.getvalue()


@cache
def _style(name: str) -> Any:
    from reportlab.lib.styles import ParagraphStyle

    font, size, leading, colour, after = _STYLES[name]
    return ParagraphStyle(
        name, fontName=font, fontSize=size, leading=leading, textColor=colour, spaceAfter=after, splitLongWords=True
    )


def _plain(text: str) -> str:
    """What the built-in fonts can write: their code page; a true minus becomes a dash, the rest a question mark."""
    return text.replace("−", "–").encode("cp1252", "replace").decode("cp1252")


def _p(text: str, style: str) -> Any:
    from reportlab.platypus import Paragraph

    return Paragraph(escape(_plain(text)).replace(" %", "\u00a0%"), _style(style))


def _table(rows: list[list[Any]], widths: list[float], *commands: tuple[Any, ...]) -> Any:
    from reportlab.platypus import Table

    sides = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 8)]
    return Table(rows, widths, style=[("VALIGN", (0, 0), (-1, -1), "TOP"), *sides, *commands], hAlign="LEFT")


def _space(points: float) -> Any:
    from reportlab.platypus import Spacer

    return Spacer(1, points)


def _line(thickness: float, colour: str, before: float, after: float) -> Any:
    from reportlab.platypus import HRFlowable

    return HRFlowable("100%", thickness, color=colour, spaceBefore=before, spaceAfter=after)


def _section(title: str, *parts: Any) -> list[Any]:
    """A rule, a heading and what it holds; the heading is not left alone at the foot of a page."""
    from reportlab.platypus import KeepTogether

    return [KeepTogether([_line(1.2, _INK, 8, 2), _p(title, "heading"), *parts[:2]]), *parts[2:]]


def _head(sheet: Sheet) -> list[Any]:
    kicker = [
        [_p("Countenance \u00b7 Candidate sheet", "note"), _p(f"{sheet.made[:16].replace('T', ' ')} UTC", "note")]
    ]
    facts = [[_p(head, "small"), _p(value, "fact"), _p(remark, "small")] for head, value, remark in sheet.facts]
    return [
        _table(kicker, [_WIDTH - 92, 92], ("LINEBELOW", (0, 0), (-1, 0), 0.6, _RULE)),
        _space(10),
        _p(sheet.title, "title"),
        _table([[_p(BANNER, "banner")]], [_WIDTH], ("LINEBEFORE", (0, 0), (0, 0), 2.5, _MARK), _PAD),
        _space(8),
        _table(
            [facts[:3], facts[3:]],
            [_WIDTH / 3] * 3,
            ("LINEABOVE", (0, 0), (-1, 0), 0.6, _RULE),
            ("LINEBELOW", (0, 1), (-1, 1), 0.6, _RULE),
        ),
    ]


_PAD = ("LEFTPADDING", (0, 0), (0, 0), 9)


def _candidates(sheet: Sheet) -> list[Any]:
    if not sheet.candidates:
        return _section("Candidates", _p(NOBODY, "text"))
    heads = ("No.", "Known to the collection as", "Similarity", "A stranger as similar, in this many searches")
    rows: list[list[Any]] = [[_p(head, "small") for head in heads]]
    commands: list[tuple[Any, ...]] = [("LINEBELOW", (0, 0), (-1, -1), 0.5, _RULE)]
    for row, one in enumerate(sheet.candidates, 1):
        first, *others = one.lines
        odds = [_p(one.odds.said, "cell"), _p(f"{one.odds.group}, the worst certified group", "small")]
        if one.odds.group != "everyone":
            odds += [_p(one.odds.said_of_everyone, "cell"), _p("everyone measured", "small")]
        who = [_p(first, "cell"), *(_p(line, "small") for line in others)]
        rows.append([_p(str(one.number), "number"), who, [_p(one.similarity, "cell"), _p(one.scored, "small")], odds])
        if sheet.reviewed and sheet.reviewed.match == one.number:
            commands.append(("BACKGROUND", (0, row), (-1, row), _PANEL))
    table = _table(rows, [26, _WIDTH - 26 - 82 - 168, 82, 168], *commands)
    return _section("Candidates", table, _space(4), _p(SIMILARITY, "note"), _p(ODDS, "note"))


def _probe(sheet: Sheet) -> list[Any]:
    from reportlab.lib.utils import ImageReader
    from reportlab.platypus import Image

    said = [_p(line, "note" if k else "text") for k, line in enumerate(sheet.quality)]
    if sheet.photo is None:
        return _section("The probe", *said)
    width, height = ImageReader(io.BytesIO(sheet.photo)).getSize()
    scale = min(72 / width, 100 / height)
    picture = Image(io.BytesIO(sheet.photo), width * scale, height * scale)
    return _section("The probe", _table([[picture, said]], [88, _WIDTH - 88]))


def _review(sheet: Sheet) -> list[Any]:
    if sheet.reviewed is None:
        return []
    said = [_p(line, "text" if k else "note") for k, line in enumerate(sheet.reviewed.said)]
    return _section("Review by two people", *said)


def _rest(sheet: Sheet) -> list[Any]:
    checks = _table(
        [[_box(), _p(line, "text")] for line in CHECKS], [16, _WIDTH - 16], ("BOTTOMPADDING", (0, 0), (-1, -1), 1)
    )
    rows = [[_p(head, "small"), _p(said, "cell")] for head, said in sheet.system]
    system = _table(rows, [82, _WIDTH - 82], ("LINEBELOW", (0, 0), (-1, -1), 0.5, _RULE))
    head = [_p(line or " ", "mono") for line in (*sheet.head.rstrip("\n").split("\n"), f"key {sheet.key}")]
    note = _table([[head]], [_WIDTH], ("BACKGROUND", (0, 0), (-1, -1), _PANEL), _PAD)
    return [
        *_section("What must be checked, independently of this search", checks),
        *_section("System and certificate", system),
        *_section("Proof", _p(sheet.proof, "note"), note),
    ]


def _box() -> Any:
    from reportlab.graphics.shapes import Drawing, Rect

    drawing = Drawing(9, 11)
    drawing.add(Rect(0.5, 1, 7.5, 7.5, fillColor=None, strokeColor=_colour(_INK), strokeWidth=0.8))
    return drawing


def _colour(value: str) -> Any:
    from reportlab.lib.colors import HexColor

    return HexColor(value)

"""The candidate sheet as one self-contained page: it asks the network for nothing and needs no script."""

import base64

from countenance.report.html import page_environment, page_style
from countenance.report.sheet import BANNER, CHECKS, NOBODY, ODDS, SIMILARITY, Sheet

__all__ = ["sheet_html"]


def sheet_html(sheet: Sheet) -> str:
    """The page as text. Everything is escaped; the content security policy allows its own style and pictures alone."""
    photo = None if sheet.photo is None else f"data:image/jpeg;base64,{base64.b64encode(sheet.photo).decode()}"
    return (
        page_environment()
        .get_template("sheet.html.j2")
        .render(
            sheet=sheet,
            **page_style("sheet.css"),
            photo=photo,
            banner=BANNER,
            checks=CHECKS,
            nobody=NOBODY,
            odds=ODDS,
            similarity=SIMILARITY,
        )
    )

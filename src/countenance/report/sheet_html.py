"""The candidate sheet as one self-contained page: it asks the network for nothing and needs no script."""

import base64
import hashlib
from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from countenance.report.html import TEMPLATES
from countenance.report.sheet import BANNER, CHECKS, NOBODY, ODDS, SIMILARITY, Sheet

__all__ = ["sheet_html"]


def sheet_html(sheet: Sheet) -> str:
    """The page as text. Everything is escaped; the content security policy allows its own style and pictures alone."""
    # The hash must be of exactly what stands between the style tags.
    style = (TEMPLATES / "sheet.css").read_text(encoding="utf-8")
    photo = None if sheet.photo is None else f"data:image/jpeg;base64,{base64.b64encode(sheet.photo).decode()}"
    return (
        _environment()
        .get_template("sheet.html.j2")
        .render(
            sheet=sheet,
            style=Markup(style),  # noqa: S704
            style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            photo=photo,
            banner=BANNER,
            checks=CHECKS,
            nobody=NOBODY,
            odds=ODDS,
            similarity=SIMILARITY,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tight"] = lambda text: text.replace(" %", "\u00a0%")
    return environment

"""What the drawings of a report share: their two widths, their frames and the labels of their axes."""

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from countenance.report.charts import Axis, Frame

__all__ = ["EVERYONE", "Figure", "both", "kind", "make_frame", "percent_label", "share_label", "short"]

EVERYONE = "s-all"  # the class of the line that is of no group


@dataclass(frozen=True)
class Figure:
    """A drawing in two widths, its legend as (key, label), and what is to be read beside it."""

    title: str
    drawing: Markup
    caption: str
    legend: tuple[tuple[Markup, str], ...] = ()


def make_frame(
    narrow: bool | None,
    x: tuple[float, float, str, list[tuple[float, str]]],
    y: tuple[float, float, str, list[tuple[float, str]]],
    titles: tuple[str, str],
    flat: bool = False,
    marks: int = 0,
) -> Frame:
    """Room for both axes, and above the drawing for the names of `marks` thresholds; `flat` has no vertical scale."""
    width, height = {False: (860, 430), True: (360, 340), None: (240, 130)}[narrow]
    if flat and narrow is not None:
        height = int(height * 0.72)
    left, right = (8 if flat else 96 if narrow else 104), 12
    top = (28 if titles[1] else 8) + 17 * marks
    bottom = 50 if titles[0] else 26
    return Frame(
        width,
        height + 17 * marks,
        Axis(x[0], x[1], left, width - right, x[2], tuple(x[3]), titles[0]),
        Axis(y[0], y[1], height + 17 * marks - bottom, top, y[2], tuple(y[3]), titles[1]),
    )


def both(draw: Callable[[bool], Markup]) -> Markup:
    """The drawing for wide and for narrow pages; the style sheet shows one of them."""
    return draw(False) + draw(True)


def kind(narrow: bool) -> str:
    """The class that the style sheet shows or hides by the width of the page."""
    return "narrow" if narrow else "wide"


def share_label(value: float) -> str:
    """``1 in 10,000`` for the ticks of a logarithmic axis."""
    return "all" if value >= 1 else f"1 in {short(1 / value)}"


def short(number: float) -> str:
    """``25,000``; ``1 million``."""
    for size, word in ((1e9, " billion"), (1e6, " million")):
        if number >= size * 0.999:
            return f"{number / size:,.0f}{word}"
    return f"{number:,.0f}"


def percent_label(value: float) -> str:
    """``0.01 %`` for the ticks of a normal-deviate axis."""
    return f"{value * 100:.7f}".rstrip("0").rstrip(".") + " %"

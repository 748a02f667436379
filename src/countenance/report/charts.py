"""Static SVG, drawn by hand: axes, lines, bands, bars and markers that follow the page's fonts and its light or dark.

Why not a charting library: those at hand either bring a JavaScript engine of 85 MB or an image stack, draw text and
colours that cannot follow the page, and share element ids between drawings. A report needs six static drawings.

Every colour is a class that the page's style sheet resolves. Series differ by colour, by dash and by the shape of
their markers, so that none of the three is needed alone. Text goes through `markupsafe` and is escaped.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from markupsafe import Markup, escape

__all__ = ["STYLES", "Axis", "Frame", "Point", "decades", "nice", "probit_ticks", "swatch"]

Point = tuple[float, float]
STYLES = 8  # distinct series; the style sheet has as many colours and dashes
SHAPES = ("circle", "square", "triangle", "diamond", "down", "cross", "ring", "box")
EMPTY = Markup("")


@dataclass(frozen=True)
class Axis:
    """A scale from values to pixels: ``low`` at pixel ``start``, ``high`` at ``end``; linear, log or probit."""

    low: float
    high: float
    start: float
    end: float
    kind: str = "linear"
    ticks: tuple[tuple[float, str], ...] = ()
    title: str = ""

    def __call__(self, value: float) -> float:
        """The pixel of a value; what lies outside is drawn at the edge."""
        low, high, at = (self._stretch(v) for v in (self.low, self.high, min(max(value, self.low), self.high)))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value lies within the axis."""
        return self.low <= value <= self.high

    def _stretch(self, value: float) -> float:
        if self.kind == "log":
            return math.log10(value)
        return NormalDist().inv_cdf(value) if self.kind == "probit" else value


def nice(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round values that cover `low` to `high` in steps of 1, 2 or 5."""
    raw = max(high - low, 1e-12) / wanted
    unit = 10.0 ** math.floor(math.log10(raw))
    step = unit * next(m for m in (1, 2, 5, 10) if m * unit >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def decades(low: float, high: float, wanted: int = 9) -> list[float]:
    """Powers of ten from `low` to `high`, thinned to about `wanted`."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / wanted))
    return [10.0**k for k in range(last, first - 1, -step)][::-1]


def probit_ticks(low: float, high: float, wanted: int = 8) -> list[float]:
    """Round shares between `low` and `high` for a probit axis."""
    tens = [10.0**k for k in range(-9, -2)]
    known = [v for v in [*tens, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99] if low <= v <= high]
    step = max(1, math.ceil(len(known) / wanted))
    return known[::-1][::step][::-1]


class Frame:
    """One drawing: two axes and what lies between them."""

    def __init__(self, width: int, height: int, x: Axis, y: Axis) -> None:
        self.width, self.height, self.x, self.y = width, height, x, y
        self.parts: list[Markup] = [self._grid()]

    def _grid(self) -> Markup:
        """Grid lines, tick labels and titles; the vertical title lies flat above its axis, where it can be read."""
        x, y = self.x, self.y
        left, right, bottom = x.start, x.end, y.start
        parts = []
        for value, label in y.ticks:
            at = y(value)
            parts.append(
                Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(left, right, _n(at), _n(at))
            )
            parts.append(Markup('<text class="tick end" x="{}" y="{}">{}</text>').format(left - 8, _n(at + 4), label))
        for value, label in x.ticks:
            at = x(value)
            parts.append(
                Markup('<line class="stub" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(_n(at), bottom, bottom + 5)
            )
            # A label at the very edge ends there, so that it stays on a narrow page.
            side, shift = ("end", 10) if at > right - 12 and len(label) > 6 else ("mid", 0)
            parts.append(
                Markup('<text class="tick {}" x="{}" y="{}">{}</text>').format(side, _n(at + shift), bottom + 19, label)
            )
        parts.append(Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(left, right, bottom, bottom))
        if y.title:
            parts.append(Markup('<text class="title" x="{}" y="{}">{}</text>').format(2, 14, y.title))
        if x.title:
            parts.append(Markup('<text class="title end" x="{}" y="{}">{}</text>').format(right, bottom + 38, x.title))
        return EMPTY.join(parts)

    def line(self, points: Iterable[Point], style: str) -> None:
        """A line through values; it breaks where a value cannot be drawn (zero on a log axis)."""
        for run in self._runs(points):
            self.parts.append(Markup('<path class="line {}" d="{}"/>').format(style, _path(run)))

    def band(self, rows: Iterable[tuple[float, float, float]], style: str) -> None:
        """The area between a low and a high value along x."""
        inside = [(self.x(x), self.y(low), self.y(high)) for x, low, high in rows if self.x.holds(x)]
        if len(inside) > 1:
            edge = [(x, high) for x, _, high in inside] + [(x, low) for x, low, _ in reversed(inside)]
            self.parts.append(Markup('<path class="band {}" d="{}Z"/>').format(style, _path(edge)))

    def across(self, rows: Iterable[tuple[float, float, float]], style: str) -> None:
        """The area between a low and a high value of x, along y."""
        inside = [(self.x(low), self.x(high), self.y(y)) for low, high, y in rows if self.y.holds(y)]
        if len(inside) > 1:
            edge = [(high, y) for _, high, y in inside] + [(low, y) for low, _, y in reversed(inside)]
            self.parts.append(Markup('<path class="band {}" d="{}Z"/>').format(style, _path(edge)))

    def steps(self, edges: Sequence[float], heights: Sequence[float], style: str) -> None:
        """A histogram's outline, filled down to the axis."""
        floor = self.y.start
        points: list[Point] = []
        for left, right, height in zip(edges, edges[1:], heights, strict=False):
            if self.x.holds(left) or self.x.holds(right):
                points += [(self.x(left), self.y(height)), (self.x(right), self.y(height))]
        if points:
            closed = [(points[0][0], floor), *points, (points[-1][0], floor)]
            self.parts.append(Markup('<path class="area {}" d="{}Z"/>').format(style, _path(closed)))
            self.parts.append(Markup('<path class="line {}" d="{}"/>').format(style, _path(closed)))

    def marker(self, at: Point, index: int, style: str, title: str = "") -> None:
        """A marker in the shape of series `index`."""
        self.parts.append(shape(self.x(at[0]), self.y(at[1]), index, style, title))

    def whisker(self, x: float, low: float, high: float, style: str) -> None:
        """A vertical interval."""
        at = _n(self.x(x))
        self.parts.append(
            Markup('<path class="whisker {0}" d="M{1} {2}V{3}M{4} {2}h6M{4} {3}h6"/>').format(
                style, at, _n(self.y(low)), _n(self.y(high)), _n(self.x(x) - 3)
            )
        )

    def mark(self, x: float, label: str, level: int = 0) -> None:
        """A threshold: a vertical line with its name above the drawing, on the side that has room."""
        if not self.x.holds(x):
            return
        at, top = self.x(x), self.y.end - 6 - 16 * level
        left = at > (self.x.start + self.x.end) / 2
        self.parts.append(
            Markup('<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
                _n(at), _n(top - 9 if label else self.y.end), self.y.start
            )
        )
        if label:
            self.parts.append(
                Markup('<text class="marked {}" x="{}" y="{}">{}</text>').format(
                    "end" if left else "", _n(at - 6 if left else at + 6), _n(top), label
                )
            )

    def shade(self, low: float, high: float, label: str = "") -> None:
        """A stretch of the x axis set apart, such as extrapolation."""
        left, right = self.x(low), self.x(high)
        self.parts.append(
            Markup('<rect class="shade" x="{}" y="{}" width="{}" height="{}"/>').format(
                _n(left), _n(self.y.end), _n(right - left), _n(self.y.start - self.y.end)
            )
        )
        if label:
            self.parts.append(
                Markup('<text class="marked end" x="{}" y="{}">{}</text>').format(
                    _n(right - 6), self.y.start - 8, label
                )
            )

    def note(self, x: float, y: float, label: str, style: str = "") -> None:
        """Text at a value."""
        self.parts.append(
            Markup('<text class="note {}" x="{}" y="{}">{}</text>').format(style, _n(self.x(x)), _n(self.y(y)), label)
        )

    def svg(self, label: str, kind: str) -> Markup:
        """The drawing as an image with a text alternative; `kind` is its class, such as ``wide`` or ``narrow``."""
        return Markup('<svg class="chart {}" role="img" aria-label="{}" viewBox="0 0 {} {}">{}</svg>').format(
            kind, label, self.width, self.height, EMPTY.join(self.parts)
        )

    def _runs(self, points: Iterable[Point]) -> list[list[Point]]:
        runs: list[list[Point]] = [[]]
        for x, y in points:
            drawable = (y > 0 or self.y.kind == "linear") and (x > 0 or self.x.kind == "linear")
            if drawable and self.x.holds(x) and (self.y.kind == "linear" or self.y.holds(y)):
                runs[-1].append((self.x(x), self.y(y)))
            elif runs[-1]:
                runs.append([])
        return [run for run in runs if len(run) > 1]


def shape(x: float, y: float, index: int, style: str, title: str = "") -> Markup:
    """A marker at a pixel."""
    r = 4.5
    kind = SHAPES[index % len(SHAPES)]
    drawn = {
        "circle": f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{r}"/>',
        "square": f'<rect x="{_n(x - 4)}" y="{_n(y - 4)}" width="8" height="8"/>',
        "triangle": f'<path d="M{_n(x)} {_n(y - 5)}l5 9h-10Z"/>',
        "diamond": f'<path d="M{_n(x)} {_n(y - 6)}l5 6l-5 6l-5 -6Z"/>',
        "down": f'<path d="M{_n(x)} {_n(y + 5)}l5 -9h-10Z"/>',
        "cross": f'<path class="open" d="M{_n(x - 4)} {_n(y - 4)}l8 8M{_n(x - 4)} {_n(y + 4)}l8 -8"/>',
        "ring": f'<circle class="open" cx="{_n(x)}" cy="{_n(y)}" r="{r}"/>',
        "box": f'<rect class="open" x="{_n(x - 4)}" y="{_n(y - 4)}" width="8" height="8"/>',
    }[kind]
    hint = Markup("<title>{}</title>").format(title) if title else EMPTY
    return Markup('<g class="marker {}">{}{}</g>').format(style, hint, Markup(drawn))  # noqa: S704 (numbers only)


def swatch(index: int, style: str, area: bool = False) -> Markup:
    """The key of a series for a legend: its line, dash and marker, or its filled area."""
    if area:
        inner = Markup('<path class="area {0}" d="M2 14V5H32V14Z"/><path class="line {0}" d="M2 5H32"/>').format(style)
    else:
        inner = Markup('<path class="line {}" d="M1 9H33"/>').format(style) + shape(17, 9, index, style)
    return Markup('<svg class="swatch" aria-hidden="true" viewBox="0 0 34 18" width="34" height="18">{}</svg>').format(
        inner
    )


def _path(points: Sequence[Point]) -> Markup:
    """Path data, without points that would fall on the one before."""
    kept: list[tuple[str, str]] = []
    for x, y in points:
        at = (_n(x), _n(y))
        if not kept or kept[-1] != at:
            kept.append(at)
    return escape("M" + "L".join(f"{x} {y}" for x, y in kept))


def _n(value: float) -> str:
    """A pixel to a tenth, without a trailing zero."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")

"""The drawings of a report, each from an `AuditResult`; None where the result has nothing to draw."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from countenance.audit.result import AuditResult, Curve, Operating, SearchPoint
from countenance.report import reading, words
from countenance.report.beyond import gallery_figure, tail_figure
from countenance.report.charts import STYLES, Frame, decades, nice, probit_ticks, swatch
from countenance.report.drawing import EVERYONE, Figure, both, kind, make_frame, percent_label, share_label

__all__ = [
    "Figure",
    "density_figure",
    "det_figures",
    "false_match_figures",
    "gallery_figure",
    "group_densities",
    "search_figures",
    "tail_figure",
]

HALF = 0.5  # a DET curve ends where every second stranger matches
SMALLEST = 1e-9  # no axis goes below; what is smaller is the rounding of a sum


@dataclass(frozen=True)
class Series:
    """One group's rates along thresholds; ``index`` is its place among the groups, None for everyone.

    ``whole``: ``low`` and ``high`` hold the whole curve at once, not each of its points.
    """

    label: str
    index: int | None
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    whole: bool = False

    @property
    def style(self) -> str:
        """The class that colours and dashes it."""
        return EVERYONE if self.index is None else f"s{self.index % STYLES}"


def false_match_figures(result: AuditResult) -> list[Figure]:
    """FMR against threshold, per group with bands: one figure for each grouping, or one for everyone."""
    found = []
    for columns, series in _curve_series(result).items():
        title = f"False matches against threshold, by {reading.grouping_name(columns)}"
        drawn = _rates_figure(
            result,
            series,
            title=title if columns else "False matches against threshold",
            axis="pairs of strangers taken for one person",
            caption="The share of pairs of different people, both of the same group, that count as a match. "
            "A line ends where no false match was seen.",
        )
        found += [drawn] if drawn else []
    return found


def search_figures(result: AuditResult) -> list[Figure]:
    """Share of probes falsely matched against threshold, per group with bands."""
    search, found = result.search, []
    if search is None or len(search.points) < 2:
        return []
    for columns, series in _search_series(search.points).items():
        by = f", by {reading.grouping_name(columns)}" if columns else ""
        drawn = _rates_figure(
            result,
            series,
            title=f"Matched to somebody else, against threshold{by}",
            axis="people matched to somebody else",
            caption=f"The share of people searched for who were matched to somebody else in a gallery of "
            f"{words.count(search.references)} references. "
            "A line ends where nobody was falsely matched.",
        )
        found += [drawn] if drawn else []
    return found


def det_figures(result: AuditResult) -> list[Figure]:
    """FNMR against FMR on normal-deviate axes, per group, with the set threshold marked on each curve."""
    found = []
    grouped = _curves(result)
    for columns, curves in grouped.items():
        if not columns and len(grouped) > 1:
            continue
        lines = [(_series(c, c.fmr, n), c) for n, c in curves if c.fmr is not None and c.fnmr is not None]
        points = [p for _, c in lines for p in _det_points(c)]
        if not any(sum(x < HALF for x, _ in _det_points(c)) >= 3 for _, c in lines):
            continue
        mark = _first_marked(result)
        draw = _det_drawing(lines, points, mark)
        at = f" Markers stand at {reading.scores_of(result)(mark)}." if mark is not None else ""
        by = f", by {reading.grouping_name(columns)}" if columns else ""
        of = " They are about FMR only." if _band_words([s for s, _ in lines]) else ""
        found.append(
            Figure(
                title=f"What each threshold trades: people missed against people confused{by}",
                drawing=both(draw),
                caption="Each point of a curve is one threshold (DET curve, normal-deviate axes); lower and further "
                "left means fewer errors. Curves end where no error was seen."
                f"{_band_words([s for s, _ in lines])}{of}{at}",
                legend=_legend([s for s, _ in lines]),
            )
        )
    return found


def density_figure(result: AuditResult) -> Figure | None:
    """How alike pairs of one person and pairs of two people score, over everyone."""
    curve = next((c for n, c in _curves(result).get((), []) if n is None), None)
    if curve is None or not (curve.mated_density or curve.nonmated_density):
        return None
    return Figure(
        title="Scores of pairs of one person, and of two different people",
        drawing=both(lambda narrow: _density_drawing(result, curve, narrow)),
        caption="The share of comparisons in each score range; the two areas are scaled alike. Where they overlap, "
        "no threshold separates them.",
        legend=_density_legend(curve),
    )


def group_densities(result: AuditResult) -> list[tuple[str, Markup]]:
    """The same for each group, as small drawings side by side."""
    shown = []
    for columns, curves in _curves(result).items():
        for _, curve in curves if columns else []:
            if curve.group and (curve.mated_density or curve.nonmated_density):
                shown.append((words.group_name(curve.group), _density_drawing(result, curve, None)))
    return shown


def _curves(result: AuditResult) -> dict[tuple[str, ...], list[tuple[int | None, Curve]]]:
    """Curves per grouping, everyone's first in each and numbered None; everyone alone where there are no groups."""
    curves = result.verification.curves if result.verification else ()
    grouped = reading.by_columns(curves, lambda c: c.group)
    whole: list[tuple[int | None, Curve]] = [(None, c) for c in grouped.get((), [])]
    named = {k: [*whole, *enumerate(v)] for k, v in grouped.items() if k and len(v) <= STYLES}
    return {(): whole, **named} if named else {(): whole}


def _curve_series(result: AuditResult) -> dict[tuple[str, ...], list[Series]]:
    found = {k: [_series(c, c.fmr, n) for n, c in v if c.fmr is not None] for k, v in _curves(result).items()}
    return {k: v for k, v in found.items() if v and (k or len(found) == 1)}


def _series(curve: Curve, y: Sequence[float] | None, index: int | None) -> Series:
    whole = curve.fmr_band_high is not None
    low, high = (curve.fmr_band_low, curve.fmr_band_high) if whole else (curve.fmr_low, curve.fmr_high)
    return Series(words.group_name(curve.group), index, curve.thresholds, y or (), low or (), high or (), whole)


def _search_series(points: Sequence[SearchPoint]) -> dict[tuple[str, ...], list[Series]]:
    points = sorted(points, key=lambda p: p.threshold)
    xs = [p.threshold for p in points]
    whole = [_estimates("everyone", None, xs, [p.everyone.fpir for p in points])]
    names: dict[tuple[str, ...], dict[str, Mapping[str, str]]] = {}
    for group in (g for p in points for g in p.groups if not g.too_small):
        names.setdefault(tuple(group.group), {})[words.group_name(group.group)] = group.group
    found: dict[tuple[str, ...], list[Series]] = {}
    for columns, groups in names.items():
        if len(groups) <= STYLES and len(columns) == 1:
            rows = [
                [next((g.fpir for g in p.groups if g.group == label), None) for p in points]
                for label in groups.values()
            ]
            found[columns] = whole + [
                _estimates(n, k, xs, r) for k, (n, r) in enumerate(zip(groups, rows, strict=True))
            ]
    return found or {(): whole}


def _estimates(label: str, index: int | None, xs: Sequence[float], found: Sequence[object]) -> Series:
    intervals = [getattr(e, "interval", None) for e in found]
    return Series(
        label,
        index,
        xs,
        [getattr(e, "value", None) for e in found],
        [i.low if i else None for i in intervals],
        [i.high if i else None for i in intervals],
    )


def _rates_figure(result: AuditResult, series: list[Series], title: str, axis: str, caption: str) -> Figure | None:
    seen = [y for s in series for y in s.y if y and y >= SMALLEST]
    if not seen:
        return None
    scores = reading.scores_of(result)
    marks = _marks(result)
    low_x, high_x = _reach(series, [m.threshold for m in marks if m.threshold is not None])
    bottom = max(SMALLEST, 10.0 ** math.floor(math.log10(min(seen))))
    top = 10.0 ** math.ceil(math.log10(max(seen)))

    def draw(narrow: bool) -> Markup:
        frame = make_frame(
            narrow,
            (low_x, high_x, "linear", [(v, scores.bare(v)) for v in nice(low_x, high_x, 4 if narrow else 8)]),
            (bottom, top, "log", [(v, share_label(v)) for v in decades(bottom, top)]),
            (f"threshold ({scores.noun}) — stricter →", axis),
            marks=len(marks),
        )
        for s in series:
            if s.index is not None or len(series) == 1:
                rows = zip(s.x, s.low, s.high, strict=False)
                frame.band([(x, low, high) for x, low, high in rows if low is not None and high is not None], s.style)
        _draw_marks(frame, marks, scores, narrow)
        for s in series:
            points = [(x, y or 0.0) for x, y in zip(s.x, s.y, strict=True)]
            frame.line(points, s.style)
            drawn = [p for p in points if p[1] > 0 and low_x <= p[0] <= high_x]
            every = max(1, len(drawn) // 7)
            for point in drawn[(s.index or 0) % every :: every] if s.index is not None else []:
                frame.marker(point, s.index or 0, s.style)
        return frame.svg(title, kind(narrow))

    if any(v is not None for s in series for v in s.high):
        caption += _band_words(series) + " Beyond the end of its line, a band is an upper bound."
    return Figure(title, both(draw), caption, _legend(series))


def _band_words(series: Sequence[Series]) -> str:
    """What the bands of a drawing hold; empty without one."""
    if not any(v is not None for s in series for v in s.high):
        return ""
    if all(s.whole for s in series):
        return " Each band holds its whole curve at once with 95 % confidence."
    return " Bands are 95 % intervals at each point, not of the whole curve at once."


def _reach(series: Sequence[Series], marks: Sequence[float]) -> tuple[float, float]:
    """The stretch of thresholds where something happens: from nearly all matched to just past the last false match."""
    xs = sorted({x for s in series for x in s.x})
    busy = [x for s in series for x, y in zip(s.x, s.y, strict=True) if y and y < 0.995]
    low, high = (min(busy), max(busy)) if busy else (xs[0], xs[-1])
    low, high = min([low, *marks]), max([high, *(m for m in marks if m <= xs[-1])])
    room = 0.06 * (high - low) or 1.0
    return low - room / 2, high + room


def _marks(result: AuditResult) -> list[Operating | SearchPoint]:
    """The thresholds to mark: the vendor's and those asked for."""
    points: Sequence[Operating | SearchPoint] = ()
    if result.verification and result.verification.thresholds:
        points = result.verification.thresholds
    elif result.search:
        points = result.search.points
    return [p for p in points if p.origin in ("documented", "asked") and p.threshold is not None][:4]


def _first_marked(result: AuditResult) -> float | None:
    marks = _marks(result)
    return marks[0].threshold if marks else None


def _draw_marks(frame: Frame, marks: Sequence[Operating | SearchPoint], scores: words.Scores, narrow: bool) -> None:
    for level, point in enumerate(marks):
        what = "vendor’s threshold" if point.origin == "documented" else "asked for"
        if point.threshold is not None:
            frame.mark(
                point.threshold, f"{scores.bare(point.threshold)}{'' if narrow and level else f', {what}'}", level
            )


def _det_points(curve: Curve) -> list[tuple[float, float]]:
    return [
        (x, y)
        for x, y in zip(curve.fmr or (), curve.fnmr or (), strict=False)
        if SMALLEST <= x < 1 and SMALLEST <= y < 1
    ]


def _det_drawing(
    lines: list[tuple[Series, Curve]], points: list[tuple[float, float]], mark: float | None
) -> Callable[[bool], Markup]:
    def reach(values: list[float]) -> tuple[float, float]:
        low = max(SMALLEST, 10.0 ** math.floor(math.log10(min(values))))
        return low, max(0.5, min(0.99, max(v for v in values if v < 0.99)) if any(v < 0.99 for v in values) else 0.5)

    (x_low, x_high), (y_low, y_high) = reach([p[0] for p in points]), reach([p[1] for p in points])
    x_high = min(x_high, HALF)

    def draw(narrow: bool) -> Markup:
        frame = make_frame(
            narrow,
            (
                x_low,
                x_high,
                "probit",
                [(v, percent_label(v)) for v in probit_ticks(x_low, x_high, 3 if narrow else 8)],
            ),
            (y_low, y_high, "probit", [(v, percent_label(v)) for v in probit_ticks(y_low, y_high)]),
            ("strangers taken for one person (FMR)", "one person taken for two (FNMR)"),
        )
        for s, curve in lines:
            if s.index is not None or len(lines) == 1:
                rows = zip(s.low, s.high, curve.fnmr or (), strict=False)
                frame.across([(a, b, y) for a, b, y in rows if a is not None and b is not None], s.style)
        for s, curve in lines:
            frame.line(_det_points(curve), s.style)
        for s, curve in lines:
            if mark is None:
                continue
            nearest = min(range(len(curve.thresholds)), key=lambda k: abs(curve.thresholds[k] - mark))
            at = ((curve.fmr or ())[nearest], (curve.fnmr or ())[nearest])
            if s.index is not None and frame.x.holds(at[0]) and frame.y.holds(at[1]):
                frame.marker(at, s.index, s.style, s.label)
        return frame.svg("DET curves: false non-match rate against false match rate per group", kind(narrow))

    return draw


def _density_drawing(result: AuditResult, curve: Curve, narrow: bool | None) -> Markup:
    """``narrow`` None is the small drawing for one of many groups."""
    scores, edges = reading.scores_of(result), curve.bin_edges
    both = [curve.nonmated_density or (), curve.mated_density or ()]
    top = max((max(d) for d in both if d), default=1.0) * 1.12
    small = narrow is None
    ticks = [(v, scores.bare(v)) for v in nice(edges[0], edges[-1], 4 if small or narrow else 8)]
    frame = make_frame(
        narrow,
        (edges[0], edges[-1], "linear", ticks),
        (0.0, top, "linear", []),
        ("" if small else scores.noun, ""),
        flat=True,
        marks=0 if small else len(_marks(result)),
    )
    for heights, style in zip(both, ("nonmated", "mated"), strict=True):
        frame.steps(edges, heights, style)
    if small:
        mark = _first_marked(result)
        if mark is not None:
            frame.mark(mark, "")
    else:
        _draw_marks(frame, _marks(result), scores, bool(narrow))
    title = f"Score distributions, {words.group_name(curve.group)}"
    return frame.svg(title, "small" if narrow is None else kind(narrow))


def _density_legend(curve: Curve) -> tuple[tuple[Markup, str], ...]:
    found = []
    if curve.nonmated_density:
        found.append((swatch(0, "nonmated", area=True), "two different people (non-mated)"))
    if curve.mated_density:
        found.append((swatch(0, "mated", area=True), "one person (mated)"))
    return tuple(found)


def _legend(series: Sequence[Series]) -> tuple[tuple[Markup, str], ...]:
    if len(series) < 2:
        return ()
    return tuple((swatch(s.index, s.style) if s.index is not None else swatch(-1, s.style), s.label) for s in series)

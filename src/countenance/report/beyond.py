"""The drawings of what lies beyond the data: larger galleries, and the fitted tail."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from countenance.audit.result import AuditResult, GallerySize, TailFit
from countenance.report import reading, words
from countenance.report.charts import STYLES, decades, nice, swatch
from countenance.report.drawing import EVERYONE, Figure, both, kind, make_frame, share_label, short

__all__ = ["gallery_figure", "tail_figure"]


def gallery_figure(result: AuditResult) -> Figure | None:
    """FPIR against the size of the gallery, a line for each threshold: predicted, measured, and beyond the data."""
    scores = reading.scores_of(result)
    lines: dict[float, list[GallerySize]] = {}
    for size in sorted((g for g in result.gallery_sizes if not g.group), key=lambda g: g.references):
        lines.setdefault(size.threshold, []).append(size)
    lines = dict(sorted(item for item in lines.items() if any(g.predicted for g in item[1]))[:STYLES])
    sizes = [g.references for rows in lines.values() for g in rows]
    if len(set(sizes)) < 2:
        return None
    legend = [(swatch(k, f"s{k}"), f"at {scores(t)}") for k, t in enumerate(lines)]
    return Figure(
        title="The larger the gallery, the more searches return a stranger",
        drawing=both(lambda narrow: _gallery_drawing(list(lines.values()), narrow)),
        caption="Markers are measured, on galleries drawn from the references, with 95 % intervals; lines are what the "
        "1:1 rates predict. The shaded part lies beyond the galleries measured.",
        legend=tuple(legend),
    )


def _gallery_drawing(lines: Sequence[Sequence[GallerySize]], narrow: bool) -> Markup:
    rows = [g for line in lines for g in line]
    low, high = min(g.references for g in rows) / 1.3, max(g.references for g in rows) * 1.3
    bottom = max(1e-5, 10.0 ** math.floor(math.log10(min(v for g in rows for v in (g.fpir.value, g.predicted) if v))))
    frame = make_frame(
        narrow,
        (low, high, "log", [(v, short(v)) for v in decades(low, high, 3 if narrow else 7)]),
        (bottom, 1.0, "log", [(v, share_label(v)) for v in decades(bottom, 1.0)]),
        ("faces in the gallery", "searches that return a stranger"),
    )
    beyond = [g.references for g in rows if g.extrapolated]
    if beyond:
        known = [g.references for g in rows if not g.extrapolated and g.references < min(beyond)]
        frame.shade(math.sqrt(max(known) * min(beyond)) if known else low, high, "extrapolated")
    for k, line in enumerate(lines):
        frame.line([(g.references, g.predicted or 0) for g in line], f"s{k}")
        for g in line:
            if g.fpir.value and not g.extrapolated:
                if g.fpir.interval:
                    frame.whisker(g.references, g.fpir.interval.low, g.fpir.interval.high, f"s{k}")
                frame.marker((g.references, g.fpir.value), k, f"s{k}")
    return frame.svg("Searches that return a stranger against gallery size, a line for each threshold", kind(narrow))


def tail_figure(tail: TailFit, scores: words.Scores) -> Figure | None:
    """The fit diagnostic of the tail: observed scores against fitted quantiles."""
    if len(tail.points) < 2:
        return None
    low = min(min(p) for p in tail.points)
    high = max(max(p) for p in tail.points)

    def draw(narrow: bool) -> Markup:
        ticks = [(v, scores.bare(v)) for v in nice(low, high, 5)]
        frame = make_frame(narrow, (low, high, "linear", ticks), (low, high, "linear", ticks), ("fitted", "observed"))
        frame.line([(low, low), (high, high)], EVERYONE)
        for point in tail.points:
            frame.marker(point, 0, "s0")
        return frame.svg("Fit of the generalised Pareto tail: observed against fitted scores", kind(narrow))

    caption = "Points on the line mean that the fitted tail describes the highest scores seen."
    return Figure("Does the fitted tail describe the data?", both(draw), caption)

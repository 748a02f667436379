"""`report.html`: one self-contained page that opens offline, asks the network for nothing and needs no script.

Everything from the data is escaped by the template engine; the content security policy allows the page's own style
sheet, by its hash, and images inside the page, and nothing else.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from countenance.audit.result import TIE_RULE, AuditResult, Differential, Differentials, MatchedPair, Suspect
from countenance.report import figures, glossary, reading, tables, words

__all__ = ["Thumbnail", "page_environment", "page_style", "render_html"]

Thumbnail = Callable[[str], bytes | None]
TEMPLATES = Path(__file__).with_name("templates")
LISTED = 40  # pairs shown; audit.json has them all
PHOTO_BYTES = 1_500_000  # all thumbnails together, so that the page stays small enough to send
RATES: dict[str, Callable[..., str]] = {
    "at_most": words.at_most,
    "one_in": lambda share: words.one_in(share) or words.percent(share),
    "percent": words.percent,
    "plain": words.plain,
    "predicted": words.predicted,
    "rate": words.rate,
    "share": words.share,
}
HEADS = {"target_fmr": "false match rate to be shown", "subjects": "people needed", "more": "beyond those tested"}
KINDS = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF", "webp"))


def render_html(result: AuditResult, thumbnail: Thumbnail | None = None) -> str:
    """The page as text: the same for the same result and thumbnails.

    ``thumbnail`` turns a photo's path into a small JPEG, PNG or WebP, or None where there is none.
    """
    page = page_environment().get_template("report.html.j2")
    return page.render(**page_style("report.css"), **_context(result, _Photos(thumbnail)))


def page_style(*names: str) -> dict[str, Any]:
    """The style of a page from these files, and the digest by which its content security policy allows it alone."""
    # The digest must be of exactly what stands between the style tags.
    style = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {"style": Markup(style), "style_digest": digest}  # noqa: S704 (our own files)


@cache
def page_environment() -> Environment:
    """What all pages are made with: everything is escaped, and what is missing raises."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: _tight(tell) for name, tell in RATES.items()}
    environment.filters |= {"count": words.count, "group": words.group_name, "tight": _unbroken, "number": _number}
    environment.filters["signed"] = lambda form, value: (form % value).replace("-", "−")
    return environment


def _tight(tell: Callable[..., str]) -> Callable[..., str]:
    return lambda *given: _unbroken(tell(*given))


def _unbroken(text: str) -> str:
    """No line may end between a number and its per cent sign."""
    return text.replace(" %", "\u00a0%")


def _number(value: float) -> str:
    """Three significant figures; just below one, where three would round up to it, four decimals."""
    return (f"{value:.4f}" if 0.99 < value < 1 else f"{value:.3g}").replace("-", "−")


def _context(result: AuditResult, photos: "_Photos") -> dict[str, Any]:
    """Everything the template shows, computed."""
    scores, search = reading.scores_of(result), result.search
    lead = reading.lead_threshold(result)
    led = reading.lead_points(result)
    return {
        "result": result,
        "scores": scores,
        "lead": lead,
        "system": reading.system_name(result),
        "introduce": lambda point: reading.introduce(point, result),
        "tie_rule": TIE_RULE,
        "weighting": glossary.WEIGHTING.get(result.weighting, result.weighting),
        "glossary": glossary.TERMS,
        "search_figures": figures.search_figures(result),
        "search_tables": [tables.search_table(result, p) for p in led],
        "search_points": sorted(search.points, key=lambda p: p.threshold) if search else (),
        "pairs": [_pair(p, photos) for p in (search.pairs if search else ())[:LISTED]],
        "match_figures": figures.false_match_figures(result),
        "match_tables": _at_thresholds(result, tables.verification_table),
        "miss_tables": _at_thresholds(result, tables.fnmr_table),
        "det_figures": figures.det_figures(result),
        "density": figures.density_figure(result),
        "densities": figures.group_densities(result),
        "matrices": tables.matrices(result),
        "differentials": _by_threshold(
            [(d, _measures(d)) for d in result.differentials], lambda d: d[0].threshold, lead
        ),
        "grouping_name": reading.grouping_name,
        "gallery": figures.gallery_figure(result),
        "gallery_rows": _by_threshold(result.gallery_sizes, lambda g: g.threshold, lead),
        "tail_figure": figures.tail_figure(result.tail, scores) if result.tail else None,
        "needed": _columns(result.power.needed) if result.power else ((), ()),
        "suspects": [_suspect(s, photos) for s in result.suspects[:LISTED]],
        "both": _both(result),
        "failures": [f for f in result.counts.failures if "group" in f],
        "photo_failures": [f for f in result.counts.failures if "group" not in f],
        "inputs": list(_flat(result.inputs)),
        "listed": LISTED,
    }


def _at_thresholds(
    result: AuditResult, make: Callable[[AuditResult, float], tables.RateTable | None]
) -> list[tables.RateTable]:
    """A table for each threshold of interest that groups were measured at, the leading one first."""
    groups = result.verification.groups if result.verification else ()
    lead = reading.lead_threshold(result)
    at = sorted({g.threshold for g in groups} | ({lead} if lead is not None else set()), key=lambda t: (t != lead, t))
    return [found for t in at if (found := make(result, t)) is not None]


T = TypeVar("T")


def _by_threshold(rows: Iterable[T], at: Callable[[T], float], lead: float | None) -> list[tuple[float, list[T]]]:
    """Rows under their threshold, the leading threshold first and then rising."""
    found: dict[float, list[T]] = {}
    for row in rows:
        found.setdefault(at(row), []).append(row)
    return sorted(found.items(), key=lambda item: (item[0] != lead, item[0]))


@dataclass(frozen=True)
class _Shown:
    """A pair as shown: two sides of name, group and photo, the score, and what is said of it."""

    score: float
    left: str
    right: str
    left_group: str
    right_group: str
    left_photo: str | None
    right_photo: str | None
    kind: str = ""
    why: str = ""
    verdict: str | None = None


def _pair(pair: MatchedPair, photos: "_Photos") -> _Shown:
    left, right = (words.group_name(g) if g else "" for g in (pair.probe_group, pair.reference_group))
    paths = photos(pair.probe_path), photos(pair.reference_path)
    return _Shown(pair.score, pair.probe, pair.reference, left, right, *paths)


def _suspect(found: Suspect, photos: "_Photos") -> _Shown:
    kind = {
        "nonmated_alike": "labelled as two people, far too alike",
        "mated_unlike": "labelled as one person, far too different",
    }.get(found.kind, found.kind)
    verdict = {"same": "one person", "different": "two people", "unsure": "cannot be told"}.get(found.verdict or "")
    paths = photos(found.left_path), photos(found.right_path)
    return _Shown(found.score, found.left, found.right, "", "", *paths, kind, found.why, verdict or found.verdict)


class _Photos:
    """Thumbnails as data URIs, up to a budget for the whole page."""

    def __init__(self, thumbnail: Thumbnail | None) -> None:
        self.thumbnail, self.left, self.seen = thumbnail, PHOTO_BYTES, dict[str, str | None]()

    def __call__(self, path: str | None) -> str | None:
        if self.thumbnail is None or path is None:
            return None
        if path not in self.seen:
            self.seen[path] = self._uri(self.thumbnail(path))
        return self.seen[path]

    def _uri(self, data: bytes | None) -> str | None:
        kind = next((name for magic, name in KINDS if data and data.startswith(magic)), None)
        if data is None or kind is None or len(data) > self.left:
            return None
        self.left -= len(data)
        return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@dataclass(frozen=True)
class _Measure:
    """One differential under its plain name, with what it would be if all groups were equal."""

    name: str
    what: str
    found: Differential

    @property
    def told(self) -> bool:
        """Whether there is a number to show."""
        return self.found.value is not None or self.found.at_least is not None


def _measures(found: Differentials) -> list[_Measure]:
    both = f"both errors, α = {found.alpha:g}"
    rows = [
        _Measure("Highest rate ÷ lowest rate", "false matches; NIST IR 8429; 1 if equal", found.max_min),
        _Measure(
            "Highest rate ÷ typical rate", "false matches; geometric mean, NIST IR 8429; 1 if equal", found.max_geomean
        ),
        _Measure("GARBE", f"{both}; Howard et al. 2022; 0 if equal", found.garbe),
        _Measure("FDR", f"{both}; de Freitas Pereira and Marcel 2021; 1 if equal", found.fdr),
    ]
    if found.fnmr_max_min:
        rows.append(
            _Measure("Highest FNMR ÷ lowest FNMR", "people not recognised again; 1 if equal", found.fnmr_max_min)
        )
    return rows


def _both(result: AuditResult) -> list[tuple[str, str, str, str]]:
    """As labelled against after adjudication: what, where, before, after."""
    after = result.adjudicated
    if after is None:
        return []
    scores, rows = reading.scores_of(result), []
    searched = {p.threshold: p for p in after.search.points} if after.search else {}
    for point in result.search.points if result.search else ():
        other = searched.get(point.threshold)
        if other is not None and (point.origin != "sweep" or point.everyone.fpir != other.everyone.fpir):
            one, two = point.everyone, other.everyone
            told = [words.rate(g.fpir, g.falsely_matched, g.probes) for g in (one, two)]
            rows.append(("Matched to somebody else", scores(point.threshold), *told))
    verified = {p.threshold: p for p in after.verification.thresholds} if after.verification else {}
    for at in result.verification.thresholds if result.verification else ():
        if at.threshold is not None and at.threshold in verified:
            told = [words.share(e) for e in (at.fmr, verified[at.threshold].fmr)]
            rows.append(("False match rate", scores(at.threshold), *told))
    return rows  # type: ignore[return-value]


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Free-form rows as a table: heads and cells in words."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return tuple(HEADS.get(k, k.replace("_", " ")) for k in keys), tuple(
        tuple(_cell(k, row.get(k)) for k in keys) for row in rows
    )


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return words.group_name(value)
    if isinstance(value, float) and ("fmr" in key or "fpir" in key):
        return words.one_in(value) or words.percent(value)
    return words.count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested inputs as lines of name and value."""
    for name, value in values.items():
        where = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{where} · ")
        elif isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
            for number, item in enumerate(value, 1):
                yield from _flat(item if isinstance(item, Mapping) else {"": item}, f"{where} {number} · ")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
            yield where.replace("_", " "), "–" if shown is None else str(shown)

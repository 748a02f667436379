"""What a reader is shown first: which threshold leads, which groups stand together, how a threshold is introduced."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from countenance.audit.result import AuditResult, GroupRates, Operating, SearchPoint
from countenance.report import words

__all__ = [
    "by_columns",
    "first_clear",
    "grouping_name",
    "introduce",
    "lead_points",
    "lead_threshold",
    "rates_at",
    "scores_of",
    "system_name",
]

T = TypeVar("T")
RARE = 0.01  # beside the set threshold, the one at which about one search in a hundred goes wrong is shown


def system_name(result: AuditResult) -> str | None:
    """What was measured, where it has a name."""
    name = result.inputs.get("system")
    return str(name) if name else None


def scores_of(result: AuditResult) -> words.Scores:
    """How this system's scores are written: Euclidean distances are kept negated and shown as distances."""
    return words.Scores(distance=result.inputs.get("metric") == "euclidean")


def by_columns(items: Iterable[T], group: Callable[[T], Mapping[str, str]]) -> dict[tuple[str, ...], list[T]]:
    """Items under the columns that form their group, in the order met; everyone comes under ``()``."""
    found: dict[tuple[str, ...], list[T]] = {}
    for item in items:
        found.setdefault(tuple(group(item)), []).append(item)
    return found


def grouping_name(columns: tuple[str, ...]) -> str:
    """``gender``; ``gender and ethnicity together``; ``everyone``."""
    if not columns:
        return "everyone"
    return columns[0] if len(columns) == 1 else f"{', '.join(columns[:-1])} and {columns[-1]} together"


def lead_points(result: AuditResult) -> list[SearchPoint]:
    """The search points told first: those asked for, the vendor's, then the one nearest to 1 error in 100."""
    if result.search is None:
        return []
    points = result.search.points
    found = [p for origin in ("asked", "documented") for p in points if p.origin == origin]
    taken = {p.threshold for p in found}
    wrong = [p for p in points if p.everyone.fpir.value and p.threshold not in taken]
    if wrong and len(found) < 3:
        found.append(min(wrong, key=lambda p: abs(math.log(p.everyone.fpir.value or RARE) - math.log(RARE))))
    return found or list(points[:1])


def first_clear(result: AuditResult) -> SearchPoint | None:
    """The lowest threshold from which on nobody was falsely matched, if there is one."""
    found = None
    for point in sorted(result.search.points if result.search else (), key=lambda p: -p.threshold):
        if point.everyone.fpir.value != 0:
            break
        found = point
    return found


def lead_threshold(result: AuditResult) -> float | None:
    """The threshold the headline speaks of: the first of interest, or that of the first group."""
    verification = result.verification
    if verification is not None:
        ranked = sorted(verification.thresholds, key=lambda p: ("asked", "documented", "target").index(p.origin))
        found = next((p.threshold for p in ranked if p.threshold is not None), None)
        if found is not None:
            return found
        if verification.groups:
            return verification.groups[0].threshold
    points = lead_points(result)
    return points[0].threshold if points else None


def rates_at(result: AuditResult, threshold: float | None) -> list[GroupRates]:
    """Every group's 1:1 rates at one threshold."""
    groups = result.verification.groups if result.verification else ()
    return [g for g in groups if g.threshold == threshold]


def introduce(point: SearchPoint | Operating, result: AuditResult) -> str:
    """Why a threshold is shown: ``the vendor's documented threshold (1:1 verification)``, ``asked for``, and so on."""
    if point.origin == "documented":
        meaning = result.inputs.get("documented_meaning")
        return f"{meaning}" if meaning else "the documented threshold"
    if point.origin == "asked":
        return "the threshold asked for"
    if point.origin == "target" and point.target_fmr:
        one = words.one_in(point.target_fmr) or words.percent(point.target_fmr)
        return f"chosen for a false match rate of {one}"
    return "one of an even series"

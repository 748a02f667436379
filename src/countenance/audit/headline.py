"""The one sentence that comes first: what was set, what was searched, and how many were matched to somebody else."""

from countenance.audit.labels import one_in
from countenance.audit.result import Estimate, Operating, Search, SearchPoint, Verification
from countenance.audit.tallies import System, Tallies
from countenance.errors import NotEnoughDataError

__all__ = ["headline", "setting", "share"]

RARE = 0.01


def setting(system: System, threshold: float) -> str:
    """A threshold in the scale its users know:

    ``distance 0.60`` where scores are distances negated, else ``score 0.363``.
    """
    if system.metric in ("euclidean", "distance, negated"):
        return f"distance {-threshold:.2f}"
    return f"score {threshold:.3g}"


def share(value: float, trials: int) -> str:
    """A rate a reader can picture: ``12 %``, ``1 in 2,300``, ``none in 4,321``. Without a trial NotEnoughDataError."""
    if trials < 1:
        raise NotEnoughDataError("no trial, so there is no rate to tell")
    if value <= 0:
        return f"none in {trials:,}"
    return one_in(value)


def headline(
    tallies: Tallies, points: list[Operating], verification: Verification | None, search: Search | None
) -> str:
    """One sentence, true to the decimal, naming the setting for what it is."""
    first = next((p for p in points if p.threshold is not None), None)
    if first is None or first.threshold is None:
        return "This data is too small to say at which threshold anybody would be confused with anybody else."
    at = next((p for p in search.points if p.threshold == first.threshold), None) if search else None
    if search is not None and at is not None and at.everyone.probes:
        return _searched(tallies, _how(tallies.system, first, first.threshold, True), search, at)
    how = _how(tallies.system, first, first.threshold, False)
    rate, trials = first.fmr.value, first.fmr.trials or 0
    if rate is None or verification is None:
        return f"{how}: nothing could be measured ({first.fmr.reason})."
    told = share(rate, trials) + (" of the" if rate >= RARE else "")
    return f"{how}, {tallies.system.name} took {told} pairs of different people for one person{_bound(first.fmr)}."


def _how(system: System, point: Operating, threshold: float, searched: bool) -> str:
    """The setting, named for what it is: a threshold made for 1:1 that is used to search is said to be so."""
    words = setting(system, threshold)
    if point.origin == "documented":
        used = ", used here to search" if searched else ""
        return f"At {system.documented_meaning or 'the threshold its makers document'}, {words}{used}"
    if point.origin == "asked":
        return f"At the threshold asked for, {words}"
    return f"At the threshold that a false match rate of {one_in(point.target_fmr or 1.0)} needs, {words}"


def _searched(tallies: Tallies, how: str, search: Search, at: SearchPoint) -> str:
    who = tallies.inputs.get("probes_are", "people")
    whom = tallies.inputs.get("references_are", "others")
    found = at.everyone
    matched = f"{found.falsely_matched:,}" if found.falsely_matched else "none"
    return (
        f"{how}, {tallies.system.name} matched {matched} of {found.probes:,} {who}"
        f" to somebody else among {search.references:,} {whom}{_bound(found.fpir)}."
    )


def _bound(rate: Estimate) -> str:
    """No error seen is not no error: the bound belongs beside it."""
    if rate.errors or rate.interval is None:
        return ""
    return f" (at most {100 * rate.interval.high:.2g} %)"

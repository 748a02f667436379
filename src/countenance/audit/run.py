"""From tallies to an `AuditResult`: which thresholds, which groups, and what was not tested."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from countenance import __version__
from countenance.audit.adjudicate import Judged, adjudicate
from countenance.audit.compare import compare
from countenance.audit.differentials import differentials
from countenance.audit.galleries import gallery_sizes, vouches_for
from countenance.audit.headline import headline
from countenance.audit.intervals import clopper_pearson
from countenance.audit.labels import groupings, too_small
from countenance.audit.power import power_of
from countenance.audit.rates import false_match, false_nonmatch, snap
from countenance.audit.result import (
    AuditResult,
    Counts,
    Differentials,
    Estimate,
    GallerySize,
    Json,
    Operating,
    Suspect,
    Untested,
)
from countenance.audit.search import search
from countenance.audit.suspects import suspects
from countenance.audit.tail import tail_fit
from countenance.audit.tallies import Group, Sweep, Tallies
from countenance.audit.thresholds import choose
from countenance.audit.verification import verification
from countenance.errors import NotEnoughDataError

__all__ = ["TARGETS", "Options", "audit"]

TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Options:
    """What the user asked for. ``by`` None means every group column, and all of them crossed.

    ``thresholds`` are similarities; ``alpha`` is the weight of FMR in GARBE and FDR; ``rank`` that of FNIR.
    """

    by: tuple[str, ...] | None = None
    thresholds: tuple[float, ...] = ()
    alpha: float = 0.5
    seed: int = 0
    rank: int = 1


def audit(
    tallies: Tallies,
    options: Options | None = None,
    *,
    verdicts: Sequence[Judged] = (),
    against: Tallies | None = None,
) -> AuditResult:
    """Compute the whole audit.

    ``verdicts`` are a person's on suspected label errors: both results are given, without and with them. ``against``
    holds a second system on the same data.

    Raises NotEnoughDataError when nobody was compared with anybody else, and TalliesError for an unknown group column
    or a second system that was measured on other data.
    """
    options = options or Options()
    found = _audit(tallies, options)
    if against is not None:
        found = replace(found, comparison=compare(tallies, against, options.seed).to_json())
    if not verdicts:
        return found
    corrected = _audit(adjudicate(tallies, verdicts), options)
    return replace(found, suspects=_judged(found.suspects, verdicts), adjudicated=corrected)


def _audit(tallies: Tallies, options: Options) -> AuditResult:
    sweep = tallies.verification or tallies.search
    if sweep is None or int(sweep.nonmated.sum()) == 0:
        raise NotEnoughDataError("no two different people were compared: an audit needs at least two subjects")
    grouped = [tallies.groups(columns) for columns in groupings(tallies, options.by)]
    groups = list(itertools.chain.from_iterable(grouped))
    points = _operating(tallies, sweep, options)
    one_to_one = verification(tallies, sweep, points, grouped) if tallies.verification else None
    one_to_many = search(tallies, tallies.search, points, groups, options.rank) if tallies.search else None
    sizes, vouched, reasons = _galleries(tallies, points, groups)
    tail = power = None
    try:
        tail = tail_fit(tallies, sweep, tallies.everyone)
    except NotEnoughDataError as error:
        reasons["tail"] = str(error)
    try:
        power = power_of(tallies)
    except NotEnoughDataError as error:
        reasons["power"] = str(error)
    return AuditResult(
        headline=headline(tallies, points, one_to_one, one_to_many),
        inputs=_inputs(tallies, options),
        counts=_counts(tallies, sweep),
        verification=one_to_one,
        search=one_to_many,
        differentials=tuple(_differentials(tallies, sweep, grouped, points, options)),
        gallery_sizes=sizes,
        vouches_for=vouched,
        tail=tail,
        power=power,
        suspects=tuple(suspects(tallies)),
        not_tested=tuple(_not_tested(tallies, sweep, groups)),
        notes=tallies.notes,
        weighting="subject" if sweep.has_subjects else "comparison",
        reasons=reasons,
    )


def _inputs(tallies: Tallies, options: Options) -> Json:
    """What went in: the system, digests, versions, seed."""
    system = tallies.system
    return dict(tallies.inputs) | {
        "system": system.name,
        "pipeline": system.pipeline,
        "metric": system.metric,
        "models": dict(system.models),
        "documented_threshold": system.documented_threshold,
        "documented_meaning": system.documented_meaning,
        "seed": options.seed,
        "countenance": __version__,
    }


def _judged(found: Sequence[Suspect], verdicts: Sequence[Judged]) -> tuple[Suspect, ...]:
    """Suspects with the verdict that was given on them."""
    told = {frozenset((v.left, v.right)): v.verdict for v in verdicts}
    keys = [(frozenset((s.left_path or "", s.right_path or "")), frozenset((s.left, s.right))) for s in found]
    return tuple(
        replace(s, verdict=told.get(photos) or told.get(people))
        for s, (photos, people) in zip(found, keys, strict=True)
    )


def _operating(tallies: Tallies, sweep: Sweep, options: Options) -> list[Operating]:
    """The thresholds of interest: those asked for, the vendor's, and those that the target FMRs need."""
    wanted: list[tuple[str, float]] = [("asked", t) for t in options.thresholds]
    if tallies.system.documented_threshold is not None:
        wanted.append(("documented", tallies.system.documented_threshold))
    found = []
    for origin, threshold in wanted:
        at = snap(sweep, threshold)
        fmr, fnmr = _everyone(tallies, sweep, at)
        found.append(Operating(origin, None, at, fmr, fnmr))
    for target in TARGETS:
        chosen = choose(tallies, sweep, tallies.everyone, target)
        if chosen.threshold is None:
            none = Estimate(None, reason=chosen.reason)
            found.append(Operating("target", target, None, none, none, reason=chosen.reason))
            continue
        fmr, fnmr = _everyone(tallies, sweep, chosen.threshold)
        found.append(Operating("target", target, chosen.threshold, fmr, fnmr, chosen.interval, chosen.reason))
    return found


def _everyone(tallies: Tallies, sweep: Sweep, threshold: float) -> tuple[Estimate, Estimate]:
    everyone = tallies.everyone
    return false_match(tallies, sweep, everyone, threshold), false_nonmatch(tallies, sweep, everyone, threshold)


def _differentials(
    tallies: Tallies, sweep: Sweep, grouped: Sequence[Sequence[Group]], points: Sequence[Operating], options: Options
) -> Iterable[Differentials]:
    """Each grouping at each threshold of interest, the first threshold first."""
    for point in points:
        for groups in grouped:
            if point.threshold is not None and len(groups) > 1:
                yield differentials(tallies, sweep, groups, point.threshold, options.alpha, options.seed)


def _galleries(
    tallies: Tallies, points: Sequence[Operating], groups: Sequence[Group]
) -> tuple[tuple[GallerySize, ...], Json | None, dict[str, str]]:
    """FPIR by gallery size at every threshold of interest, and the largest gallery this audit can vouch for."""
    sweep, sizes, reasons = tallies.search, list[GallerySize](), dict[str, str]()
    thresholds = [p.threshold for p in points if p.threshold is not None]
    if sweep is None or not thresholds:
        return (), None, {"gallery_sizes": "no search was made", "vouches_for": "no search was made"}
    for threshold in thresholds:
        try:
            sizes += gallery_sizes(tallies, sweep, tallies.everyone, snap(sweep, threshold))
        except NotEnoughDataError as error:
            reasons["gallery_sizes"] = str(error)
    whole = tallies.verification or sweep
    try:
        judged = [g for g in groups if too_small(tallies, g) is None] or [tallies.everyone]
        return tuple(sizes), vouches_for(tallies, whole, judged, snap(whole, max(thresholds))), reasons
    except NotEnoughDataError as error:
        return tuple(sizes), None, reasons | {"vouches_for": str(error)}


def _counts(tallies: Tallies, sweep: Sweep) -> Counts:
    unlabelled = {
        column: int(sum(tallies.cells[int(c)][k] is None for c in tallies.cell))
        for k, column in enumerate(tallies.columns)
    }
    failed = tallies.failures
    return Counts(
        subjects=len(tallies.cell) if sweep.has_subjects else None,
        templates=int(sweep.left.subject.size) if sweep.left is not None else None,
        mated=int(sweep.mated.sum()),
        nonmated=int(sweep.nonmated.sum()),
        unlabelled=unlabelled,
        photos_failed=int(failed.failed.sum()) if failed else 0,
        subjects_failed=int(((failed.photos > 0) & (failed.failed == failed.photos)).sum()) if failed else 0,
        failures=tuple(_failures(tallies)),
    )


def _failures(tallies: Tallies) -> Iterable[Json]:
    """Failure to enrol per cell: photos tried and failed, people tried and lost."""
    failed = tallies.failures
    if failed is None or not failed.failed.any():
        return
    for columns in groupings(tallies, None) or [()]:
        for group in tallies.groups(columns) if columns else [tallies.everyone]:
            member = tallies.subjects_in(group) & (failed.photos > 0)
            lost = int((failed.failed[member] == failed.photos[member]).sum())
            people = int(member.sum())
            fte = clopper_pearson(lost, people).to_json() if people else None
            yield {
                "group": dict(group.label),
                "photos": int(failed.photos[member].sum()),
                "photos_failed": int(failed.failed[member].sum()),
                "subjects": people,
                "subjects_failed": lost,
                "fte": lost / people if people else None,
                "fte_interval": fte,
            }


def _not_tested(tallies: Tallies, sweep: Sweep, groups: list[Group]) -> Iterable[Untested]:
    if not tallies.columns:
        yield Untested("any group of people", "the data has no group column such as gender or ethnicity")
    for group in groups:
        why = too_small(tallies, group)
        if why:
            yield Untested(str(group), why)
    if not sweep.mated.any():
        yield Untested("whether people are recognised again (FNMR)", "no person has two photos in the data")
    yield Untested("people and photos unlike these", "children, other groups, other cameras, other years of ageing")

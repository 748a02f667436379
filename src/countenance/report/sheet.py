"""The candidate sheet: what a search found, how wrong each candidate may be, and what must be checked before acting.

A `Sheet` is all that is said, as frozen values; `sheet_html` and `sheet_pdf` only lay it out. Its `Basis` can be kept
as JSON, holds no identity, and is made when the search is made: a sheet written after a review says what held then.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from countenance.ledger import timestamp
from countenance.policy import Certificate, InForce
from countenance.report import words

__all__ = ["BANNER", "CHECKS", "Basis", "Identity", "Odds", "Reviewed", "Sheet", "Shown", "basis_of", "odds_of"]

BANNER = "Not an identification and not a basis for arrest: at most a hint where to look for other evidence."
CHECKS = (
    "Evidence that does not come from this search: could this person have been there, and what else says so?",
    "The original photos, side by side, by somebody trained who does not know the order of this list; "
    "looking for differences, not only for likeness.",
    "That the reference photo shows whom its label says, and when it was taken.",
    "That nobody else fits: the person may not be in this collection at all, and the list then holds strangers only.",
    "A witness must not be shown a candidate as a suggestion: someone picked for their likeness will look alike to a "
    "witness too, and that confirms nothing.",
    "Whoever is accused must be given this sheet, with all its candidates.",
)
SIMILARITY = (
    "Similarity is the share of strangers who score lower than this, in per cent: at 99.9, one stranger in 1,000 would "
    "score at least as much. It is not the probability that this is the person."
)
ODDS = (
    "Error odds: in a collection of this size, this system would show a stranger at least this similar in so many "
    "searches; for the worst certified group, and over everyone measured. “At most” is the upper 95 % end."
)
NOBODY = "No face of this collection reaches the threshold. That does not prove that the person is not in it."
_QUALITY = (  # measure, below, above, words below, words above: 5 % of LFW's photos (300 drawn) lie beyond each
    ("eye_distance", 35.0, None, "few pixels between the eyes ({:.0f})", ""),
    ("sharpness", 2.6, None, "blurred, or enlarged from few pixels (sharpness {:.1f})", ""),
    ("brightness", 0.33, 0.60, "dark (brightness {:.2f} of 1)", "very bright (brightness {:.2f} of 1)"),
    ("contrast", 0.127, None, "flat (contrast {:.2f})", ""),
    ("yaw", -44.0, 44.0, "turned to the side ({:.0f}°)", "turned to the side ({:.0f}°)"),
    ("pitch", -11.0, 11.0, "looking up ({:.0f}°)", "looking down ({:.0f}°)"),
    ("roll", -6.0, 6.0, "leaning ({:.0f}°)", "leaning ({:.0f}°)"),
    ("score", 0.87, None, "hardly found as a face (detector score {:.2f})", ""),
)


@dataclass(frozen=True)
class Odds:
    """How often a search of this gallery would show a stranger at least this similar, and the upper 95 % ends.

    Shares of searches: over everyone measured, and in the worst certified ``group``; 0: no error was seen in the
    audit, and only the upper end says something.
    """

    similarity: float
    everyone: float
    everyone_at_most: float
    group: str
    worst: float
    worst_at_most: float

    @property
    def said(self) -> str:
        """``1 in 340 searches; at most 1 in 150`` for the worst group."""
        return _searches(self.worst, self.worst_at_most)

    @property
    def said_of_everyone(self) -> str:
        """The same over everyone measured."""
        return _searches(self.everyone, self.everyone_at_most)


def odds_of(certificate: Certificate, score: float, gallery: int) -> Odds:
    """The odds of a stranger at ``score`` or above, in a search of ``gallery`` faces: 1 - (1 - FMR)^gallery.

    The FMR is the certificate's at the highest listed threshold not above the score: never less than it was.
    """
    groups = [g for g in certificate.groups if g.group] or list(certificate.groups)
    ranked = sorted(groups, key=lambda g: (g.rate_at(score).fmr, g.rate_at(score).high))
    worst = ranked[-1].rate_at(score)
    every = next((g for g in certificate.groups if not g.group), ranked[-1]).rate_at(score)

    def searches(fmr: float) -> float:
        return -math.expm1(gallery * math.log1p(-fmr)) if fmr < 1 else 1.0

    return Odds(
        similarity=certificate.curve.similarity(score),
        everyone=searches(every.fmr),
        everyone_at_most=searches(every.high),
        group=str(ranked[-1]),
        worst=searches(worst.fmr),
        worst_at_most=searches(worst.high),
    )


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a search rests on. No identity; all of it JSON values, times as RFC 3339 in UTC.

    ``in_force`` is `InForce.to_json`; ``odds`` belong to the candidates in their order. ``probe``: measures of the
    probe's quality (`countenance.faces.Quality`), and ``faces``, how many the photo holds; None where not measured.
    ``entry`` is the search's number in the ledger.
    """

    at: str
    collection: str
    searched: int
    purpose: str | None
    system: str
    pipeline: str
    groups: tuple[str, ...]
    certificate_ends: str
    people: int
    entry: int
    in_force: Mapping[str, Any]
    odds: tuple[Odds, ...] = ()
    probe: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads back."""
        return asdict(self) | {"groups": list(self.groups), "odds": [asdict(one) for one in self.odds]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Basis":
        """Read what `to_json` wrote."""
        known = {f.name: values[f.name] for f in fields(cls)}
        odds = tuple(Odds(**one) for one in values["odds"])
        return cls(**(known | {"groups": tuple(values["groups"]), "odds": odds}))


def basis_of(
    certificate: Certificate,
    said: InForce,
    scores: Sequence[float],
    *,
    at: datetime,
    collection: str,
    searched: int,
    entry: int,
    purpose: str | None,
    probe: Mapping[str, float] | None = None,
) -> Basis:
    """The basis of a search of ``searched`` faces that found candidates with these scores, best first."""
    overall = next((g for g in certificate.groups if not g.group), None)
    return Basis(
        at=timestamp(at),
        collection=collection,
        searched=searched,
        purpose=purpose,
        system=certificate.system,
        pipeline=certificate.pipeline,
        groups=tuple(f"{g} ({words.count(g.subjects)} people)" for g in certificate.groups if g.group),
        certificate_ends=timestamp(certificate.ends),
        people=overall.subjects if overall else 0,
        entry=entry,
        in_force=said.to_json(),
        odds=tuple(odds_of(certificate, score, searched) for score in scores),
        probe=probe,
    )


@dataclass(frozen=True)
class Identity:
    """What the collection knows a candidate by. Ids; the gallery holds no names and no photos."""

    face_id: str
    external_image_id: str | None
    user_id: str | None
    enrolled: str


@dataclass(frozen=True)
class Shown:
    """One candidate: its number, score and odds; its identity where it may be shown, or that it is gone."""

    number: int
    score: float
    odds: Odds
    identity: Identity | None = None
    hidden: str = "not shown"

    @property
    def lines(self) -> tuple[str, ...]:
        """Who it is, as the collection knows it; the first line is the most telling."""
        if self.identity is None:
            return (self.hidden,)
        one = self.identity
        names = [f"user {one.user_id}" if one.user_id else None, one.external_image_id, f"face {one.face_id}"]
        return (*(name for name in names if name), f"enrolled {one.enrolled}")

    @property
    def similarity(self) -> str:
        """As people read it."""
        return similarity(self.odds.similarity)

    @property
    def scored(self) -> str:
        """The comparison score behind it."""
        return _score(self.score)


@dataclass(frozen=True)
class Reviewed:
    """A two-person review: its id, and when it is done what each of the two decided, and whether they agreed."""

    review_id: str
    decisions: tuple[tuple[str, int | None], ...] = ()
    gone: bool = False

    @property
    def done(self) -> bool:
        """Whether both have decided."""
        return len(self.decisions) == 2

    @property
    def match(self) -> int | None:
        """The candidate whom both named; None otherwise."""
        chosen = {candidate for _, candidate in self.decisions}
        return chosen.pop() if self.done and len(chosen) == 1 else None

    @property
    def said(self) -> tuple[str, ...]:
        """How it went, in sentences."""
        if not self.done:
            return (
                f"Review {self.review_id}: two different people must each decide, on their own. "
                "Until then no candidate has an identity, here or anywhere.",
            )
        told = [f"{key} decided: {_named(candidate)}." for key, candidate in self.decisions]
        if self.match is None:
            agreed = self.decisions[0][1] is None and self.decisions[1][1] is None
            end = "Both found nobody: no match." if agreed else "They disagreed: this search ends in no match."
        else:
            end = f"Both, each alone, named candidate {self.match}."
            end += " The reference was erased since." if self.gone else " That two people agreed does not make it true."
        return (f"Review {self.review_id}, by holders of two keys, each without seeing the other's.", *told, end)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """All that a candidate sheet says. ``head`` is a signed tree head over the search's entry, ``photo`` a JPEG."""

    basis: Basis
    candidates: tuple[Shown, ...]
    made: str
    head: str
    key: str
    reviewed: Reviewed | None = None
    photo: bytes | None = None

    @property
    def title(self) -> str:
        """The first thing to read."""
        count = len(self.candidates)
        if not count:
            return "No candidate"
        if self.reviewed and not self.reviewed.done:
            return f"{_candidates(count)}, without identity until two people have looked"
        if self.reviewed and self.reviewed.match is None:
            return "No match after review by two people"
        if self.reviewed:
            return f"Candidate {self.reviewed.match}, named by two people; not an identification"
        return f"{_candidates(count)}, not an identification"

    @property
    def facts(self) -> tuple[tuple[str, str, str], ...]:
        """What was searched and under which threshold: head, value, remark."""
        said = self.basis.in_force
        worst = said["worst"]
        return (
            ("Searched", f"{words.count(self.basis.searched)} faces", f"collection {self.basis.collection}"),
            ("Threshold in force", similarity(said["similarity"]), _score(said["threshold"])),
            ("Asked for", f"{said['asked']:g} %", _score(said["asked_threshold"])),
            (
                "Strangers expected",
                _expected(worst["strangers"], worst["at_most"]),
                f"each search, if all were {worst['group']}; aim {said['target']:g}",
            ),
            ("Purpose", self.basis.purpose or "none", "declared by collection and key"),
            ("Ledger entry", f"No. {self.basis.entry}", f"{self.basis.at[:16].replace('T', ' ')} UTC"),
        )

    @property
    def quality(self) -> tuple[str, ...]:
        """What was poor about the probe, in plain words, and what was measured."""
        return probe_said(self.basis.probe)

    @property
    def system(self) -> tuple[tuple[str, str], ...]:
        """Model and certificate: head and sentence."""
        said = self.basis.in_force
        issuer = str(said["issuer"])
        if said["self_issued"]:
            issuer += ", self-issued: whoever runs this server measured it"
        if said["synthetic"]:
            issuer += "; synthetic, made up for a bench: nothing was measured"
        tested = ", ".join(self.basis.groups) or "no group apart from everyone"
        missing = ", ".join(said["not_tested"]) or "none is named; nobody outside the groups measured was tested"
        ends, largest = self.basis.certificate_ends[:10], words.count(said["holds_up_to"])
        return (
            ("System", f"{self.basis.system}, pipeline {self.basis.pipeline[:16]}"),
            ("Certificate", f"{said['certificate']}, until {ends}; this threshold holds for {largest} faces at most"),
            ("Issued by", issuer),
            ("Measured on", f"{words.count(self.basis.people)} people: {tested}"),
            ("Not tested", missing),
        )

    @property
    def proof(self) -> str:
        """How to check that this search is in the ledger."""
        return (
            f"This search is entry {self.basis.entry} of the ledger whose head stands below, signed by its operator. "
            "Whoever keeps the head can demand a proof that the entry is in it and was never changed."
        )


def similarity(value: float) -> str:
    """Similarity as people read it, rounded down, with digits enough that nothing below 100 is written as 100."""
    digits = 2 if value <= 99.9 else min(8, 1 - math.floor(math.log10(100 - value)))
    return f"{math.floor(value * 10**digits + 1e-6) / 10**digits:.{digits}f} %"


def probe_said(probe: Mapping[str, float] | None) -> tuple[str, ...]:
    """What was poor about a probe: beyond what 95 % of LFW's photos are like. Not a verdict."""
    if probe is None:
        return ("The quality of the probe was not measured.",)
    poor = []
    for name, low, high, below, above in _QUALITY:
        value = probe[name]
        if value < low:
            poor.append(below.format(value))
        elif high is not None and value > high:
            poor.append(above.format(value))
    found = [f"Poorer than 95 % of the photos of LFW, a public test set: {', '.join(poor)}."] if poor else []
    if not poor:
        found = ["Nothing that was measured is poorer than in 95 % of the photos of LFW, a public test set."]
    if probe.get("faces", 1) > 1:
        found.append(f"The photo holds {probe['faces']:.0f} faces; the largest was searched with.")
    found.append(
        f"{probe['eye_distance']:.0f} pixels between the eyes, sharpness {probe['sharpness']:.1f}, brightness "
        f"{probe['brightness']:.2f}, contrast {probe['contrast']:.2f}, turned {abs(probe['yaw']):.0f}°, nodding "
        f"{abs(probe['pitch']):.0f}°, leaning {abs(probe['roll']):.0f}°. Poor photos raise both kinds of error; how "
        "much, was not measured."
    )
    return tuple(found)


def _searches(share: float, at_most: float) -> str:
    """``1 in 340; at most 1 in 150``; an upper end is never rounded down."""
    many = 1 / at_most
    step = 10 ** max(0, math.floor(math.log10(many)) - 1)
    bound = words.at_most(at_most) if at_most > 0.1 else f"1 in {math.floor(many / step) * step:,}"
    return f"{words.one_in(share) or words.percent(share) if share > 0 else 'none seen'}; at most {bound}"


def _expected(strangers: float, at_most: float) -> str:
    return f"{strangers:.2g} (at most {at_most:.2g})" if strangers else f"none seen (at most {at_most:.2g})"


def _score(value: float | None) -> str:
    return "more than can be known" if value is None else f"score {words.Scores().fine(value)}"


def _candidates(count: int) -> str:
    return "One candidate" if count == 1 else f"{count} candidates"


def _named(candidate: int | None) -> str:
    return "nobody" if candidate is None else f"candidate {candidate}"

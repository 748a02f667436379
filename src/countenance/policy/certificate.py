"""A certificate: what was measured of one pipeline, how large a gallery that vouches for, and who says so.

It is computed from tallies (`countenance.policy.certify`), never copied from a result, and signed with Ed25519 over
canonical JSON (RFC 8785). ``docs/certificate.md`` describes the file and how to check one without Countenance.
"""

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

from countenance.errors import CertificateError, LedgerError
from countenance.ledger import VerifyingKey, timestamp
from countenance.policy.curve import SimilarityCurve
from countenance.policy.signing import canonical, signed_by

__all__ = ["FORMAT", "Certificate", "GroupRecord", "Level", "Rate", "load_certificate", "read_certificate"]

FORMAT = "countenance-certificate/1"


@dataclass(frozen=True)
class Level:
    """A certified FMR and the threshold that keeps it in every certified group."""

    fmr: float
    threshold: float


@dataclass(frozen=True)
class Rate:
    """Measured FMR at a threshold, with its two-sided 95 % interval."""

    threshold: float
    fmr: float
    low: float
    high: float


@dataclass(frozen=True)
class GroupRecord:
    """A certified group: its label (empty for everyone), people, pairs of people, and rates at rising thresholds."""

    group: Mapping[str, str]
    subjects: int
    pairs: int
    rates: tuple[Rate, ...]

    def __str__(self) -> str:
        return ", ".join(f"{k} {v}" for k, v in self.group.items()) or "everyone"

    def rate_at(self, threshold: float) -> Rate:
        """The rate at the highest listed threshold not above the one asked for: never less than it truly was."""
        return self._rising[max(0, bisect_right(self._rising, threshold, key=attrgetter("threshold")) - 1)]

    @cached_property
    def _rising(self) -> tuple[Rate, ...]:
        """In order, whatever the file's is; every search asks."""
        return tuple(sorted(self.rates, key=attrgetter("threshold")))


@dataclass(frozen=True)
class Certificate:
    """All that a certificate says. ``said`` is the signed part, as plain JSON values; the rest is read from it.

    ``levels``: falling FMR, rising threshold. ``too_small`` and ``not_tested``: (group or column, why).
    ``synthetic``: made up for a bench; nothing was measured.
    """

    said: Mapping[str, Any]
    signature: str
    issuer: VerifyingKey
    system: str
    pipeline: str
    data_digest: str
    groups: tuple[GroupRecord, ...]
    too_small: tuple[tuple[str, str], ...]
    not_tested: tuple[tuple[str, str], ...]
    curve: SimilarityCurve
    levels: tuple[Level, ...]
    target: float
    starts: datetime
    ends: datetime
    synthetic: bool

    @cached_property
    def id(self) -> str:
        """16 hex digits of the sha256 over what is said: what answers and the ledger call it."""
        return hashlib.sha256(canonical(self.said)).hexdigest()[:16]

    @cached_property
    def signature_holds(self) -> bool:
        """Whether its issuer signed just this; found out once, as every search asks."""
        return signed_by(self.issuer, self.said, self.signature)

    def largest_gallery(self, target: float | None = None) -> int:
        """The most faces it vouches for when a search may return ``target`` strangers (by default as issued)."""
        return math.floor((self.target if target is None else target) / self.levels[-1].fmr * (1 + 1e-12))

    def threshold_for(self, gallery: int, target: float | None = None) -> float | None:
        """The certified threshold for a gallery of so many faces; None where it is too large.

        The union bound: ``gallery * FMR <= target`` as if every face were of the worst certified group. It never falls
        as the gallery grows.
        """
        if gallery > self.largest_gallery(target):
            return None
        allowed = (self.target if target is None else target) / max(gallery, 1) * (1 + 1e-12)
        return next((level.threshold for level in self.levels if level.fmr <= allowed), None)

    def certifies(self, name: str) -> bool:
        """Whether it certifies ``column=value``, or for a column two groups of it or more."""
        column, equals, value = name.partition("=")
        found = {g.group[column] for g in self.groups if set(g.group) == {column}}
        return value in found if equals else len(found) >= 2

    def to_json(self) -> str:
        """The file."""
        return json.dumps({"certificate": self.said, "signature": self.signature}, indent=1, ensure_ascii=False) + "\n"


def load_certificate(path: Path) -> Certificate:
    """Read a certificate file; checking its signature is another step. Raises CertificateError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CertificateError(f"{path}: no certificate to read there ({error.__class__.__name__})") from None
    return read_certificate(text, str(path))


def read_certificate(text: str, name: str = "certificate") -> Certificate:
    """Read a certificate from its text; ``name`` is what errors call it. Raises CertificateError."""
    try:
        file = json.loads(text, parse_constant=_no_number)
        said, signature = file["certificate"], file["signature"]
        if said["format"] != FORMAT:
            raise CertificateError(f"{name}: is {said['format']!r}, not {FORMAT}; certify again with this version")
        if set(file) != {"certificate", "signature"} or not isinstance(signature, str):
            raise ValueError("members besides certificate and signature")
        canonical(said)
        return from_said(said, signature)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, LedgerError) as error:
        what = f"{error.__class__.__name__}: {error}"[:120]
        raise CertificateError(
            f"{name}: not a certificate, or a damaged one ({what}); take it as it was issued"
        ) from None


def from_said(said: Mapping[str, Any], signature: str) -> Certificate:
    """The certificate that says this. Raises ValueError, KeyError or TypeError where it makes no sense."""
    levels = tuple(Level(float(x["fmr"]), float(x["threshold"])) for x in said["certified"]["levels"])
    if not levels or not all(0 < x.fmr <= 1 for x in levels):
        raise ValueError("levels must be there, and lie in (0, 1]")
    if any(a.fmr <= b.fmr or a.threshold > b.threshold for a, b in pairwise(levels)):
        raise ValueError("levels must fall while their thresholds rise")
    curve = said["curve"]
    target = float(said["certified"]["strangers_per_probe"])
    if not 0 < target <= 1:
        raise ValueError("strangers_per_probe must lie in (0, 1]")
    return Certificate(
        said=said,
        signature=signature,
        issuer=VerifyingKey.parse(said["issuer"]),
        system=str(said["system"]["name"]),
        pipeline=str(said["system"]["pipeline"]),
        data_digest=str(said["data"]["digest"]),
        groups=tuple(_group(row) for row in said["groups"]["certified"]),
        too_small=tuple((str(x["group"]), str(x["why"])) for x in said["groups"]["too_small"]),
        not_tested=tuple((str(x["what"]), str(x["why"])) for x in said["groups"]["not_tested"]),
        curve=SimilarityCurve(
            tuple(float(x) for x in curve["scores"]), tuple(float(x) for x in curve["fmr"]), float(curve["floor"])
        ),
        levels=levels,
        target=target,
        starts=_moment(said["validity"]["from"]),
        ends=_moment(said["validity"]["until"]),
        synthetic=_flag(said["synthetic"]),
    )


def _group(row: Mapping[str, Any]) -> GroupRecord:
    rates = tuple(Rate(*(float(row["rates"][key][k]) for key in _RATE)) for k in range(len(row["rates"]["fmr"])))
    if not rates:
        raise ValueError("a certified group without a rate")
    label = {str(k): str(v) for k, v in row["group"].items()}
    return GroupRecord(label, int(row["subjects"]), int(row["pairs"]), rates)


_RATE = ("threshold", "fmr", "low", "high")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("synthetic must be true or false")
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if timestamp(moment) != text:
        raise ValueError(f"{text!r} is not a time in UTC with microseconds")
    return moment


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number")

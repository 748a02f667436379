"""What is in force for one search, and what an answer must say about it."""

import math
from dataclasses import dataclass
from typing import Any

from countenance.ledger import VerifyingKey
from countenance.policy.certificate import Certificate, GroupRecord
from countenance.policy.file import Policy

__all__ = ["Expected", "InForce", "in_force"]


@dataclass(frozen=True)
class Expected:
    """Strangers that one search is expected to return if the whole gallery were of this group.

    ``strangers`` is gallery times the measured FMR; 0 means that none was seen in the audit, and then only ``at_most``,
    by the upper bound, says something.
    """

    group: str
    strangers: float
    at_most: float


@dataclass(frozen=True)
class InForce:
    """The threshold in force, where it comes from, and how wrong a match at it may be.

    ``threshold`` and ``similarity`` are the same on two scales: comparison score, and share of strangers below it in
    per cent. ``asked`` is what the caller wanted, in per cent, and ``asked_threshold`` as a score (``inf`` where it is
    more than any audit here can tell). ``holds_up_to``: the largest gallery for which this threshold is certified.
    ``fmr`` with its 95 % interval was measured over all people at ``threshold`` or the next lower one listed; 0 means
    that no error was seen there, and then only the upper bound says something.
    ``not_tested`` names groups that the certificate lacks, those too small among them.
    """

    threshold: float
    similarity: float
    asked: float
    asked_threshold: float
    certified_threshold: float
    gallery: int
    holds_up_to: int
    target: float
    fmr: float
    fmr_interval: tuple[float, float]
    worst: Expected
    best: Expected
    certificate: str
    issuer: str
    self_issued: bool
    synthetic: bool
    not_tested: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; a threshold that no score reaches, or that every one does, is None."""
        said = vars(self) | {"worst": dict(vars(self.worst)), "best": dict(vars(self.best))}
        asked = self.asked_threshold
        threshold = self.threshold if math.isfinite(self.threshold) else None
        return said | {
            "threshold": threshold,
            "asked_threshold": asked if math.isfinite(asked) else None,
            "fmr_interval": list(self.fmr_interval),
            "not_tested": list(self.not_tested),
        }


def in_force(
    certificate: Certificate, policy: Policy, gallery: int, asked: float, operator: VerifyingKey | None
) -> InForce:
    """The stricter of what was asked and what is certified for a gallery of so many faces.

    Raises ValueError where the certificate does not vouch for the gallery: ask `decide`, which refuses before.
    """
    target = policy.certificate.strangers_per_probe
    certified = certificate.threshold_for(gallery, target)
    if certified is None:
        raise ValueError(f"no threshold is certified for {gallery} faces")
    wanted = certificate.curve.threshold(asked)
    threshold = max(certified, wanted)
    groups = [g for g in certificate.groups if g.group] or list(certificate.groups)
    ranked = sorted(groups, key=lambda g: (g.rate_at(threshold).fmr, g.rate_at(threshold).high))
    overall = next((g for g in certificate.groups if not g.group), ranked[-1]).rate_at(threshold)
    operated = operator is not None and certificate.issuer.public == operator.public
    holds = max(int(target / x.fmr * (1 + 1e-12)) for x in certificate.levels if x.threshold <= threshold)
    return InForce(
        threshold=threshold,
        similarity=certificate.curve.similarity(threshold),
        asked=asked,
        asked_threshold=wanted,
        certified_threshold=certified,
        gallery=gallery,
        holds_up_to=holds,
        target=target,
        fmr=overall.fmr,
        fmr_interval=(overall.low, overall.high),
        worst=_expected(ranked[-1], threshold, gallery),
        best=_expected(ranked[0], threshold, gallery),
        certificate=certificate.id,
        issuer=certificate.issuer.name,
        self_issued=operated,
        synthetic=certificate.synthetic,
        not_tested=tuple(name for name, _ in (*certificate.too_small, *certificate.not_tested)),
    )


def _expected(group: GroupRecord, threshold: float, gallery: int) -> Expected:
    rate = group.rate_at(threshold)
    return Expected(str(group), gallery * rate.fmr, gallery * rate.high)

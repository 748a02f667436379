"""The one place where it is decided whether something may be done, and by which rule; the only maker of a Permit.

`decide` is a function of its facts: it reads no file and no clock. The rules of ``rules.py`` are asked in their order;
the first that refuses decides, with a sentence of its own that ends in the mend. What no rule refuses is allowed. Rules
about certificates are asked for searches and comparisons only; ``forget``, by which a person finds and erases
themselves, needs none.
"""

import sys
from dataclasses import dataclass, field

from countenance.gallery import Occasion, Permit
from countenance.gallery.permit import issue
from countenance.policy.certificate import Certificate
from countenance.policy.facts import Facts
from countenance.policy.inforce import InForce, in_force
from countenance.policy.rules import MEASURED, RULES, first_refusal

__all__ = ["RULES", "Decision", "Facts", "decide"]

_ANY_GALLERY = 2**53


@dataclass(frozen=True)
class Decision:
    """Whether, why, and by which rule. ``reason`` is one sentence for the caller; a refusal's ends with the mend.

    ``permit`` comes with every allowed search (``search``, ``forget``), ``in_force`` with what an answer must say of an
    allowed search or comparison. With ``review`` candidates go out without identity (`countenance.policy.review`).
    """

    allowed: bool
    reason: str
    rule: str
    purpose: str | None = None
    basis: str | None = None
    permit: Permit | None = field(default=None, compare=False, repr=False)
    in_force: InForce | None = None
    review: bool = False


def decide(facts: Facts) -> Decision:
    """Decide. Anything not plainly allowed is refused; never raises for what the facts say."""
    basis = facts.terms.legal_basis if facts.terms else None
    refused = first_refusal(facts)
    if refused is not None:
        rule, reason = refused
        return Decision(False, reason, rule, facts.purpose, basis)
    if facts.action == "forget" and facts.permissive is not None:
        permit = _permit(facts, None, facts.permissive, _ANY_GALLERY, None)
        reason = "a person may find and erase themselves; a miss does not prove absence"
        return Decision(True, reason, "forget", permit=permit)
    if facts.action in MEASURED and facts.certificate is not None:
        return _search(facts, facts.certificate, basis)
    return Decision(True, f"the role {facts.role} may {facts.action}", "role", facts.purpose, basis)


def _search(facts: Facts, certificate: Certificate, basis: str | None) -> Decision:
    said = in_force(certificate, facts.policy, facts.gallery, facts.similarity, facts.operator)
    permit = None
    if facts.action == "search":
        threshold = min(said.threshold, sys.float_info.max)  # a finite number that no score reaches
        permit = _permit(facts, basis, threshold, said.holds_up_to, certificate.id)
    reason = f"certificate {certificate.id} vouches for {certificate.largest_gallery(said.target)} faces"
    return Decision(
        allowed=True,
        reason=f"{reason}, self-issued" if said.self_issued else reason,
        rule="certified",
        purpose=facts.purpose,
        basis=basis,
        permit=permit,
        in_force=said,
        review=facts.purpose in facts.policy.review_purposes,
    )


def _permit(facts: Facts, basis: str | None, threshold: float, gallery: int, certificate: str | None) -> Permit:
    return issue(
        decision=facts.request,
        occasion=Occasion(
            actor=facts.actor,
            operation=facts.operation,
            purpose=facts.purpose if facts.action == "search" else None,
            basis=basis,
            policy=facts.policy.digest,
            rule="certified" if certificate else "forget",
            certificate=certificate,
            started=facts.now,
        ),
        collection=facts.collection or "",
        pipeline=facts.pipeline,
        threshold=threshold,
        threshold_asked=facts.similarity if facts.action == "search" else None,
        largest_gallery=gallery,
        max_candidates=facts.max_candidates,
    )

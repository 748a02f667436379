"""The rules that refuse, in the order in which they are asked. Each says why in one sentence that ends in the mend."""

from collections.abc import Callable
from datetime import timedelta

from countenance.policy.certificate import Certificate
from countenance.policy.facts import Facts
from countenance.policy.file import Policy

__all__ = ["MEASURED", "RULES", "first_refusal"]

MEASURED = frozenset({"search", "compare"})
"""Actions that need a certificate."""
_PURPOSED = frozenset({"search", "compare", "enrol"})
_DECLARING = _PURPOSED | {"collections"}
_CERTIFY = "run: countenance certify TALLIES --key KEY"


def first_refusal(facts: Facts) -> tuple[str, str] | None:
    """(rule, reason) of the first rule that refuses; None where none does."""
    for rule, actions, refuses in _GENERAL:
        if actions is None or facts.action in actions:
            reason = refuses(facts)
            if reason is not None:
                return rule, reason
    if facts.action not in MEASURED:
        return None
    if facts.certificate is None:
        return "certificate", _no_certificate(facts)
    for rule, fails in _OF_CERTIFICATE:
        reason = fails(facts, facts.certificate)
        if reason is not None:
            return rule, reason
    return None


def _role(facts: Facts) -> str | None:
    if facts.policy.may(facts.role, facts.action):
        return None
    able = sorted(role for role in facts.policy.roles if facts.policy.may(role, facts.action))
    return (
        f"the role {facts.role} may not {facts.action} under this policy; "
        f"use a key of the role {' or '.join(able) or 'that the policy lets do this (none does)'}"
    )


def _declared(facts: Facts) -> str | None:
    if facts.terms is None and facts.action in {"search", "enrol"}:
        return "it is not known what this collection is for; name the collection"
    if facts.purpose is None:
        if facts.action == "collections":
            return None  # a collection may be made first and tagged later
        if facts.action == "compare":
            return "this key has no purpose; issue one with a purpose: countenance keys"
        return (
            "this collection declares no purpose, and the policy has none for it; "
            f"tag it: countenance:purpose = {' | '.join(_allowed_purposes(facts.policy))}"
        )
    if facts.purpose not in facts.policy.purposes:
        return (
            f"the purpose {facts.purpose!r} is not declared in the policy {facts.policy.name}; "
            f"use one of {', '.join(_allowed_purposes(facts.policy))}, or declare it there"
        )
    return None


def _allowed(facts: Facts) -> str | None:
    purpose = facts.policy.purposes.get(facts.purpose or "")
    if purpose is None or purpose.allowed:
        return None
    return (
        f"the policy {facts.policy.name} refuses the purpose {purpose.name}: {purpose.why}; "
        "only a signed change of the policy could allow it"
    )


def _key_purpose(facts: Facts) -> str | None:
    if facts.purpose in facts.key_purposes:
        return None
    has = ", ".join(facts.key_purposes) or "none"
    return (
        f"this key is not for {facts.purpose}, which the collection is for (the key has {has}); "
        "use a key with that purpose: countenance keys"
    )


def _law(facts: Facts) -> str | None:
    if facts.policy.law and not facts.whose and facts.purpose is not None:
        return "this key does not say whose it is, and a law is switched on; issue one with a class of actor"
    for entry in facts.policy.law:
        if facts.purpose is not None and entry.refuses(facts.whose, facts.purpose):
            return (
                f"the law of {entry.place} bans this: {entry.covers} (as of {entry.as_of}, {entry.source}); "
                "there is no mend here: do not do it"
            )
    return None


def _basis(facts: Facts) -> str | None:
    if facts.terms is None or facts.purpose is None:
        return None
    purpose = facts.policy.purposes[facts.purpose]
    known = " | ".join(purpose.legal_bases)
    if facts.terms.legal_basis is None:
        return (
            None
            if facts.action == "collections"
            else (f"this collection names no legal basis; tag it: countenance:legal-basis = {known}")
        )
    if facts.terms.legal_basis not in purpose.legal_bases:
        return (
            f"the legal basis {facts.terms.legal_basis!r} is not one that the policy accepts for {purpose.name}; "
            f"tag it: countenance:legal-basis = {known}"
        )
    return None


def _retention(facts: Facts) -> str | None:
    if facts.terms is None or facts.purpose is None:
        return None
    longest, days = facts.policy.purposes[facts.purpose].longest_retention_days, facts.terms.retention_days
    if days is None:
        return (
            None
            if facts.action == "collections"
            else (
                "this collection does not say how long it keeps faces; "
                f"tag it: countenance:retention-days = {longest} or less"
            )
        )
    if days > longest:
        return (
            f"this collection keeps faces for {days} days, and {facts.purpose} allows {longest}; "
            f"tag it: countenance:retention-days = {longest} or less"
        )
    return None


def _consent(facts: Facts) -> str | None:
    record, policy = facts.consent, facts.policy
    if record is None:
        if not policy.consent_required:
            return None
        return "no record of consent came with this face; give one for the collection or for the face"
    if record.until <= facts.now:
        return f"the consent of this face ended on {record.until:%Y-%m-%d}; ask the person again"
    if record.given > facts.now:
        return "the consent of this face is dated in the future; mend the record"
    if record.until - record.given > timedelta(days=policy.consent_days):
        return (
            f"the consent of this face is for longer than the policy's {policy.consent_days} days; "
            "give it an earlier end"
        )
    if record.purpose != facts.purpose:
        return (
            f"the consent of this face is for {record.purpose}, not for {facts.purpose}; "
            "ask the person again, for this purpose"
        )
    if facts.terms is not None and record.basis != facts.terms.legal_basis:
        return (
            f"the consent of this face rests on {record.basis}, and the collection on {facts.terms.legal_basis}; "
            "mend the record or the collection's tag"
        )
    return None


def _permissive(facts: Facts) -> str | None:
    if facts.permissive is not None:
        return None
    return "it is not known from which score a person may be found; give --threshold"


def _no_certificate(facts: Facts) -> str:
    fault = f" ({facts.certificate_fault})" if facts.certificate_fault else ""
    return (
        f"no audit, no search: there is no certificate for the running pipeline{fault}; "
        "run: countenance audit PHOTOS --save-tallies TALLIES, then countenance certify TALLIES --key KEY"
    )


def _untampered(certificate: Certificate) -> str | None:
    if certificate.signature_holds:
        return None
    return (
        f"certificate {certificate.id} was altered: its signature does not hold; "
        f"bring back the file as issued, or {_CERTIFY}"
    )


def _signer(facts: Facts, certificate: Certificate) -> str | None:
    rules = facts.policy.certificate
    if certificate.issuer in rules.trusted:
        return None
    if facts.operator is not None and certificate.issuer.public == facts.operator.public:
        if rules.self_issued:
            return None
        return (
            f"certificate {certificate.id} is self-issued, and the policy accepts only other signers; "
            "have one that it trusts run: countenance certify"
        )
    return (
        f"certificate {certificate.id} is signed by {certificate.issuer.name}, whom the policy does not trust; "
        f"add the signer's key to certificate.trusted, or {_CERTIFY}"
    )


def _real(facts: Facts, certificate: Certificate) -> str | None:
    if not certificate.synthetic or facts.policy.certificate.synthetic:
        return None
    return f"certificate {certificate.id} is synthetic, for benches: nothing was measured; {_CERTIFY}"


def _valid(facts: Facts, certificate: Certificate) -> str | None:
    longest = facts.policy.certificate.longest_days
    if facts.now >= certificate.ends:
        return f"certificate {certificate.id} expired on {certificate.ends:%Y-%m-%d}; audit again, then {_CERTIFY}"
    if facts.now < certificate.starts:
        begins = f"{certificate.starts:%Y-%m-%d %H:%M} UTC"
        return f"certificate {certificate.id} holds only from {begins} on; wait, or {_CERTIFY}"
    if certificate.ends - certificate.starts > timedelta(days=longest):
        return (
            f"certificate {certificate.id} was issued for longer than the policy's {longest} days; "
            f"{_CERTIFY} --days {longest}"
        )
    return None


def _measured(facts: Facts, certificate: Certificate) -> str | None:
    if certificate.pipeline == facts.pipeline:
        return None
    return (
        f"certificate {certificate.id} is of another pipeline ({certificate.pipeline[:12]}, {certificate.system}); "
        f"{facts.pipeline[:12]} runs here: audit this one, then {_CERTIFY}"
    )


def _groups(facts: Facts, certificate: Certificate) -> str | None:
    lacking = [name for name in facts.policy.certificate.groups if not certificate.certifies(name)]
    if not lacking:
        return None
    small = "; ".join(f"{group}: {why}" for group, why in certificate.too_small)
    return (
        f"certificate {certificate.id} does not certify {', '.join(lacking)}, which the policy demands"
        f"{f' ({small})' if small else ''}; audit people with that label, then {_CERTIFY} --groups {','.join(lacking)}"
    )


def _size(facts: Facts, certificate: Certificate) -> str | None:
    target = facts.policy.certificate.strangers_per_probe
    largest = certificate.largest_gallery(target)
    if facts.gallery <= largest:
        return None
    return (
        f"{facts.gallery} faces would be searched, and certificate {certificate.id} vouches for {largest} at most; "
        f"search a smaller collection, or audit more people, then {_CERTIFY}"
    )


def _allowed_purposes(policy: Policy) -> list[str]:
    return [name for name, purpose in policy.purposes.items() if purpose.allowed]


_GENERAL: tuple[tuple[str, frozenset[str] | None, Callable[[Facts], str | None]], ...] = (
    ("role", None, _role),
    ("purpose-undeclared", _DECLARING, _declared),
    ("purpose-refused", _DECLARING, _allowed),
    ("purpose-of-key", _PURPOSED, _key_purpose),
    ("law", _DECLARING, _law),
    ("legal-basis", _DECLARING, _basis),
    ("retention", _DECLARING, _retention),
    ("consent", frozenset({"enrol"}), _consent),
    ("forget", frozenset({"forget"}), _permissive),
)
_OF_CERTIFICATE: tuple[tuple[str, Callable[[Facts, Certificate], str | None]], ...] = (
    ("certificate-altered", lambda _, certificate: _untampered(certificate)),
    ("certificate-signer", _signer),
    ("certificate-synthetic", _real),
    ("certificate-validity", _valid),
    ("certificate-pipeline", _measured),
    ("certificate-groups", _groups),
    ("certificate-gallery", _size),
)
RULES = (*(rule for rule, *_ in _GENERAL), "certificate", *(rule for rule, _ in _OF_CERTIFICATE))
"""The names of all rules that refuse, in their order."""

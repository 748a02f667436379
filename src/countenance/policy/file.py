"""The policy file: what a server may be used for, on whom, and how well measured it must be.

``data/default.toml`` is the shipped policy and documents every key line by line; ``data/test.toml`` lets programs
written for AWS run unchanged. Whatever is wrong with a file is refused when it is read, with the line and the mend.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from countenance.errors import LedgerError, PolicyError
from countenance.ledger import VerifyingKey
from countenance.policy.law import ACTORS, LawEntry, law_table
from countenance.policy.signing import canonical
from countenance.policy.toml import Document, Section

__all__ = [
    "ACTIONS",
    "LEGAL_BASES",
    "ROLES",
    "CertificateRules",
    "CollectionDefaults",
    "ConsentDefaults",
    "KeyDefaults",
    "Policy",
    "Purpose",
    "load_policy",
    "read_policy",
    "shipped_policy",
]

FORMAT = "countenance-policy/1"
ACTIONS = (
    "detect",
    "read",
    "compare",
    "search",
    "enrol",
    "erase",
    "collections",
    "review",
    "forget",
    "ledger",
    "policy",
    "keys",
)
ROLES = ("reader", "operator", "auditor", "admin")
LEGAL_BASES = (
    "consent",
    "explicit-consent",
    "contract",
    "legal-obligation",
    "vital-interests",
    "public-task",
    "legitimate-interests",
)
"""What Art. 6(1) and 9(2)(a) of the GDPR know; a policy names those that it accepts for a purpose."""
_DAYS = 36_500


@dataclass(frozen=True)
class Purpose:
    """One declared purpose. A refused one says ``why`` and has no bases; an allowed one the other way round."""

    name: str
    says: str
    allowed: bool
    legal_bases: tuple[str, ...] = ()
    longest_retention_days: int = 0
    why: str = ""


@dataclass(frozen=True)
class CertificateRules:
    """What a certificate must be like.

    ``strangers_per_probe``: the expected number of strangers a search may return. ``groups`` are columns or
    ``column=value``. ``trusted`` are signers other than the operator, whose own signature counts with ``self_issued``.
    ``synthetic``: certificates made up for benches are accepted.
    """

    strangers_per_probe: float
    longest_days: int
    groups: tuple[str, ...]
    self_issued: bool
    trusted: tuple[VerifyingKey, ...]
    synthetic: bool


@dataclass(frozen=True)
class CollectionDefaults:
    """What holds for a collection that declares nothing."""

    purpose: str
    legal_basis: str
    retention_days: int


@dataclass(frozen=True)
class KeyDefaults:
    """What holds for an API key that was issued without purposes or without a class of actor."""

    purposes: tuple[str, ...]
    actor: str


@dataclass(frozen=True)
class ConsentDefaults:
    """The consent record of a face that comes without one, good for ``days``."""

    notice: str
    withdraw: str
    days: int


@dataclass(frozen=True)
class Policy:
    """A policy that was read and found whole. `digest` identifies what it says, however ``text`` spells it."""

    name: str
    version: int
    certificate: CertificateRules
    change_signers: tuple[VerifyingKey, ...]
    roles: Mapping[str, frozenset[str]]
    consent_required: bool
    consent_days: int
    review_purposes: frozenset[str]
    law: tuple[LawEntry, ...]
    purposes: Mapping[str, Purpose]
    collection_defaults: CollectionDefaults | None
    key_defaults: KeyDefaults | None
    consent_defaults: ConsentDefaults | None
    values: Mapping[str, Any]
    text: str = field(default="", repr=False, compare=False)

    @cached_property
    def digest(self) -> str:
        """sha256 over what the file says: comments, order and spelling do not count."""
        return hashlib.sha256(canonical(dict(self.values))).hexdigest()

    def may(self, role: str, action: str) -> bool:
        """Whether a role includes an action."""
        return action in self.roles.get(role, frozenset())


def load_policy(path: Path) -> Policy:
    """Read a policy file. Raises PolicyError with the line of whatever is wrong, and the mend."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror}); give a policy file") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{path}: is not UTF-8; save it as UTF-8") from None
    return read_policy(text, str(path))


def shipped_policy(name: str = "default") -> Policy:
    """The policy that comes with the package: ``default``, or ``test``. Raises PolicyError for another name."""
    if name not in {"default", "test"}:
        raise PolicyError(f"policy: none named {name!r} comes with Countenance; there are default and test")
    file = files("countenance.policy") / "data" / f"{name}.toml"
    return read_policy(file.read_text(encoding="utf-8"), f"{name}.toml")


def read_policy(text: str, name: str = "policy") -> Policy:
    """Read a policy from its text; ``name`` is what errors call it. Raises PolicyError."""
    document = Document.read(name, text)
    top = Section(document)
    if top.text("format") != FORMAT:
        top.refuse("format", f"is not {FORMAT}", f'write format = "{FORMAT}", or use the version that wrote this')
    purposes = {key: _purpose(key, part) for key, part in top.section("purposes").sections()}
    consent, review, law = top.section("consent"), top.section("review"), top.section("law")
    changes = top.section("changes")
    collection, key, given = _defaults(top, purposes)
    policy = Policy(
        name=top.text("name"),
        version=top.whole("version", 1, 2**31),
        certificate=_certificate(top.section("certificate")),
        change_signers=_keys(changes, "signers"),
        roles=_roles(top.section("roles")),
        consent_required=consent.flag("required"),
        consent_days=consent.whole("longest_days", 1, _DAYS),
        review_purposes=_reviewed(review, purposes),
        law=tuple(law_table()[one] for one in law.texts("in_force", law_table())),
        purposes=purposes,
        collection_defaults=collection,
        key_defaults=key,
        consent_defaults=given,
        values=document.values,
        text=text,
    )
    for part in (consent, review, law, changes, top):
        part.done()
    _agree(policy, document)
    return policy


def _certificate(part: Section) -> CertificateRules:
    found = CertificateRules(
        strangers_per_probe=part.share("strangers_per_probe"),
        longest_days=part.whole("longest_days", 1, _DAYS),
        groups=part.texts("groups"),
        self_issued=part.flag("self_issued"),
        trusted=_keys(part, "trusted"),
        synthetic=part.flag("synthetic"),
    )
    part.done()
    if not found.self_issued and not found.trusted:
        part.refuse("self_issued", "is false and nobody is trusted, so no certificate could hold", "name a signer")
    return found


def _keys(part: Section, key: str) -> tuple[VerifyingKey, ...]:
    found = []
    for line in part.texts(key):
        try:
            found.append(VerifyingKey.parse(line))
        except LedgerError as error:
            part.refuse(key, f"{line[:40]!r} is not a public key ({error})", "copy the whole line")
    return tuple(found)


def _roles(part: Section) -> dict[str, frozenset[str]]:
    found = {role: frozenset(part.texts(role, ACTIONS)) for role in ROLES}
    part.done()
    return found


def _purpose(name: str, part: Section) -> Purpose:
    says, allowed = part.text("says"), part.flag("allowed")
    if not allowed:
        for key in ("legal_bases", "longest_retention_days"):
            if key in part:
                part.refuse(key, "contradicts allowed = false", "delete the line, or allow the purpose")
        found = Purpose(name, says, allowed, why=part.text("why"))
    else:
        if "why" in part:
            part.refuse("why", "tells why a purpose is refused, and this one is allowed", "delete the line")
        bases = part.texts("legal_bases", LEGAL_BASES)
        if not bases:
            part.refuse("legal_bases", "is empty, and an allowed purpose needs one", "name one, or refuse the purpose")
        found = Purpose(name, says, allowed, bases, part.whole("longest_retention_days", 1, _DAYS))
    part.done()
    return found


def _reviewed(part: Section, purposes: Mapping[str, Purpose]) -> frozenset[str]:
    part.whole("reviewers", 2, 2)
    found = part.texts("purposes", purposes)
    for one in found:
        if not purposes[one].allowed:
            part.refuse("purposes", f"{one!r} is refused, so there is nothing to review", "take it out")
    return frozenset(found)


def _defaults(
    top: Section, purposes: Mapping[str, Purpose]
) -> tuple[CollectionDefaults | None, KeyDefaults | None, ConsentDefaults | None]:
    """The optional defaults; a purpose by default must be declared and allowed, like any other."""
    if "defaults" not in top:
        return None, None, None
    part = top.section("defaults")
    collection, key, consent = None, None, None
    if "collection" in part:
        sub = part.section("collection")
        purpose = purposes[sub.text("purpose", purposes)]
        _allowed(sub, "purpose", purpose)
        days = sub.whole("retention_days", 1, _DAYS)
        if days > purpose.longest_retention_days:
            longest = f"{purpose.name} allows {purpose.longest_retention_days}"
            sub.refuse("retention_days", f"{days} days, and the purpose {longest}", "give no more")
        collection = CollectionDefaults(purpose.name, sub.text("legal_basis", purpose.legal_bases), days)
        sub.done()
    if "key" in part:
        sub = part.section("key")
        key = KeyDefaults(sub.texts("purposes", purposes), sub.text("actor", ACTORS))
        for name in key.purposes:
            _allowed(sub, "purposes", purposes[name])
        sub.done()
    if "consent" in part:
        sub = part.section("consent")
        consent = ConsentDefaults(sub.text("notice"), sub.text("withdraw"), sub.whole("days", 1, _DAYS))
        sub.done()
    part.done()
    return collection, key, consent


def _allowed(part: Section, key: str, purpose: Purpose) -> None:
    if not purpose.allowed:
        part.refuse(key, f"{purpose.name!r} is refused by this policy", "name an allowed purpose, or allow it")


def _agree(policy: Policy, document: Document) -> None:
    """Rules that contradict each other across tables."""
    for entry in policy.law:
        for name in sorted(entry.refused_to_all & policy.purposes.keys()):
            if policy.purposes[name].allowed:
                why = f"is allowed here, and the law switched on for {entry.place} refuses it to all"
                document.refuse(("purposes", name, "allowed"), why, "refuse it, or take the entry out of law.in_force")
    given = policy.consent_defaults
    if given is not None and given.days > policy.consent_days:
        fault = f"{given.days} days, and consent.longest_days is {policy.consent_days}"
        document.refuse(("defaults", "consent", "days"), fault, "give no more")
    if policy.review_purposes and not any(policy.may(role, "review") for role in ROLES):
        document.refuse(("review", "purposes"), "asks for reviews, and no role may review", 'add "review" to a role')
    for name in policy.certificate.groups:
        column, equals, value = name.partition("=")
        if not column.strip() or (equals and not value.strip()):
            document.refuse(("certificate", "groups"), f"{name!r} names no group", 'write "column" or "column=value"')

"""What the transparency report counts: a ledger's records by month, purpose and class of actor; no person, no id."""

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from countenance.errors import PolicyError
from countenance.ledger import Entry, Kind, Record
from countenance.policy import ACTORS, Policy, read_policy, shipped_policy

__all__ = ["ERASED", "REFUSED", "REVIEWED", "UNDECLARED", "Counting", "Month"]

Month = tuple[int, int]
UNDECLARED = "not declared"
OTHER = "other"
NO_SCORE = 1e300  # a threshold that no score reaches stands for "nothing may be found"

ERASED = {
    "request": "on request, by whoever holds the collection",
    "forget": "because the person asked for it",
    "consent withdrawn": "because consent was withdrawn",
    "expired": "because consent had ended",
    "collection deleted": "with their whole collection",
    "restore": "again, after a backup was restored",
    OTHER: "for another reason",
}
REFUSED = {
    "role": "the key's role does not include it",
    "purpose-undeclared": "no purpose, or one that nobody declared",
    "purpose-refused": "a purpose that the policy refuses",
    "purpose-of-key": "a purpose that the key does not have",
    "law": "the law bans it",
    "legal-basis": "no legal basis, or one that is not accepted",
    "retention": "kept without end, or too long",
    "consent": "no consent, or none that covers it",
    "forget": "a person's own search, without a threshold",
    "certificate": "no certificate",
    "certificate-altered": "a certificate that was altered",
    "certificate-signer": "a certificate by somebody who is not trusted",
    "certificate-synthetic": "a made-up certificate",
    "certificate-validity": "a certificate that had expired or not begun",
    "certificate-pipeline": "a certificate of another pipeline",
    "certificate-groups": "a certificate that lacks a group",
    "certificate-gallery": "more faces than the certificate vouches for",
    "review": "two people must look first",
    "purpose-of-faces": "another purpose than the people agreed to",
    OTHER: "another rule",
}
REVIEWED = {
    "opened": "opened",
    "match": "ended: both people named the same candidate",
    "agreed on nobody": "ended: both people said it is nobody",
    "no match: disagreed": "ended without a match: the two disagreed",
    "expired": "lapsed: its time was over",
    "identity given": "an identity was told, after both had named it",
}


@dataclass
class Span:
    """How many numbers there were, and between which they lie."""

    count: int = 0
    lowest: float = math.inf
    highest: float = -math.inf

    def take(self, number: float) -> None:
        """Take one more."""
        self.count, self.lowest, self.highest = self.count + 1, min(self.lowest, number), max(self.highest, number)


@dataclass
class Counting:
    """Counts up what it sees, record by record. ``first`` and ``last`` bound the months that count (both included)."""

    first: Month | None = None
    last: Month | None = None
    months: Counter[Month] = field(default_factory=Counter)
    searches: dict[str, Counter[str]] = field(default_factory=lambda: {k: Counter() for k in ("purpose", "actor")})
    hits: dict[str, Counter[str]] = field(default_factory=lambda: {k: Counter() for k in ("purpose", "actor")})
    searched_in: Counter[Month] = field(default_factory=Counter)
    hits_in: Counter[Month] = field(default_factory=Counter)
    own_searches: int = 0
    comparisons: int = 0
    matched: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    enrolled: int = 0
    erased: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    thresholds: dict[str, Span] = field(default_factory=dict)
    largest: int = 0
    policies: list[tuple[datetime, Policy]] = field(default_factory=list)
    certificates: dict[str, tuple[datetime, Entry]] = field(default_factory=dict)
    replaced: list[datetime] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)
    _actors: dict[str, str] = field(default_factory=dict)
    _by_digest: dict[str, Policy] = field(default_factory=dict)

    def see(self, record: Record) -> None:
        """Count one record; policies, certificates and keys are kept whenever they were."""
        entry = record.entry
        match entry.kind:
            case Kind.POLICY:
                self._policy(entry)
            case Kind.CERTIFICATE if entry.certificate:
                self.certificates.setdefault(entry.certificate, (entry.ended, entry))
            case Kind.KEY:
                self._key(entry)
        month = (entry.ended.year, entry.ended.month)
        if (self.first is None or month >= self.first) and (self.last is None or month <= self.last):
            self.months[month] += 1
            self._count(entry, month)

    def _count(self, entry: Entry, month: Month) -> None:
        match entry.kind:
            case Kind.SEARCH if entry.rule == "forget":
                self.own_searches += 1
            case Kind.SEARCH:
                self._search(entry, month)
            case Kind.COMPARISON:
                self.comparisons += 1
                self.matched += bool(entry.candidates)
            case Kind.REFUSAL:
                self.refusals[entry.rule if entry.rule in REFUSED else OTHER] += 1
            case Kind.ENROLMENT:
                self.enrolled += len(entry.faces)
            case Kind.ERASURE:
                self.erased[entry.reason if entry.reason in ERASED else OTHER] += len(entry.faces)
            case Kind.REVIEW if entry.reason in REVIEWED:
                self.reviews[entry.reason] += 1

    def _search(self, entry: Entry, month: Month) -> None:
        found = 1 if entry.candidates else 0
        declared = self.declared or set(shipped_policy().purposes)
        purpose = UNDECLARED if entry.purpose is None else entry.purpose if entry.purpose in declared else OTHER
        actor = self._actors.get(entry.actor) or self._default_actor(entry)
        for by, name in (("purpose", purpose), ("actor", actor)):
            self.searches[by][name] += 1
            self.hits[by][name] += found
        self.searched_in[month] += 1
        self.hits_in[month] += found
        self.largest = max(self.largest, entry.gallery_size or 0)
        if entry.threshold is not None and entry.threshold < NO_SCORE:
            self.thresholds.setdefault(entry.pipeline or "", Span()).take(entry.threshold)

    def _default_actor(self, entry: Entry) -> str:
        policy = self._by_digest.get(entry.policy or "")
        default = policy.key_defaults if policy is not None else None
        return default.actor if default is not None else UNDECLARED

    def _policy(self, entry: Entry) -> None:
        try:
            policy = read_policy(entry.detail.get("text", ""), "policy in the ledger")
        except PolicyError:
            return  # `countenance policy history` says what is wrong with it
        self.policies.append((entry.ended, policy))
        self.declared |= policy.purposes.keys()
        self._by_digest[policy.digest] = policy

    def _key(self, entry: Entry) -> None:
        if "ledger_key_new" in entry.detail:
            self.replaced.append(entry.ended)
        elif entry.detail.get("actor") in ACTORS and "key" in entry.detail:
            self._actors[entry.detail["key"]] = entry.detail["actor"]

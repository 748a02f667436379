"""The facts that a decision rests on."""

from dataclasses import dataclass
from datetime import datetime

from countenance.gallery import Consent
from countenance.ledger import VerifyingKey
from countenance.policy.certificate import Certificate
from countenance.policy.file import Policy
from countenance.policy.terms import Terms

__all__ = ["Facts"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a decision rests on.

    ``action`` is one of `countenance.policy.ACTIONS`, ``operation`` what was called, ``request`` names the request.
    ``actor``, ``role``, ``actor_class`` and ``purposes`` are the API key's. ``terms`` are the collection's; for
    ``compare`` there is none. ``pipeline`` is the digest of the one that runs, ``certificate`` the one at hand and
    ``certificate_fault`` why there is none. ``operator`` is this server's own public key. ``gallery`` counts the faces
    searched (for ``compare`` those in the target photo). ``similarity`` is what the caller asked for, in per cent.
    ``consent`` is the reference's record, for ``enrol``. ``permissive`` is the comparison score from which ``forget``
    shows a candidate to the operator.
    """

    action: str
    operation: str
    request: str
    now: datetime
    policy: Policy
    actor: str
    role: str
    pipeline: str
    actor_class: str | None = None
    purposes: tuple[str, ...] = ()
    collection: str | None = None
    terms: Terms | None = None
    certificate: Certificate | None = None
    certificate_fault: str | None = None
    operator: VerifyingKey | None = None
    gallery: int = 0
    similarity: float = 80.0
    max_candidates: int = 80
    consent: Consent | None = None
    permissive: float | None = None

    @property
    def key_purposes(self) -> tuple[str, ...]:
        """The key's purposes, or the policy's default for a key without any."""
        default = self.policy.key_defaults
        return self.purposes or (default.purposes if default else ())

    @property
    def whose(self) -> str:
        """The key's class of actor, or the policy's default; empty when neither says."""
        default = self.policy.key_defaults
        return self.actor_class or (default.actor if default else "")

    @property
    def purpose(self) -> str | None:
        """The purpose of this request: the collection's; of a comparison, the key's first that the policy allows."""
        if self.terms is not None:
            return self.terms.purpose
        declared = self.policy.purposes
        allowed = [p for p in self.key_purposes if p in declared and declared[p].allowed]
        return next(iter(allowed or self.key_purposes), None)

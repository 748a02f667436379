"""The desk at which every request stops: facts are gathered, the policy decides, and a refusal is in the ledger.

Operations, the command line and Python all come here; nothing else in the service asks `policy.decide`.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from countenance.errors import CertificateError, InputError, PolicyError
from countenance.gallery import Collection, Gallery, Occasion, entry_of
from countenance.ledger import Entry, Kind, Record
from countenance.policy import Certificate, Decision, Facts, Policy, Terms, decide, load_certificate, terms_of
from countenance.service.caller import Call
from countenance.service.failures import Refused, WireError

__all__ = ["CertificateFile", "Desk"]

_PURPOSED = frozenset({"search", "enrol", "collections"})  # actions for which it counts what a collection is for


class CertificateFile:
    """The certificate in a file, read again when the file changes: a server is certified without being restarted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading = threading.Lock()
        self._mark: tuple[int, int, int] | None = None
        self._found: Certificate | None = None
        self._fault: str | None = None

    def read(self) -> tuple[Certificate | None, str | None]:
        """The certificate, or why there is none. One that did not change is the same object, checked once."""
        try:
            about = self.path.stat()
        except OSError:
            return None, f"{self.path.name} is not there"
        mark = (about.st_mtime_ns, about.st_size, about.st_ino)
        with self._reading:
            if mark != self._mark:
                try:
                    self._found, self._fault = load_certificate(self.path), None
                except (CertificateError, InputError) as error:
                    # It goes to clients, who need not know where files lie.
                    self._found, self._fault = None, str(error).replace(str(self.path), self.path.name)
                self._mark = mark
            return self._found, self._fault


class Desk:
    """Where it is decided whether a call may do what it asks for.

    Args:
        gallery: whose collections are asked for, and whose ledger is written.
        pipeline: digest of the pipeline that runs.
        policy: the one in force.
        certificates: where the certificate lies.
    """

    def __init__(self, gallery: Gallery, pipeline: str, policy: Policy, certificates: CertificateFile) -> None:
        self.gallery, self.pipeline, self.policy, self.certificates = gallery, pipeline, policy, certificates
        self._noting = threading.Lock()
        self._noted: str | None = None

    def ask(self, call: Call, action: str, **facts: Any) -> Decision:
        """Decide one action of a call; ``facts`` are further members of `policy.Facts`.

        Raises Refused, after writing the refusal to the ledger.
        """
        decision, _ = self.ask_certified(call, action, **facts)
        return decision

    def ask_certified(self, call: Call, action: str, **facts: Any) -> tuple[Decision, Certificate | None]:
        """The same, and the certificate that the decision rests on, whose scale an answer is given on."""
        certificate, fault = self.certificates.read()
        asked = Facts(
            action=action,
            operation=call.operation,
            request=call.id,
            now=datetime.now(UTC),
            policy=self.policy,
            actor=call.caller.key_id,
            role=call.caller.role,
            pipeline=self.pipeline,
            actor_class=call.caller.actor,
            purposes=call.caller.purposes,
            certificate=certificate,
            certificate_fault=fault,
            operator=self.gallery.ledger.key,
            **facts,
        )
        decision = decide(asked)
        if not decision.allowed:
            self.refuse(call, decision.rule, decision.reason, asked.collection, decision)
        if decision.in_force is not None and certificate is not None:
            self._note(certificate, call)
        return decision, certificate

    def ask_role(self, call: Call, action: str, name: str) -> None:
        """Refuse a role that may not do this at all; asked before a collection is looked up, so that a key which may
        not do something with a collection does not learn whether there is one.
        """
        if not self.policy.may(call.caller.role, action):
            self.ask(call, action, collection=name)

    def ask_of(self, call: Call, action: str, name: str, **facts: Any) -> tuple[Decision, Collection]:
        """Decide an action on one collection, which must be there: its terms and size are part of the facts.

        Raises NotFoundError, or Refused.
        """
        decision, _, collection = self.ask_certified_of(call, action, name, **facts)
        return decision, collection

    def ask_certified_of(
        self, call: Call, action: str, name: str, **facts: Any
    ) -> tuple[Decision, Certificate | None, Collection]:
        """The same, with the certificate that the decision rests on."""
        self.ask_role(call, action, name)
        if action in _PURPOSED and "terms" not in facts:
            collection, tags = self.gallery.described(name)
            facts["terms"] = self.terms(tags)
        else:
            collection = self.gallery.collection(name)
        facts = {"gallery": collection.faces} | facts
        return *self.ask_certified(call, action, collection=name, **facts), collection

    def terms(self, tags: Mapping[str, str]) -> Terms:
        """What a collection with these tags is for. Raises WireError for a tag that says nothing sensible."""
        try:
            return terms_of(tags, self.policy)
        except PolicyError as error:
            raise WireError("InvalidParameterException", str(error)) from None

    def terms_now(self, name: str) -> Terms:
        """What a collection is for. Raises NotFoundError, or WireError."""
        return self.terms(self.gallery.tags(name))

    def occasion(self, call: Call, decision: Decision) -> Occasion:
        """What the ledger says of a call: who, through what, what for, and by which rule."""
        said = decision.in_force
        return Occasion(
            actor=call.caller.key_id,
            operation=call.operation,
            purpose=decision.purpose,
            basis=decision.basis,
            policy=self.policy.digest,
            rule=decision.rule,
            certificate=said.certificate if said else None,
            started=call.started,
        )

    def refuse(
        self, call: Call, rule: str, reason: str, collection: str | None = None, decision: Decision | None = None
    ) -> NoReturn:
        """Refuse what no rule of the policy could know of, and say so in the ledger first. Raises Refused."""
        occasion = self.occasion(call, decision or Decision(False, reason, rule))
        self.gallery.ledger.refuse(replace(occasion, rule=rule), reason, collection)
        raise Refused(rule, reason)

    def _note(self, certificate: Certificate, call: Call) -> None:
        """Say in the ledger, once and before the first answer under it, that a certificate has come into force.

        One transaction looks and says, so that of several processes one says it.
        """
        if self._noted == certificate.id:
            return
        with self._noting:
            if self._noted != certificate.id:
                self.gallery.ledger.follow(Kind.CERTIFICATE, lambda last: self._came(certificate, call, last))
                self._noted = certificate.id

    def _came(self, certificate: Certificate, call: Call, last: Record | None) -> Entry | None:
        """The entry, unless the last one of its kind says the same."""
        if last is not None:
            known = last.entry.certificate, last.entry.pipeline, last.entry.policy
            if known == (certificate.id, self.pipeline, self.policy.digest):
                return None
        occasion = Occasion(
            actor="countenance",
            operation=call.operation,
            policy=self.policy.digest,
            rule="certified",
            certificate=certificate.id,
        )
        detail = {"issuer": str(certificate.issuer), "until": f"{certificate.ends:%Y-%m-%dT%H:%M:%SZ}"}
        return entry_of(Kind.CERTIFICATE, occasion, pipeline=self.pipeline, detail=detail)

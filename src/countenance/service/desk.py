"""The desk at which every request stops: facts are gathered, the policy decides, and a refusal is in the ledger.

Operations, the command line and Python all come here; nothing else in the service asks `policy.decide`.
"""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from countenance.errors import CertificateError, InputError, PolicyError
from countenance.gallery import Collection, Gallery, Occasion, entry_of
from countenance.ledger import Kind
from countenance.policy import Certificate, Decision, Facts, Policy, Terms, decide, load_certificate, terms_of
from countenance.service.caller import Call
from countenance.service.failures import Refused, WireError

__all__ = ["CertificateFile", "Desk"]


class CertificateFile:
    """The certificate in a file, read again when the file changes: a server is certified without being restarted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading = threading.Lock()
        self._mark: tuple[int, int, int] | None = None
        self._found: Certificate | None = None
        self._fault: str | None = f"{path} is not there"

    def read(self) -> tuple[Certificate | None, str | None]:
        """The certificate, or why there is none."""
        try:
            about = self.path.stat()
        except OSError:
            return None, f"{self.path} is not there"
        mark = (about.st_mtime_ns, about.st_size, about.st_ino)
        with self._reading:
            if mark != self._mark:
                try:
                    self._found, self._fault = load_certificate(self.path), None
                except (CertificateError, InputError) as error:
                    self._found, self._fault = None, str(error)
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
        self._noted: str | None = None

    def ask(self, call: Call, action: str, **facts: Any) -> Decision:
        """Decide one action of a call; ``facts`` are further members of `policy.Facts`.

        Raises Refused, after writing the refusal to the ledger.
        """
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
            self.gallery.ledger.refuse(self.occasion(call, decision), decision.reason, asked.collection)
            raise Refused(decision.rule, decision.reason)
        if decision.in_force is not None and certificate is not None:
            self._note(certificate, call)
        return decision

    def terms(self, tags: Mapping[str, str]) -> Terms:
        """What a collection with these tags is for. Raises WireError for a tag that says nothing sensible."""
        try:
            return terms_of(tags, self.policy)
        except PolicyError as error:
            raise WireError("InvalidParameterException", str(error)) from None

    def ask_of(self, call: Call, action: str, name: str, **facts: Any) -> tuple[Decision, Collection]:
        """The same for an action on one collection, which must be there: its terms and size are part of the facts.

        Raises NotFoundError, or Refused.
        """
        collection = self.gallery.collection(name)
        terms = self.terms(self.gallery.tags(name))
        facts = {"gallery": collection.faces} | facts
        return self.ask(call, action, collection=name, terms=terms, **facts), collection

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

    def _note(self, certificate: Certificate, call: Call) -> None:
        """Say in the ledger, once, that a certificate has come into force."""
        if self._noted == certificate.id:
            return
        self._noted = certificate.id
        occasion = Occasion(actor="countenance", operation=call.operation, policy=self.policy.digest, rule="certified")
        detail = {"issuer": str(certificate.issuer), "until": f"{certificate.ends:%Y-%m-%dT%H:%M:%SZ}"}
        self.gallery.ledger.record(
            entry_of(Kind.CERTIFICATE, occasion, certificate=certificate.id, pipeline=self.pipeline, detail=detail)
        )

"""The counter: the server's own desk, for people who work on the machine where the data folder lies.

The command line goes through the same desk as the network: the same policy, permits and ledger. Who stands at the
counter shows the secret of an API key; otherwise one person could act for two. Whoever can read the data folder can
read every secret in it, and this cannot stop them.
"""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from countenance.errors import InputError
from countenance.gallery import Gallery, open_gallery
from countenance.ledger import Kind
from countenance.policy import Policy, enact_file, in_force_now
from countenance.service.caller import Call, Caller
from countenance.service.consents import ConsentRegister
from countenance.service.desk import CertificateFile, Desk
from countenance.service.keyring import KeyRing
from countenance.service.settings import Settings

__all__ = ["Counter", "open_counter", "sign_in"]


@dataclass(frozen=True)
class Counter:
    """The desk, the records of consent, and who stands there. ``call`` makes a request in their name."""

    desk: Desk
    consents: ConsentRegister
    caller: Caller

    def call(self, operation: str) -> Call:
        """A request of the person at the counter."""
        return Call(f"countenance {operation}", self.caller)


def sign_in(keyring: KeyRing, key_id: str, secret: str) -> Caller:
    """Who holds this key. Raises InputError for an unknown or revoked key, or a secret that is not its own."""
    key = keyring.find(key_id)
    if key is None or not hmac.compare_digest(key.secret.encode(), secret.encode()):
        raise InputError(
            f"key {key_id}: there is none, or the secret is not its own; "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key from: countenance keys"
        )
    return Caller(key.key_id, key.role, key.purposes, key.actor)


@contextmanager
def open_counter(settings: Settings, key_id: str, secret: str, *, pipeline: str = "") -> Iterator[Counter]:
    """Open the data folder of a server, also while the server runs, and sign in.

    ``pipeline`` is the digest of the one that searches, needed for searches alone. Raises InputError where no server's
    data lie, or for a key that does not hold.
    """
    data = settings.data
    if not (data / "faces.keys").is_file():  # a typing error must not found a new gallery
        raise InputError(f"{data}: no gallery lies there; give the server's data folder with --data")
    caller = sign_in(KeyRing(data), key_id, secret)
    with open_gallery(data, settings.database, search=settings.search) as gallery:
        policy = _policy(gallery, settings)
        certificates = CertificateFile(settings.certificate or data / "certificate.json")
        register = ConsentRegister(settings.consents or data / "consents.csv", policy)
        yield Counter(Desk(gallery, pipeline, policy, certificates), register, caller)


def _policy(gallery: Gallery, settings: Settings) -> Policy:
    """The policy that the ledger says is in force, whatever file lies there now; the first one, where there is none."""
    for _ in gallery.ledger.records(kinds=[Kind.POLICY]):
        return in_force_now(gallery.ledger)
    return enact_file(gallery.ledger, settings.data, settings.policy)

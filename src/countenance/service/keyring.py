"""API keys: who may call, in which role, for which purposes. One file, that only its owner reads.

Signatures are checked by computing them again, so the secrets lie in the file as they are: guard it like the gallery's
keys. A revoked key stays in the list, without its secret.
"""

import fcntl
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from countenance.errors import InputError
from countenance.files import write_whole
from countenance.gallery import Ledger, Occasion, entry_of
from countenance.ledger import Kind
from countenance.policy import ACTORS, ROLES, Policy

__all__ = ["KEY_FILE", "ApiKey", "KeyRing"]

KEY_FILE = "api-keys.json"
_FORMAT = "countenance-api-keys/1"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LABEL = 64
_PURPOSE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_BY_HAND = "countenance keys"


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """One key. ``label`` is for the operator's eyes and names no person; ``secret`` is empty once it is revoked."""

    key_id: str
    secret: str = field(repr=False)
    role: str
    purposes: tuple[str, ...] = ()
    actor: str | None = None
    label: str = ""
    issued: datetime
    revoked: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """What may be shown: everything but the secret."""
        return {
            "id": self.key_id,
            "role": self.role,
            "purposes": list(self.purposes),
            "actor": self.actor,
            "label": self.label,
            "issued": _text(self.issued),
            "revoked": None if self.revoked is None else _text(self.revoked),
        }


class KeyRing:
    """The keys in ``folder / "api-keys.json"`` (mode 0600), for any number of threads and processes.

    What another process issues or revokes is known at the next ``find``. Every method raises InputError for a file that
    others can read, or that is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / KEY_FILE
        self._reading = threading.Lock()
        self._mark: tuple[int, int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def find(self, key_id: str) -> ApiKey | None:
        """The key of this id, unless there is none or it is revoked."""
        key = self._read().get(key_id)
        return None if key is None or key.revoked is not None else key

    def keys(self) -> tuple[ApiKey, ...]:
        """All keys, revoked ones too, in the order in which they were issued."""
        return tuple(self._read().values())

    def issue(
        self,
        role: str,
        purposes: Sequence[str] = (),
        actor: str | None = None,
        label: str = "",
        *,
        policy: Policy | None = None,
        ledger: Ledger | None = None,
    ) -> ApiKey:
        """Make a key; the secret is in the answer and, from then on, only in the file.

        ``role`` is one of `policy.ROLES`, ``actor`` one of `policy.ACTORS`. With a policy, its purposes alone are
        known. With a ledger, the key is entered there, by its id, before it is good for anything. Raises InputError.
        """
        _check(role, purposes, actor, label, policy)
        key = ApiKey(
            key_id="AKIA" + "".join(secrets.choice(_LETTERS) for _ in range(16)),
            secret=secrets.token_urlsafe(30),
            role=role,
            purposes=tuple(dict.fromkeys(purposes)),
            actor=actor,
            label=label,
            issued=datetime.now(UTC).replace(microsecond=0),
        )
        with self._changing() as keys:
            if ledger is not None:
                _enter(ledger, key, "issued")
            keys[key.key_id] = key
        return key

    def revoke(self, key_id: str, *, ledger: Ledger | None = None) -> ApiKey:
        """End a key, for good and at once; its secret is taken out of the file. Raises InputError for an unknown id."""
        with self._changing() as keys:
            key = keys.get(key_id)
            if key is None:
                raise InputError(f"{key_id}: no such key; `countenance keys list` shows them")
            if key.revoked is not None:
                raise InputError(f"{key_id}: was revoked at {_text(key.revoked)} already")
            gone = replace(key, secret="", revoked=datetime.now(UTC).replace(microsecond=0))
            keys[key_id] = gone
        if ledger is not None:
            _enter(ledger, gone, "revoked")
        return gone

    def _read(self) -> dict[str, ApiKey]:
        """The keys as they are in the file now; it is read only if it changed."""
        try:
            about = os.stat(self.path)
        except FileNotFoundError:
            return {}
        mark = (about.st_ino, about.st_mtime_ns, about.st_size, about.st_mode)
        with self._reading:
            if mark != self._mark:
                self._mark, self._keys = None, _load(self.path)
                self._mark = mark
            return self._keys

    @contextmanager
    def _changing(self) -> Iterator[dict[str, ApiKey]]:
        """The keys, to be changed; written when the block ends well. One process and thread at a time."""
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            keys = _load(self.path) if self.path.exists() else {}
            yield keys
            _save(self.path, keys)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check(role: str, purposes: Sequence[str], actor: str | None, label: str, policy: Policy | None) -> None:
    if role not in ROLES:
        raise InputError(f"role: {role!r} is none; use one of {', '.join(ROLES)}")
    if actor is not None and actor not in ACTORS:
        raise InputError(f"actor: {actor!r} is none; use one of {', '.join(ACTORS)}")
    if len(label) > _LABEL or not label.isprintable():
        raise InputError(f"label: longer than {_LABEL} characters, or not printable; say in a few words what it is for")
    for purpose in purposes:
        if not _PURPOSE.fullmatch(purpose):
            raise InputError(f"purpose: {purpose!r}; write it in small letters, digits and hyphens")
        if policy is not None and purpose not in policy.purposes:
            known = ", ".join(sorted(policy.purposes))
            raise InputError(f"purpose: {purpose!r} is not declared in the policy {policy.name}, which knows {known}")


def _enter(ledger: Ledger, key: ApiKey, done: str) -> None:
    detail = {"key": key.key_id, "done": done, "role": key.role}
    if key.purposes:
        detail["purposes"] = ",".join(key.purposes)
    if key.actor is not None:
        detail["actor"] = key.actor
    ledger.record(entry_of(Kind.KEY, Occasion(actor=_BY_HAND, operation=f"key {done}"), detail=detail))


def _load(path: Path) -> dict[str, ApiKey]:
    try:
        with open(path, "rb") as file:
            open_to_others = os.fstat(file.fileno()).st_mode & 0o077
            data = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run as the user that owns it") from None
    if open_to_others:
        raise InputError(f"{path}: others can read these secrets; chmod 600 it, and issue new keys")
    try:
        found = json.loads(data)
        if found["format"] != _FORMAT:
            raise InputError(f"{path}: of the format {found['format']!r}, this program knows {_FORMAT}")
        keys = [_key(said) for said in found["keys"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a file of API keys, or damaged; bring it back from a backup") from None
    return {key.key_id: key for key in keys}


def _key(said: dict[str, Any]) -> ApiKey:
    texts = (said["id"], said["secret"], said["role"], said["label"], *said["purposes"])
    if not isinstance(said["purposes"], list) or not all(isinstance(text, str) for text in texts):
        raise ValueError
    if said["role"] not in ROLES:
        raise ValueError
    if said["actor"] is not None and said["actor"] not in ACTORS:
        raise ValueError
    if said["revoked"] is None and len(said["secret"]) < 32:
        raise ValueError
    return ApiKey(
        key_id=said["id"],
        secret=said["secret"],
        role=said["role"],
        purposes=tuple(said["purposes"]),
        actor=said["actor"],
        label=said["label"],
        issued=_moment(said["issued"]),
        revoked=None if said["revoked"] is None else _moment(said["revoked"]),
    )


def _save(path: Path, keys: dict[str, ApiKey]) -> None:
    """Replace the file whole: whoever reads sees the old one or the new one, also after a crash."""
    said = {"format": _FORMAT, "keys": [key.to_json() | {"secret": key.secret} for key in keys.values()]}
    write_whole(path, json.dumps(said, indent=1), 0o600)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)

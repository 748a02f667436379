"""Signed tree heads, and the keys that sign them.

A head is a checkpoint of the C2SP (c2sp.org/tlog-checkpoint, signed-note): four lines of text and a signature line, so
that witnesses and tools made for other transparency logs can keep and check it.

    countenance/0f3a9c11                                the log's name
    2041                                                number of entries
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=        root
    time 2026-11-23T01:02:03.000004Z                    when it was signed

    — countenance/0f3a9c11 Az3grlgtzPICa5OS8npVmf1...   4 bytes of key id, 64 of Ed25519 signature

Keys are one line of text as well, in the spelling of Go's ``sumdb/note``.
"""

import base64
import os
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from countenance.errors import LedgerError, UnavailableError
from countenance.ledger.entries import _moment, timestamp

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["SigningKey", "TreeHead", "VerifyingKey", "head_of"]

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_EXTRA = "signatures need an extra: pip install 'countenance[serve]'"
_NAME = re.compile(r"[^\s+]{1,200}")


@dataclass(frozen=True)
class TreeHead:
    """The state of the log named ``origin``: ``size`` entries under ``root`` (32 bytes), at ``time``."""

    origin: str
    size: int
    root: bytes
    time: datetime

    def text(self) -> str:
        """The lines that are signed."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\ntime {timestamp(self.time)}\n"

    @classmethod
    def parse(cls, text: str) -> "TreeHead":
        """Read those lines. Raises LedgerError unless they are exactly what ``text`` writes."""
        try:
            origin, size, root, time = text.removesuffix("\n").split("\n")
            head = cls(origin, int(size), base64.b64decode(root, validate=True), _moment(time.removeprefix("time ")))
        except ValueError:
            raise LedgerError("head: not the four lines of a tree head; take it as it was published") from None
        if head.text() != text or len(head.root) != 32 or head.size < 0:
            raise LedgerError("head: not in canonical form; take it as it was published")
        return head


def head_of(note: str) -> TreeHead:
    """What a signed note says; its signatures are not looked at. Raises LedgerError."""
    body, blank, _ = note.rpartition("\n\n")
    if not blank:
        raise LedgerError("head: no signature; take it as it was published")
    return TreeHead.parse(body + "\n")


@dataclass(frozen=True)
class VerifyingKey:
    """The public half: the log's name and 32 bytes."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifyingKey":
        """Read the one line that ``str`` writes. Raises LedgerError."""
        name, key_id, public = _key_parts(text.strip())
        key = cls(name, public)
        if key.key_id.hex() != key_id:
            raise LedgerError("key: its id does not belong to it; copy the whole line again")
        return key

    def open(self, note: str) -> TreeHead:
        """The head in a signed note, if this key signed it. Raises LedgerError otherwise."""
        head = head_of(note)
        text, signatures = head.text(), note.rpartition("\n\n")[2]
        if head.origin != self.name:
            raise LedgerError(f"head: of the log {head.origin}, not of {self.name}; give that log's key")
        if not signatures.endswith("\n"):
            raise LedgerError("head: cut off; take it as it was published")
        for line in signatures.split("\n"):
            if self._signed(line, text.encode()):
                return head
        raise LedgerError(f"head: not signed by the key {self.name}+{self.key_id.hex()}; the log or the key is not it")

    def _signed(self, line: str, text: bytes) -> bool:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            return False
        ours = dash == "—" and name == self.name and raw[:4] == self.key_id
        return ours and base64.b64encode(raw).decode() == encoded and _verify(self.public, raw[4:], text)


@dataclass(frozen=True, repr=False)
class SigningKey:
    """The secret half: the log's name and a 32-byte seed. Kept in a file that only its owner reads."""

    name: str
    seed: bytes

    @classmethod
    def generate(cls, name: str | None = None) -> "SigningKey":
        """A fresh key; without a name, for a log with a random one. Raises LedgerError for a name with blanks or +."""
        name = f"countenance/{secrets.token_hex(4)}" if name is None else name
        if not _NAME.fullmatch(name):
            raise LedgerError(f"name: {name!r} holds a blank or a plus; use letters, digits, dots and slashes")
        return cls(name, secrets.token_bytes(32))

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read a key file. Raises LedgerError when others may read it or it is not one."""
        try:
            mode = path.stat().st_mode & 0o777
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise LedgerError(f"{path}: no key to read there ({error.__class__.__name__}); give the key file") from None
        if mode & 0o077:
            raise LedgerError(f"{path}: others can read this key (mode {mode:o}); chmod 600 it, and replace the key")
        if not text.startswith(_PRIVATE):
            raise LedgerError(f"{path}: not a signing key; give the file that starts with {_PRIVATE}")
        name, key_id, seed = _key_parts(text.removeprefix(_PRIVATE))
        key = cls(name, seed)
        if key.verifying.key_id.hex() != key_id:
            raise LedgerError(f"{path}: the key is damaged; bring it back from a copy")
        return key

    def save(self, path: Path) -> None:
        """Write the key file, mode 0600. Raises LedgerError when there is one: keys are never written over."""
        text = (
            f"{_PRIVATE}{self.name}+{self.verifying.key_id.hex()}+{base64.b64encode(_ED25519 + self.seed).decode()}\n"
        )
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise LedgerError(f"{path}: there is a key already; move it away first") from None
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    @cached_property
    def verifying(self) -> VerifyingKey:
        """The public half, to publish."""
        return VerifyingKey(self.name, _private(self.seed).public_key().public_bytes_raw())

    def sign(self, head: TreeHead) -> str:
        """The signed note. Raises LedgerError for the head of another log."""
        if head.origin != self.name:
            raise LedgerError(f"head: of the log {head.origin}, and this key signs {self.name}")
        text = head.text()
        return f"{text}\n{self._line(text)}"

    def cosign(self, note: str) -> str:
        """The note with this key's signature below those that it has. Raises LedgerError for one of another log."""
        head = head_of(note)
        if head.origin != self.name:
            raise LedgerError(f"head: of the log {head.origin}, and this key signs {self.name}")
        return note + self._line(head.text())

    def _line(self, text: str) -> str:
        signature = self.verifying.key_id + _private(self.seed).sign(text.encode())
        return f"— {self.name} {base64.b64encode(signature).decode()}\n"


def _key_parts(text: str) -> tuple[str, str, bytes]:
    """Name, id in hex and the 32 bytes of name+id+base64(0x01, bytes)."""
    parts = text.split("+", 2)
    try:
        name, key_id, encoded = parts
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise LedgerError("key: not name+id+key; copy the whole line") from None
    if raw[:1] != _ED25519 or len(raw) != 33 or not _NAME.fullmatch(name):
        raise LedgerError("key: not an Ed25519 key of 32 bytes; copy the whole line")
    return name, key_id, raw[1:]


def _private(seed: bytes) -> "Ed25519PrivateKey":
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise UnavailableError(_EXTRA) from None
    return Ed25519PrivateKey.from_private_bytes(seed)


def _verify(public: bytes, signature: bytes, text: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise UnavailableError(_EXTRA) from None
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except InvalidSignature:
        return False
    return True

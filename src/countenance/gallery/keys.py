"""A key for each face, in a file beside the store, and what it seals.

A store keeps copies that nobody asked for: SQLite in pages that it rearranged, PostgreSQL in old row versions and in
its log, both in backups. So what identifies a person (the vector, the consent record, the ids given from outside) lies
in the store only sealed with AES-256-GCM under a key of that face alone. The keys lie in one file of 32 bytes a face.
Erasing writes zeros over the key, in place, and waits until the disk has it: whatever copy remains cannot be opened.

A slot is never used again, so that destroying a key twice, after a crash, harms nobody.
"""

import os
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from countenance.errors import GalleryError, UnavailableError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KeyFile", "seal", "unseal"]

_KEY = 32
_NONCE = 12
_GONE = bytes(_KEY)
_BULK = 256


class KeyFile:
    """The keys of one gallery's faces. Slot 0 holds a mark that ties the file to its gallery."""

    def __init__(self, path: Path, mark: bytes) -> None:
        """Open or make the file. Raises GalleryError when it belongs to another gallery or others can read it."""
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = threading.Lock()
        if os.fstat(self._file).st_mode & 0o077:
            os.close(self._file)
            raise GalleryError(f"{path}: others can read the keys; chmod 600 it")
        there = os.pread(self._file, _KEY, 0)
        if not there:
            os.pwrite(self._file, mark, 0)
            os.fsync(self._file)
            _sync_folder(path.parent)
        elif there != mark:
            os.close(self._file)
            raise GalleryError(f"{path}: the keys of another gallery; bring this gallery's own back")

    def write(self, keys: Mapping[int, bytes]) -> None:
        """Put keys into fresh slots, durably."""
        if not keys:
            return
        with self._lock:
            slots = sorted(keys)
            if slots[-1] - slots[0] == len(slots) - 1:
                os.pwrite(self._file, b"".join(keys[slot] for slot in slots), slots[0] * _KEY)
            else:
                for slot in slots:
                    os.pwrite(self._file, keys[slot], slot * _KEY)
            os.fdatasync(self._file)

    def read(self, slots: Sequence[int]) -> list[bytes | None]:
        """The keys in those slots; None for one that was destroyed or never was."""
        if len(slots) < _BULK:
            return [_live(os.pread(self._file, _KEY, slot * _KEY)) for slot in slots]
        first, last = min(slots), max(slots)
        run = os.pread(self._file, (last - first + 1) * _KEY, first * _KEY)
        return [_live(run[(slot - first) * _KEY : (slot - first + 1) * _KEY]) for slot in slots]

    def destroy(self, slots: Iterable[int]) -> None:
        """Write zeros over keys, durably."""
        with self._lock:
            for slot in slots:
                os.pwrite(self._file, _GONE, slot * _KEY)
            os.fdatasync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _live(key: bytes) -> bytes | None:
    return key if len(key) == _KEY and key != _GONE else None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(plain: bytes, label: bytes) -> tuple[bytes, bytes]:
    """A fresh key, and ``plain`` sealed under it and bound to ``label``."""
    key, nonce = secrets.token_bytes(_KEY), secrets.token_bytes(_NONCE)
    return key, nonce + _cipher(key).encrypt(nonce, plain, label)


def unseal(key: bytes, sealed: bytes, label: bytes) -> bytes:
    """Open it again. Raises GalleryError when the key, the label or a byte is another."""
    from cryptography.exceptions import InvalidTag

    try:
        return _cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], label)
    except InvalidTag:
        raise GalleryError(
            f"face {label.decode()}: its record does not open; store and keys are not of one time, or were altered"
        ) from None


def _cipher(key: bytes) -> "AESGCM":
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise UnavailableError("a gallery needs an extra: pip install 'countenance[serve]'") from None
    return AESGCM(key)

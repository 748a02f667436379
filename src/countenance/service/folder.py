"""What lies in the data folder beside the gallery: who holds it, the server's own secret, the newest head."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from countenance.errors import InputError, LedgerError
from countenance.files import write_whole
from countenance.gallery import open_ledger
from countenance.ledger import head_of

__all__ = ["hold", "keep_head", "kept_head", "make_folder", "not_taken_back", "service_key"]

_HEAD = "ledger.head"


def make_folder(folder: Path) -> None:
    """Make it, mode 0700, if it is not there. Raises InputError when others can look into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        raise InputError(f"{folder}: others can look into the data folder; chmod 700 it")


@contextmanager
def hold(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold the data folder: ``alone`` (a server on SQLite, a restore), or with others (servers on PostgreSQL).

    Raises InputError when it is held otherwise. The lock ends with the process, however it ends.
    """
    descriptor = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise InputError(
            f"{folder}: another `countenance serve` or `restore` works there; stop it first"
            " (several servers need PostgreSQL: --database)"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def service_key(folder: Path) -> bytes:
    """32 bytes that all processes of this server share; made once, whole or not at all. Raises InputError."""
    path = folder / "service.key"
    if not path.exists():
        fresh = folder / f".service.key.{os.getpid()}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster
            os.link(fresh, path)
        fresh.unlink()
    if path.stat().st_mode & 0o077:
        raise InputError(f"{path}: others can read this key; chmod 600 it")
    return path.read_bytes()


def keep_head(folder: Path, note: str, *, anew: bool = False) -> None:
    """Keep a signed head, unless a newer one is kept; with ``anew``, after a restore, in any case."""
    before = kept_head(folder)
    if before is None or anew or head_of(before).size < head_of(note).size:
        write_whole(folder / _HEAD, note, 0o600)


def kept_head(folder: Path) -> str | None:
    """The head that was kept there last."""
    path = folder / _HEAD
    return path.read_text(encoding="utf-8") if path.exists() else None


def not_taken_back(folder: Path, database: str | None) -> None:
    """Look whether the ledger continues the head that was kept, before anything is written to it.

    Raises LedgerError when it does not: the store is an older copy. GalleryError when there is none any more.
    """
    note = kept_head(folder)
    if note is None:
        return
    head = head_of(note)
    with open_ledger(folder, database) as ledger:
        if head.size > ledger.size or ledger.root(head.size) != head.root:
            raise LedgerError(
                f"{folder / _HEAD}: a head over {head.size} records was kept, and the ledger has {ledger.size},"
                " or others: it is an older copy; `countenance restore` brings a backup back, less what is erased"
            )

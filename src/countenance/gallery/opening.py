"""How a gallery is opened: its store, its keys, and what ties the two together."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from countenance.errors import GalleryError
from countenance.gallery.gallery import Gallery
from countenance.gallery.keys import KeyFile
from countenance.gallery.live import Indexes, Live
from countenance.gallery.log import Ledger
from countenance.gallery.signing import open_key
from countenance.gallery.store import SCHEMA_VERSION, Store
from countenance.gallery.writer import Writer

__all__ = ["FACE_KEYS", "SQLITE_FILE", "mark_of", "open_gallery", "open_ledger", "open_store"]

FACE_KEYS = "faces.keys"
SQLITE_FILE = "gallery.db"


def open_gallery(
    folder: Path, database: str | None = None, *, search: str = "memory", restored: bool = False
) -> Gallery:
    """Open the gallery that lives in ``folder``, or make one there; it is ready to be searched when this returns.

    The folder (mode 0700) holds the keys: ``faces.keys``, ``ledger.key``, ``probe.key``, and, unless ``database`` is
    the URL of a PostgreSQL database, ``gallery.db``. ``search`` is ``memory``, or ``database`` to search inside
    PostgreSQL with pgvector. ``restored`` says that the store is an older one than the keys: faces erased since then
    are erased again. Raises GalleryError when store and keys do not belong together, LedgerError for a signing
    key that others can read.
    """
    if search not in ("memory", "database") or (search == "database" and database is None):
        raise GalleryError(f"search: {search!r}; use memory, or database together with a PostgreSQL database")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    store, indexes = open_store(folder, database, search)
    try:
        keys = KeyFile(folder / FACE_KEYS, mark_of(store))
        signing = open_key(folder, store)
        gallery = Gallery(store, keys, signing, _secret(folder / "probe.key"), indexes(keys))
    except BaseException:
        store.close()
        raise
    try:
        if restored:
            gallery.erase_lost()
        gallery.tick()
    except BaseException:
        gallery.close()
        raise
    return gallery


@contextmanager
def open_ledger(folder: Path, database: str | None = None) -> Iterator[Ledger]:
    """The ledger of the gallery in ``folder`` alone: no face is read, so it is ready at once, also beside a server.

    Raises GalleryError where there is no gallery: none is made.
    """
    if not (folder / FACE_KEYS).exists() or not (database or (folder / SQLITE_FILE).exists()):
        where = "its keys and the database's URL" if database else "the folder, or the database's URL"
        raise GalleryError(f"{folder}: there is no gallery; give {where}")
    store, _ = open_store(folder, database)
    try:
        keys = KeyFile(folder / FACE_KEYS, mark_of(store))
        try:
            signing, writer = open_key(folder, store), Writer(store, keys)
            try:
                yield Ledger(store, writer, signing)
            finally:
                writer.close()
        finally:
            keys.close()
    finally:
        store.close()


def open_store(
    folder: Path, database: str | None, search: str = "memory"
) -> tuple[Store, Callable[[KeyFile], Indexes]]:
    """The store, and what makes its indexes once the keys are there."""
    if database is None:
        from countenance.gallery.sqlite import SQLiteStore

        file = SQLiteStore(folder / SQLITE_FILE)
        return file, lambda keys: Live(file, keys)
    from countenance.gallery.postgres import PostgresStore

    server = PostgresStore(database)
    if search == "memory":
        return server, lambda keys: Live(server, keys)
    from countenance.gallery.inside import InDatabase

    return server, lambda keys: InDatabase(server, keys)


def mark_of(store: Store) -> bytes:
    """What ties the key file to the store: a digest of the gallery's random id, made with the store.

    Raises GalleryError for tables of another version.
    """
    with store.write() as tx:
        found = dict(tx.rows("SELECT name, value FROM meta"))
        if not found:
            found = {"schema": SCHEMA_VERSION, "gallery": secrets.token_hex(16)}
            tx.many("INSERT INTO meta (name, value) VALUES (?, ?)", list(found.items()))
    if found.get("schema") != SCHEMA_VERSION:
        raise GalleryError(
            f"gallery: its tables are of version {found.get('schema')}, this program knows {SCHEMA_VERSION}"
        )
    return sha256(found["gallery"].encode()).digest()


def _secret(path: Path) -> bytes:
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise GalleryError(f"{path}: others can read this key; chmod 600 it")
    return path.read_bytes()

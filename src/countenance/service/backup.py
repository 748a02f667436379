"""``countenance backup`` and ``countenance restore``: a gallery's archive, with the data folder's lock and head."""

from collections.abc import Sequence
from pathlib import Path

from countenance.errors import InputError
from countenance.gallery.archive import BackupMade, write_backup
from countenance.gallery.restore import Restored, restore
from countenance.service.folder import hold, keep_head, kept_head, not_taken_back

__all__ = ["BackupMade", "Restored", "make_backup", "restore_backup"]


def make_backup(path: Path, folder: Path, database: str | None = None) -> BackupMade:
    """Back up the gallery of a data folder, which a server may be using. Raises GalleryError, LedgerError."""
    not_taken_back(folder, database)
    made = write_backup(path, folder, database)
    keep_head(folder, made.head)
    return made


def restore_backup(
    path: Path,
    folder: Path,
    database: str | None = None,
    *,
    export: Path | None = None,
    heads: Sequence[Path] = (),
    replace: bool = False,
    ledger_lost: bool = False,
) -> Restored:
    """Bring a backup back; no server may run. ``heads`` are files of signed heads that the ledger must contain.

    The head that the folder itself kept is one of them. Raises InputError and its kin; then nothing was changed.
    """
    kept = [note for note in [kept_head(folder), *map(_note, heads)] if note]
    if not folder.is_dir():
        raise InputError(f"{folder}: is not there; give the data folder that holds the current keys")
    with hold(folder, alone=True):
        done = restore(path, folder, database, export=export, kept=kept, replace=replace, ledger_lost=ledger_lost)
        keep_head(folder, done.head, anew=True)
    return done


def _note(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read; give a file with one signed head of the ledger") from None

"""What a person gets who was erased: a proof that the ledger says so, to check with ``countenance ledger verify``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

from countenance.errors import InputError
from countenance.gallery import Gallery, Occasion
from countenance.ledger import Kind

__all__ = ["Erasure", "erase_faces", "receipt_folder", "receipt_text", "write_receipt"]

ERASED = (
    "What was erased: the template and the record of consent, on the disk and in memory, and the key that they were "
    "sealed under."
)
REMAINS = (
    "In backups of the store the records may still lie, sealed under keys that were overwritten; without those keys "
    "nobody can open them. An older backup of the key file can: ask the operator when those are destroyed.",
    "The ledger keeps the random face ids, the collection's name, the time and the id of the operator's key: the "
    "proof. Of a photo searched with it keeps a keyed digest, never the photo.",
    "Photos kept outside of this system, and copies that others made, are not touched by this.",
)


@dataclass(frozen=True)
class Erasure:
    """Faces that are gone from one collection: entry ``entry`` of the ledger, which ``proof`` (a JSON file) proves.

    ``purged`` is False while a file may hold remains, sealed. ``users_gone``: users who had no other face.
    """

    collection: str
    face_ids: tuple[str, ...]
    entry: int
    proof: str
    purged: bool
    users_gone: int = 0


def erase_faces(
    gallery: Gallery, name: str, face_ids: Sequence[str], users: Collection[str], occasion: Occasion, reason: str
) -> tuple[Erasure, ...]:
    """Erase faces, and those of the users who then have none left; nothing where none of the faces is there."""
    before = gallery.ledger.size
    gone = gallery.erase(name, face_ids, occasion, reason=reason)
    if not gone.face_ids:
        return ()
    empty = [user_id for user_id in sorted(users) if not gallery.faces(name, user_id=user_id, limit=1)]
    for user_id in empty:
        gallery.delete_user(name, user_id, occasion)
    record = next(
        r
        for r in gallery.ledger.records(before, kinds=[Kind.ERASURE])
        if (r.entry.gallery, r.entry.faces) == (name, gone.face_ids)
    )
    return (Erasure(name, gone.face_ids, record.index, gallery.ledger.prove(record.index), gone.purged, len(empty)),)


def receipt_folder(base: Path) -> Path:
    """A folder for a receipt, made before anything is erased: ``base``, or where that holds one, ``base-2`` and so on.

    Raises InputError where it cannot be made.
    """
    names = (base if k == 1 else base.with_name(f"{base.name}-{k}") for k in count(1))
    folder = next(one for one in names if not (one / "receipt.txt").exists())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: no folder for the receipt ({error.strerror}); give another: --receipt") from None
    return folder


def receipt_text(erasures: Sequence[Erasure], key: str, at: datetime) -> str:
    """The receipt as people read it."""
    lines = ["Receipt of erasure", f"{at:%Y-%m-%d %H:%M} UTC", ""]
    for number, one in enumerate(erasures, 1):
        faces = "1 face" if len(one.face_ids) == 1 else f"{len(one.face_ids)} faces"
        lines.append(f"{number}. Erased: {faces} of the collection {one.collection}, entry {one.entry} of the ledger.")
        lines += [f"   {face_id}" for face_id in one.face_ids]
        if one.users_gone:
            lines.append("   The user record went with them.")
        if not one.purged:
            lines.append("   A reader still holds a file that may contain sealed remains; they go when it lets go.")
        lines.append(f"   To check, offline: countenance ledger verify erasure-{number}.json")
    lines += ["", "The ledger's public key (compare it with the one that the operator published):", key, ""]
    lines += [ERASED, "", "What remains:"]
    lines += [f"- {line}" for line in REMAINS]
    return "\n".join(lines) + "\n"


def write_receipt(folder: Path, erasures: Sequence[Erasure], key: str, at: datetime) -> list[Path]:
    """Write ``receipt.txt`` and one ``erasure-N.json`` for each erasure; the files written."""
    written = [folder / "receipt.txt", *(folder / f"erasure-{k}.json" for k in range(1, len(erasures) + 1))]
    for path, text in zip(written, [receipt_text(erasures, key, at), *(one.proof for one in erasures)], strict=True):
        path.write_text(text, encoding="utf-8")
    return written

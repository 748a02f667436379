"""A face as the store holds it: what identifies a person, sealed under the face's own key.

Sealed is: the length of a JSON text (4 bytes, little-endian), that text (consent, ids given from outside, box,
quality), and the vector as little-endian float32. In the clear are the face id, the user id and the expiry.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from countenance.errors import GalleryError
from countenance.gallery.keys import KeyFile, seal, unseal
from countenance.gallery.values import Box, Consent, Face, NewFace, Vector

__all__ = ["FACE_COLUMNS", "Opened", "moment", "open_faces", "seal_face"]

FACE_COLUMNS = "face_id, user_id, slot, sealed"
Row = Sequence[Any]


def moment(seconds: float) -> datetime:
    """A stored time as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def seal_face(uid: int, face_id: str, new: NewFace, vector: Vector, enrolled: datetime) -> tuple[bytes, bytes]:
    """A fresh key, and the record sealed under it. Raises GalleryError for a time without a zone."""
    consent = new.consent
    for name, when in (("given", consent.given), ("until", consent.until)):
        if when.tzinfo is None:
            raise GalleryError(f"consent.{name}: without a zone; give it in UTC")
    about = {
        "image": new.image_id,
        "external": new.external_image_id,
        "box": list(new.box),
        "confidence": new.confidence,
        "quality": dict(new.quality),
        "enrolled": enrolled.timestamp(),
        "consent": {
            "subject": consent.subject,
            "purpose": consent.purpose,
            "basis": consent.basis,
            "notice": consent.notice,
            "given": consent.given.timestamp(),
            "until": consent.until.timestamp(),
            "withdraw": consent.withdraw,
        },
    }
    text = json.dumps(about, separators=(",", ":")).encode()
    return seal(struct.pack("<I", len(text)) + text + vector.astype("<f4").tobytes(), _label(uid, face_id))


@dataclass(frozen=True)
class Opened:
    """A face whose record was opened."""

    face_id: str
    user_id: str | None
    vector: Vector
    text: bytes

    @property
    def face(self) -> Face:
        """What callers see of it."""
        return _face(self.face_id, self.user_id, self.text)


def open_faces(uid: int, rows: Sequence[Row], keys: KeyFile) -> tuple[list[Opened], list[str]]:
    """The faces in rows of FACE_COLUMNS, in their order, and the ids of those whose key is gone."""
    opened, lost = [], []
    for (face_id, user_id, _, sealed), key in zip(rows, keys.read([row[2] for row in rows]), strict=True):
        if key is None:
            lost.append(face_id)
            continue
        plain = unseal(key, bytes(sealed), _label(uid, face_id))
        (length,) = struct.unpack_from("<I", plain)
        vector = np.frombuffer(plain, dtype="<f4", offset=4 + length).astype(np.float32)
        opened.append(Opened(face_id, user_id, vector, plain[4 : 4 + length]))
    return opened, lost


def _face(face_id: str, user_id: str | None, text: bytes) -> Face:
    about = json.loads(text)
    consent = about["consent"]
    consent |= {name: moment(consent[name]) for name in ("given", "until")}
    return Face(
        face_id=face_id,
        image_id=about["image"],
        box=Box(*about["box"]),
        confidence=about["confidence"],
        external_image_id=about["external"],
        quality=about["quality"],
        consent=Consent(**consent),
        enrolled=moment(about["enrolled"]),
        user_id=user_id,
    )


def _label(uid: int, face_id: str) -> bytes:
    return f"{uid}/{face_id}".encode()

"""What goes into a gallery and what comes out of it: frozen values, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Assigned",
    "Box",
    "Candidate",
    "Collection",
    "Consent",
    "Counts",
    "Erased",
    "Face",
    "FaceProbe",
    "Found",
    "NewFace",
    "Occasion",
    "Probe",
    "Token",
    "User",
    "UserProbe",
    "Vector",
]

Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Occasion:
    """Who does something, what for, and what allowed it. All of it goes into the ledger: ids, never names.

    ``actor`` is an API key's id or a command, ``operation`` what was called, ``purpose`` and ``basis`` the declared
    ones, ``policy``, ``rule`` and ``certificate`` those in force. ``started``: when the request came; by default, now.
    """

    actor: str
    operation: str
    purpose: str | None = None
    basis: str | None = None
    policy: str | None = None
    rule: str | None = None
    certificate: str | None = None
    started: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Consent:
    """That a person agreed, in the members of ISO/IEC TS 27560 that apply here.

    ``subject`` is the operator's own reference to the person; ``notice`` where the text they were given stands;
    ``withdraw`` how they take it back. At ``until`` the reference erases itself. Datetimes are aware.
    """

    subject: str
    purpose: str
    basis: str
    notice: str
    given: datetime
    until: datetime
    withdraw: str


class Box(NamedTuple):
    """A face's place, as shares of the photo's width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class NewFace:
    """A face to enrol: its ``vector`` (dimension,) as the pipeline gave it, and what is kept beside it."""

    vector: Vector = field(repr=False)
    consent: Consent
    image_id: str
    box: Box
    confidence: float
    external_image_id: str | None = None
    quality: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Face:
    """A reference as the gallery holds it. Its vector never comes out."""

    face_id: str
    image_id: str
    box: Box
    confidence: float
    external_image_id: str | None
    quality: Mapping[str, float]
    consent: Consent
    enrolled: datetime
    user_id: str | None


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection. ``pipeline`` pins the model; ``metric`` is ``cosine`` or ``euclidean`` (score: minus distance).

    ``version`` counts changes of its faces. ``uid`` is never used again, ``name`` may be.
    """

    name: str
    uid: int
    pipeline: str
    metric: str
    dimension: int
    created: datetime
    version: int
    faces: int
    users: int


@dataclass(frozen=True)
class Counts:
    """How much a gallery holds: collections, faces in all of them, records in its ledger."""

    collections: int
    faces: int
    records: int


@dataclass(frozen=True)
class User:
    """A person of a collection and the number of faces given to them."""

    user_id: str
    faces: int


@dataclass(frozen=True)
class FaceProbe:
    """Search with a face of the collection; it is not compared with itself."""

    face_id: str


@dataclass(frozen=True)
class UserProbe:
    """Search with all faces of a user of the collection, who is not among the candidates; the best pair counts."""

    user_id: str


Probe = Vector | FaceProbe | UserProbe


@dataclass(frozen=True)
class Candidate:
    """A reference at or above the threshold in force, and its comparison score. Of a user: their best face."""

    score: float
    face: Face


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found: best first, equal scores in order of face id.

    ``searched`` faces were compared, of the collection at ``version``; ``entry`` is the number in the ledger.
    """

    candidates: tuple[Candidate, ...]
    searched: int
    version: int
    entry: int


@dataclass(frozen=True)
class Erased:
    """Which faces are gone, and which ids were not there. ``purged`` is False while a file may still hold remains."""

    face_ids: tuple[str, ...]
    missing: tuple[str, ...]
    purged: bool


@dataclass(frozen=True)
class Assigned:
    """Faces that were given to a user (or taken away) just now, and why some could not be.

    Reasons: ``face_not_found``, ``of_another_user``, ``low_match``.
    """

    face_ids: tuple[str, ...]
    refused: Mapping[str, str]


@dataclass(frozen=True)
class Token:
    """A client's request token, and a digest of the request it came with. Kept for a day."""

    value: str
    request: str

"""The gallery: collections of references, searched exactly, erased for good; every use of it is in its ledger.

with open_gallery(Path("data")) as gallery:
    gallery.create_collection("family", occasion, pipeline=digest, metric="euclidean", dimension=128)
    gallery.enrol("family", [NewFace(...)], occasion, pipeline=digest)
    gallery.search("family", vector, permit)          a permit comes from policy.decide
    gallery.erase("family", [face_id], occasion)
    gallery.ledger.export()
"""

from countenance.gallery.gallery import Gallery
from countenance.gallery.log import Ledger, entry_of
from countenance.gallery.opening import open_gallery, open_ledger
from countenance.gallery.permit import Permit
from countenance.gallery.reviews import Decided, KeptReview, Reviews
from countenance.gallery.signing import replace_key
from countenance.gallery.values import (
    Assigned,
    Box,
    Candidate,
    Collection,
    Consent,
    Counts,
    Erased,
    Face,
    FaceProbe,
    Found,
    NewFace,
    Occasion,
    Probe,
    Token,
    User,
    UserProbe,
    Vector,
)

__all__ = [
    "Assigned",
    "Box",
    "Candidate",
    "Collection",
    "Consent",
    "Counts",
    "Decided",
    "Erased",
    "Face",
    "FaceProbe",
    "Found",
    "Gallery",
    "KeptReview",
    "Ledger",
    "NewFace",
    "Occasion",
    "Permit",
    "Probe",
    "Reviews",
    "Token",
    "User",
    "UserProbe",
    "Vector",
    "entry_of",
    "open_gallery",
    "open_ledger",
    "replace_key",
]

"""Faces, users and tags of the domain in AWS's shapes. The only place where pixels become shares of the photo."""

from typing import Any

from countenance.faces import Face as SeenFace
from countenance.gallery import Box, Candidate, Face, User
from countenance.policy import SimilarityCurve
from countenance.service.engine import Seen
from countenance.service.quality import brightness, sharpness

__all__ = ["box_of", "compared_face", "face_detail", "face_match", "face_record", "user_match", "user_status"]

_POINTS = ("eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight")  # as the reader sees them, as with AWS


def box_of(seen: Seen, face: SeenFace) -> Box:
    """A face's box as shares of the upright photo."""
    left, top, width, height = face.box
    return Box(left / seen.width, top / seen.height, width / seen.width, height / seen.height)


def bounding_box(box: Box) -> dict[str, float]:
    """BoundingBox."""
    return {"Left": box.left, "Top": box.top, "Width": box.width, "Height": box.height}


def face_detail(seen: Seen, face: SeenFace) -> dict[str, Any]:
    """FaceDetail, as far as anything was measured: box, confidence, five landmarks, pose and quality."""
    return {"BoundingBox": bounding_box(box_of(seen, face)), "Confidence": 100.0 * face.score} | _measured(seen, face)


compared_face = face_detail
"""ComparedFace has the same members."""


def _measured(seen: Seen, face: SeenFace) -> dict[str, Any]:
    measured = face.quality
    return {
        "Landmarks": [
            {"Type": kind, "X": x / seen.width, "Y": y / seen.height}
            for kind, (x, y) in zip(_POINTS, face.landmarks, strict=True)
        ],
        # AWS's signs, read off answers of AWS that were published with their landmarks: up, not down, is positive.
        "Pose": {"Roll": measured.roll, "Yaw": measured.yaw, "Pitch": -measured.pitch},
        "Quality": {"Brightness": brightness(measured), "Sharpness": sharpness(measured)},
    }


def face_record(face: Face, pipeline: str) -> dict[str, Any]:
    """Face: a reference as lists and matches show it; ``pipeline`` is its collection's digest."""
    shape = {
        "FaceId": face.face_id,
        "BoundingBox": bounding_box(face.box),
        "ImageId": face.image_id,
        "Confidence": face.confidence,
        "IndexFacesModelVersion": str(int(pipeline[:8], 16)),  # digits alone are allowed here
    }
    if face.external_image_id is not None:
        shape["ExternalImageId"] = face.external_image_id
    if face.user_id is not None:
        shape["UserId"] = face.user_id
    return shape


def face_match(candidate: Candidate, curve: SimilarityCurve, pipeline: str) -> dict[str, Any]:
    """FaceMatch."""
    return {"Similarity": curve.similarity(candidate.score), "Face": face_record(candidate.face, pipeline)}


def user_match(candidate: Candidate, curve: SimilarityCurve) -> dict[str, Any]:
    """UserMatch; who is found has faces, and is therefore ACTIVE."""
    user = {"UserId": candidate.face.user_id, "UserStatus": "ACTIVE"}
    return {"Similarity": curve.similarity(candidate.score), "User": user}


def user_status(user: User) -> str:
    """UserStatus: changes are done when they are answered, so nobody is ever UPDATING."""
    return "ACTIVE" if user.faces else "CREATED"

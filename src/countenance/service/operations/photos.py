"""DetectFaces and CompareFaces: photos in, nothing kept."""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from countenance.faces import Face
from countenance.gallery import entry_of
from countenance.ledger import Kind
from countenance.policy import Decision, SimilarityCurve
from countenance.service.backend import Backend
from countenance.service.caller import Call
from countenance.service.engine import Seen
from countenance.service.failures import WireError
from countenance.service.operations.common import Answer, Params, in_force
from countenance.service.quality import reasons
from countenance.service.shapes import bounding_box, box_of, face_detail

__all__ = ["chosen", "compare_faces", "detect_faces"]

_SIMILARITY = 80.0


def detect_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """DetectFaces: whatever is asked for, what is measured; never gender, age, emotion or anything else guessed."""
    backend.desk.ask(call, "detect")
    seen = backend.engine.look(backend.photos.read(params["Image"]))
    return {"FaceDetails": [face_detail(seen, face) for face in seen.faces]}


def compare_faces(backend: Backend, call: Call, params: Params) -> Answer:
    """CompareFaces: the target's faces are the gallery; the entry is in the ledger before the answer leaves."""
    asked = params.get("SimilarityThreshold", _SIMILARITY)
    backend.desk.ask(call, "compare", gallery=1, similarity=asked)  # before any photo is opened
    source_bytes = backend.photos.read(params["SourceImage"], "SourceImage")
    target_bytes = backend.photos.read(params["TargetImage"], "TargetImage")
    level = params.get("QualityFilter", "NONE")
    source, target = backend.engine.look(source_bytes, "SourceImage"), backend.engine.look(target_bytes, "TargetImage")
    probe = chosen(source.faces, level, "SourceImage")[0]
    others = chosen(target.faces, level, "TargetImage")
    decision, certificate = backend.desk.ask_certified(call, "compare", gallery=len(others), similarity=asked)
    if decision.in_force is None or certificate is None:
        raise AssertionError("a comparison is allowed under a certificate only")
    if decision.review:
        reason = (
            f"for {decision.purpose} two people look before a match is told, and a comparison has nothing to hold "
            "back; index the target's faces with consent, and use SearchFacesByImage"
        )
        backend.desk.refuse(call, "review", reason, decision=decision)
    scores = _scores(backend, source, probe, target, others)
    threshold = decision.in_force.threshold
    matches = sum(score >= threshold for score in scores)
    entry = backend.gallery.ledger.record(
        entry_of(
            Kind.COMPARISON,
            backend.desk.occasion(call, decision),
            gallery_size=len(others),
            pipeline=backend.engine.pipeline.digest,
            threshold=min(threshold, sys.float_info.max),
            threshold_asked=float(asked),
            candidates=matches,
            probe=backend.gallery.probe_mac(source_bytes),
            detail={"decision": call.id},
        )
    )
    return _compared(source, probe, target, others, scores, decision, certificate.curve) | {
        "Countenance": in_force(decision, entry)
    }


def chosen(faces: Sequence[Face], level: str, name: str) -> list[int]:
    """Numbers of the faces that meet a QualityFilter, largest first. Raises WireError where there is none."""
    found = [number for number, face in enumerate(faces) if not reasons(face, level)]
    if not found:
        why = f"none of its {len(faces)} faces meets the QualityFilter {level}" if faces else "there is no face in it"
        raise WireError("InvalidParameterException", f"{name}: {why}; use a photo in which a face is larger or clearer")
    return found


def _scores(backend: Backend, source: Seen, probe: int, target: Seen, others: Sequence[int]) -> list[float]:
    one: NDArray[np.float32] = backend.engine.embed(source, [probe])
    scores: list[float] = backend.engine.pipeline.score(one, backend.engine.embed(target, others)).tolist()
    return scores


def _compared(
    source: Seen,
    probe: int,
    target: Seen,
    others: Sequence[int],
    scores: Sequence[float],
    decision: Decision,
    curve: SimilarityCurve,
) -> Answer:
    threshold = decision.in_force.threshold if decision.in_force else float("inf")
    ranked = sorted(zip(scores, others, strict=True), key=lambda pair: (-pair[0], pair[1]))
    return {
        "SourceImageFace": {
            "BoundingBox": bounding_box(box_of(source, source.faces[probe])),
            "Confidence": 100.0 * source.faces[probe].score,
        },
        "FaceMatches": [
            {"Similarity": curve.similarity(score), "Face": face_detail(target, target.faces[number])}
            for score, number in ranked
            if score >= threshold
        ],
        "UnmatchedFaces": [face_detail(target, target.faces[number]) for score, number in ranked if score < threshold],
    }

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.gallery import Box, Consent, Gallery, NewFace, Occasion, Permit
from countenance.gallery.permit import issue

OPERATOR = Occasion(actor="key-1", operation="test", purpose="photo-archive", basis="consent", certificate="cert")
PIPELINE = "0" * 64
DIMENSION = 128


def consent(**more: Any) -> Consent:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "subject": "person-1",
        "purpose": "photo-archive",
        "basis": "consent",
        "notice": "https://example.org/notice",
        "given": now,
        "until": now + timedelta(days=30),
        "withdraw": "mail",
    }
    return Consent(**(values | more))


def vectors(count: int, seed: int = 0, dimension: int = DIMENSION) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


def new(vector: NDArray[np.float32], number: int = 0, **more: Any) -> NewFace:
    values: dict[str, Any] = {
        "vector": vector,
        "consent": consent(),
        "image_id": f"image-{number}",
        "box": Box(0.1, 0.2, 0.3, 0.4),
        "confidence": 99.5,
        "external_image_id": f"external-{number}",
        "quality": {"sharpness": 80.0},
    }
    return NewFace(**(values | more))


def made(gallery: Gallery, name: str = "family", metric: str = "euclidean", dimension: int = DIMENSION) -> None:
    gallery.create_collection(name, OPERATOR, pipeline=PIPELINE, metric=metric, dimension=dimension)


def enrolled(gallery: Gallery, array: NDArray[np.float32], name: str = "family") -> list[str]:
    faces = gallery.enrol(name, [new(row, i) for i, row in enumerate(array)], OPERATOR, pipeline=PIPELINE)
    return [face.face_id for face in faces]


def permit(name: str = "family", threshold: float = -1e9, **more: Any) -> Permit:
    values: dict[str, Any] = {
        "decision": "d1",
        "occasion": OPERATOR,
        "collection": name,
        "pipeline": PIPELINE,
        "threshold": threshold,
        "largest_gallery": 10**9,
    }
    return issue(**(values | more))

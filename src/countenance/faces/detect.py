"""Faces in an upright photo: boxes, scores and five landmarks each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.errors import ModelError
from countenance.faces._lazy import loops, need, words
from countenance.faces.cards import ModelCard
from countenance.faces.runtime import Network, scratch

__all__ = ["MAX_SIDE", "Detection", "detect", "non_maximum_suppression"]

#: Photos are searched at this many pixels of the longer side at most.
MAX_SIDE = 1024
#: Photos smaller than this are enlarged until their longer side has so many pixels.
MIN_SIDE = 192
#: Where nothing was found, the photo is searched again with its longer side at these many pixels.
SECOND_LOOKS = (320, 160, 2048)
#: Overlap (intersection over union) above which the weaker of two boxes goes.
OVERLAP = 0.3

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Detection:
    """One face, in pixels of the upright photo; (0, 0) is the photo's outer corner.

    ``box`` is (x, y, width, height), cut to the photo; ``landmarks`` are, as the reader sees them, the left
    eye, the right eye, the tip of the nose, the left and right corner of the mouth, and may lie outside.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[tuple[float, float], ...]


def non_maximum_suppression(boxes: Array, scores: Array, overlap: float = OVERLAP) -> NDArray[np.intp]:
    """Keep the strongest of boxes that overlap.

    Args:
        boxes: (n, 4): left, top, right, bottom.
        scores: (n,).
        overlap: intersection over union above which the weaker goes.

    Returns:
        Indices of those kept, strongest first; ties go to the earlier.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    gone = np.zeros(len(boxes), bool)
    kept = []
    for i in range(len(boxes)):
        if gone[i]:
            continue
        kept.append(i)
        sides = np.minimum(boxes[i, 2:], boxes[i + 1 :, 2:]) - np.maximum(boxes[i, :2], boxes[i + 1 :, :2])
        sides = np.maximum(sides, 0)
        shared = sides[:, 0] * sides[:, 1]
        gone[i + 1 :] |= shared > overlap * (areas[i] + areas[i + 1 :] - shared)
    return order[kept]


def _centerface(outputs: list[Array], threshold: float, _shape: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Read CenterFace's maps at a quarter of the input's size (Xu et al. 2019, section 3)."""
    width_of_map = outputs[0].shape[3]
    heat, scale, offset, points = (o[0].reshape(o.shape[1], -1) for o in outputs)
    index = np.flatnonzero(heat[0] > threshold)
    rows, columns = np.divmod(index, width_of_map)
    height, width = np.exp(scale[:, index]) * 4
    shift = offset[:, index]
    top, left = (rows + shift[0] + 0.5) * 4 - height / 2, (columns + shift[1] + 0.5) * 4 - width / 2
    boxes = np.array([left, top, left + width, top + height]).T
    places = points[:, index].reshape(5, 2, -1)
    landmarks = np.array([places[:, 1] * width + left, places[:, 0] * height + top])
    return boxes, heat[0, index], landmarks.transpose(2, 1, 0)


def _yunet(outputs: list[Array], threshold: float, shape: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Read YuNet's three scales (Wu et al. 2023; as OpenCV's FaceDetectorYN does)."""
    found = []
    for level, stride in enumerate((8, 16, 32)):
        classes, objects, boxes, points = (outputs[level + 3 * part][0] for part in range(4))
        scores = np.sqrt(np.clip(classes[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
        index = np.nonzero(scores > threshold)[0]
        cell = np.stack([index % (shape[1] // stride), index // (shape[1] // stride)], axis=1).astype(np.float32)
        centre = (cell + boxes[index, :2]) * stride
        half = np.exp(boxes[index, 2:]) * stride / 2
        landmarks = (points[index].reshape(-1, 5, 2) + cell[:, None]) * stride
        found.append((np.hstack([centre - half, centre + half]), scores[index], landmarks))
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


_DECODERS: dict[str, Callable[[list[Array], float, tuple[int, int]], tuple[Array, Array, Array]]] = {
    "centerface": _centerface,
    "yunet": _yunet,
}


def _prepare(photo: Any, scale: float, card: ModelCard) -> Array:
    """Resize and pad to a multiple of 32; (1, 3, height, width)."""
    pillow = need("PIL.Image")
    width, height = (max(1, round(side * scale)) for side in photo.size)
    if (width, height) != photo.size:
        photo = photo.resize((width, height), pillow.Resampling.BILINEAR, reducing_gap=2.0)
    padded, turned = scratch("photo", (1, 3, -(-height // 32) * 32, -(-width // 32) * 32)), card.channels == "bgr"
    if (kernels := loops()) is not None:
        kernels.planes(words(photo), (width, height), turned, padded[0])
        return padded
    pixels = np.asarray(photo)
    padded[..., height:, :], padded[..., width:] = 0, 0
    padded[0, :, :height, :width] = (pixels[:, :, ::-1] if turned else pixels).transpose(2, 0, 1)
    return padded


def _look(photo: Any, longer: float, network: Network, card: ModelCard, threshold: float) -> list[Detection]:
    """Search once, with the longer side at so many pixels."""
    width, height = photo.size
    scale = longer / max(width, height)
    batch = _prepare(photo, scale, card)
    shape = batch.shape[2:]
    outputs = network(batch)
    if card.decoder not in _DECODERS:
        raise ModelError(f"{card.name}: no decoder {card.decoder!r} for a detector")
    boxes, scores, landmarks = _DECODERS[card.decoder](outputs, threshold, (shape[0], shape[1]))
    # Rounding and padding differ per axis; what counts is how the resize mapped each.
    stretch = np.array([width / max(1, round(width * scale)), height / max(1, round(height * scale))])
    kept = non_maximum_suppression(boxes, scores)
    found = []
    for box, score, points in zip(boxes[kept], scores[kept], landmarks[kept], strict=True):
        corners = np.clip(box.reshape(2, 2) * stretch, 0, [width, height])
        (left, top), (right, bottom) = corners.tolist()
        if right - left < 1 or bottom - top < 1 or not np.isfinite(points).all():
            continue
        places = tuple((x, y) for x, y in (points * stretch).tolist())
        found.append(Detection((left, top, right - left, bottom - top), float(score), places))
    return found


def detect(photo: Any, network: Network, card: ModelCard, threshold: float | None = None) -> list[Detection]:
    """Find the faces of a photo.

    Args:
        photo: (height, width, 3) uint8 RGB, upright, or the Pillow image of it.
        network: the detector.
        card: its card.
        threshold: lowest score of a face; by default the card's.

    Returns:
        Faces, strongest first.

    Raises:
        ModelError: the network does not do what its card says.
    """
    threshold = card.detection_threshold if threshold is None else threshold
    image = need("PIL.Image").fromarray(photo) if isinstance(photo, np.ndarray) else photo
    longer = max(image.size)
    first = min(max(longer, MIN_SIDE), MAX_SIDE)
    found = _look(image, first, network, card, threshold)
    for side in SECOND_LOOKS:
        if found:
            break
        if side != first and side <= 4 * longer:
            found = _look(image, side, network, card, threshold)
    return found

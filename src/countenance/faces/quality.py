"""What can be measured of one face, without judging whose it is."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from countenance.faces._lazy import loops, need

__all__ = ["Quality", "measure"]

#: Five points of a mean head, in millimetres: x to the reader's right, y down, z away from the camera. x and y
#: are CenterFace's mean landmarks on 102 frontal photos of the London set, made symmetric and scaled to 64 mm
#: between the eyes; the depths are those of a mean adult face. On these photos yaw and pitch spread by 4 degrees.
_HEAD = np.array([[-32, 0, 27], [32, 0, 27], [0, 37.4, 0], [-27.2, 64.1, 20], [27.2, 64.1, 20]], np.float64)
_LEVELS = np.arange(256, dtype=np.float64)
_CENTRED = _HEAD - _HEAD.mean(axis=0)
_SOLVER = np.linalg.pinv(_CENTRED)


@dataclass(frozen=True)
class Quality:
    """Measures of one face. None of them is a verdict.

    Attributes:
        eye_distance: between the eyes, in pixels of the photo.
        sharpness: mean absolute Laplacian of the chip's luma (0..255), in grey levels per pixel; a face that
            is smaller than the chip is enlarged, so low resolution lowers it too.
        brightness: mean luma of the chip, 0 (black) to 1 (white).
        contrast: standard deviation of that luma, 0 to 0.5.
        yaw: degrees, positive when the face turns to the reader's right.
        pitch: degrees, positive when the face looks down.
        roll: degrees, positive when the head leans clockwise, as the reader sees it.
        score: the detector's, 0 to 1.
    """

    eye_distance: float
    sharpness: float
    brightness: float
    contrast: float
    yaw: float
    pitch: float
    roll: float
    score: float


def _pose(landmarks: NDArray[np.float64]) -> tuple[float, float, float]:
    """Fit a mean head by scaled orthography (DeMenthon and Davis 1995, POS); (yaw, pitch, roll) in degrees."""
    a, b = ((_SOLVER @ (landmarks - landmarks.mean(axis=0))).T).tolist()
    if not (any(a) and any(b)):
        return 0.0, 0.0, 0.0
    # Rows of unit length; their sum and difference are at right angles, and give the nearest orthonormal pair.
    a, b = _unit(a), _unit(b)
    u, v = _unit([x + y for x, y in zip(a, b, strict=True)]), _unit([x - y for x, y in zip(a, b, strict=True)])
    i = [(x + y) * math.sqrt(0.5) for x, y in zip(u, v, strict=True)]
    j = [(x - y) * math.sqrt(0.5) for x, y in zip(u, v, strict=True)]
    k = (i[1] * j[2] - i[2] * j[1], i[2] * j[0] - i[0] * j[2], i[0] * j[1] - i[1] * j[0])
    # The rotation is read as a turn about the vertical axis, then a nod, then a lean.
    yaw = math.atan2(k[0], k[2])
    pitch = math.asin(min(1.0, max(-1.0, k[1])))
    roll = math.atan2(-i[1], j[1])
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector) or 1.0
    return [x / length for x in vector]


def _greys(chip: NDArray[np.uint8]) -> tuple[NDArray[np.float64], int]:
    """How many pixels of a chip have each of 256 levels of luma; its absolute Laplacian, summed but for the rim."""
    if (kernels := loops()) is not None:
        counts = np.zeros(256)
        return counts, kernels.greys(chip, counts)
    gray = need("PIL.Image").fromarray(chip).convert("L")
    luma = np.asarray(gray).astype(np.int16)
    laplacian = -4 * luma[1:-1, 1:-1]
    for neighbour in (luma[:-2, 1:-1], luma[2:, 1:-1], luma[1:-1, :-2], luma[1:-1, 2:]):
        laplacian += neighbour
    return np.array(gray.histogram(), np.float64), int(np.abs(laplacian, out=laplacian).sum())


def measure(chip: NDArray[np.uint8], landmarks: NDArray[np.floating], score: float) -> Quality:
    """Measure one face.

    Args:
        chip: (side, side, 3) uint8 RGB, aligned.
        landmarks: (5, 2), pixels of the photo.
        score: the detector's.

    Returns:
        The measures, rounded to four decimals.
    """
    height, width, _ = chip.shape
    pixels_of_level, total = _greys(chip)
    counts = pixels_of_level / (height * width)
    mean = float(counts @ _LEVELS)
    points = np.asarray(landmarks, np.float64)
    values = (
        math.dist(points[0], points[1]),
        total / ((height - 2) * (width - 2)),
        mean / 255,
        math.sqrt(float(counts @ (_LEVELS - mean) ** 2)) / 255,
        *_pose(points),
        score,
    )
    return Quality(*(round(v, 4) for v in values))

"""QualityFilter, and the scales of Brightness and Sharpness: from what was measured of a face to AWS's words.

The cut-offs and what they cost are in ``docs/differences-from-aws.md``; they are not part of a pipeline's digest.
"""

import math
from dataclasses import dataclass

from countenance.faces import Face, Quality

__all__ = ["LEVELS", "Bar", "brightness", "reasons", "sharpness"]

_SHARP = 40.0  # grey levels per pixel, for a contrast of 1, at which Sharpness is 63
_FLAT = 0.01  # contrast below which there is nothing that could be sharp


@dataclass(frozen=True)
class Bar:
    """What a face must at least be like. Turned: yaw or pitch, in degrees; eyes: between them, in pixels."""

    confidence: float
    eyes: float
    sharpness: float
    darkest: float
    brightest: float
    contrast: float
    turned: float


LEVELS = {
    "LOW": Bar(confidence=55, eyes=8, sharpness=20, darkest=5, brightest=95, contrast=0.02, turned=65),
    "MEDIUM": Bar(confidence=65, eyes=12, sharpness=30, darkest=10, brightest=90, contrast=0.04, turned=50),
    "HIGH": Bar(confidence=75, eyes=20, sharpness=45, darkest=15, brightest=85, contrast=0.07, turned=40),
}
"""The bars of QualityFilter. AUTO is MEDIUM; NONE filters nothing."""


def brightness(measured: Quality) -> float:
    """Brightness, 0 to 100: the mean luma of the face's chip in per cent."""
    return 100.0 * min(1.0, max(0.0, measured.brightness))


def sharpness(measured: Quality) -> float:
    """Sharpness, 0 to below 100: ``100 * (1 - exp(-s / c / 40))``.

    s is the chip's mean absolute Laplacian in grey levels, c its contrast (0 to 0.5), so that a darker copy of a photo
    is as sharp as the photo.
    """
    edges = max(0.0, measured.sharpness) / max(_FLAT, measured.contrast)
    return 100.0 * (1.0 - math.exp(-edges / _SHARP))


def reasons(face: Face, level: str) -> list[str]:
    """Why a face does not meet a QualityFilter, in AWS's words; empty where it does."""
    if level == "NONE":
        return []
    bar, measured = LEVELS["MEDIUM" if level == "AUTO" else level], face.quality
    checks = (
        ("LOW_CONFIDENCE", 100 * face.score < bar.confidence),
        ("SMALL_BOUNDING_BOX", measured.eye_distance < bar.eyes),
        ("LOW_SHARPNESS", sharpness(measured) < bar.sharpness),
        ("LOW_BRIGHTNESS", brightness(measured) < bar.darkest),
        ("EXTREME_POSE", max(abs(measured.yaw), abs(measured.pitch)) > bar.turned),
        ("LOW_FACE_QUALITY", measured.contrast < bar.contrast or brightness(measured) > bar.brightest),
    )
    return [reason for reason, fails in checks if fails]

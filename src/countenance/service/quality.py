"""QualityFilter, and the scales of Brightness and Sharpness: from what was measured of a face to AWS's words.

The cut-offs and what they cost are in ``docs/differences-from-aws.md``; they are not part of a pipeline's digest.
"""

import math
from dataclasses import dataclass

from countenance.faces import Face, Quality

__all__ = ["LEVELS", "Bar", "brightness", "reasons", "sharpness"]

_SHARP = 8.0  # grey levels per pixel at which Sharpness is 63


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
    "LOW": Bar(confidence=55, eyes=10, sharpness=8, darkest=6, brightest=97, contrast=0.03, turned=70),
    "MEDIUM": Bar(confidence=60, eyes=16, sharpness=15, darkest=12, brightest=94, contrast=0.05, turned=55),
    "HIGH": Bar(confidence=70, eyes=28, sharpness=30, darkest=20, brightest=90, contrast=0.08, turned=40),
}
"""The bars of QualityFilter. AUTO is LOW; NONE filters nothing."""


def brightness(measured: Quality) -> float:
    """Brightness, 0 to 100: the mean luma of the face's chip in per cent."""
    return 100.0 * min(1.0, max(0.0, measured.brightness))


def sharpness(measured: Quality) -> float:
    """Sharpness, 0 to below 100: ``100 * (1 - exp(-s / 8))``, s the chip's mean absolute Laplacian in grey levels."""
    return 100.0 * (1.0 - math.exp(-max(0.0, measured.sharpness) / _SHARP))


def reasons(face: Face, level: str) -> list[str]:
    """Why a face does not meet a QualityFilter, in AWS's words; empty where it does."""
    if level == "NONE":
        return []
    bar, measured = LEVELS["LOW" if level == "AUTO" else level], face.quality
    checks = (
        ("LOW_CONFIDENCE", 100 * face.score < bar.confidence),
        ("SMALL_BOUNDING_BOX", measured.eye_distance < bar.eyes),
        ("LOW_SHARPNESS", sharpness(measured) < bar.sharpness),
        ("LOW_BRIGHTNESS", brightness(measured) < bar.darkest),
        ("EXTREME_POSE", max(abs(measured.yaw), abs(measured.pitch)) > bar.turned),
        ("LOW_FACE_QUALITY", measured.contrast < bar.contrast or brightness(measured) > bar.brightest),
    )
    return [reason for reason, fails in checks if fails]

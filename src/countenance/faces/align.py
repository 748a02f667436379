"""Five landmarks and a photo in, an upright chip of the face out."""

import numpy as np
from numpy.typing import NDArray

from countenance.faces._lazy import need

__all__ = ["TEMPLATES", "WARP_VERSION", "chip", "similarity"]

#: Changes whenever the same photo and landmarks would give other pixels; part of a pipeline's digest.
WARP_VERSION = "1"

#: Where the five landmarks belong: (side of the chip, points). The points are, as the reader sees them, the
#: left eye, the right eye, the tip of the nose, the left and the right corner of the mouth; in pixels, the
#: corner of the chip being (0, 0) and the centre of its first pixel (0.5, 0.5).
TEMPLATES: dict[str, tuple[int, tuple[tuple[float, float], ...]]] = {
    # The mean place of CenterFace's landmarks in dlib's own chips on 238 LFW photos, 5 % larger: a least-squares
    # fit to noisy landmarks cuts too wide. Of 0.95, 1, 1.05 and 1.09 this did best on LFW.
    "dlib": (150, ((46.41, 46.2), (103.73, 44.97), (73.41, 79.15), (50.36, 105.65), (98.43, 103.81))),
    # Deng et al. 2019 (ArcFace), InsightFace's reference points for 112 x 112.
    "arcface": (
        112,
        ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)),
    ),
}


def similarity(landmarks: NDArray[np.floating], template: NDArray[np.floating]) -> NDArray[np.float64]:
    """Fit scale, rotation and shift in the least-squares sense (Umeyama 1991, without reflection).

    Args:
        landmarks: (5, 2), pixels of the photo.
        template: (5, 2), pixels of the chip.

    Returns:
        (2, 3): maps a point (x, y, 1) of the **chip** to the photo, as a warp needs it. The fit is made from
        photo to chip, so residuals are counted in pixels of the chip, and then inverted.

    Raises:
        ValueError: the landmarks coincide.
    """
    z = landmarks[:, 0] + 1j * landmarks[:, 1].astype(np.complex128)
    w = template[:, 0] + 1j * template[:, 1].astype(np.complex128)
    centred = z - z.mean()
    spread = np.vdot(centred, centred).real
    a = np.vdot(centred, w - w.mean()) / spread if spread > 0 else 0j
    if not np.isfinite(a) or abs(a) < 1e-9:
        raise ValueError("landmarks coincide")
    inverse = 1 / a
    shift = z.mean() - inverse * w.mean()
    return np.array([[inverse.real, -inverse.imag, shift.real], [inverse.imag, inverse.real, shift.imag]], np.float64)


def chip(
    photo: NDArray[np.uint8], landmarks: NDArray[np.floating], template: NDArray[np.floating], side: int
) -> NDArray[np.uint8]:
    """Cut the face out, upright and at the template's size.

    A face much larger than the chip is first reduced by whole-number box averaging, so that the interpolation
    does not alias. What lies outside of the photo is black.

    Args:
        photo: (height, width, 3) uint8 RGB.
        landmarks: (5, 2), pixels of the photo.
        template: (5, 2), pixels of the chip.
        side: of the chip, in pixels.

    Returns:
        (side, side, 3) uint8 RGB.

    Raises:
        ValueError: the landmarks coincide.
    """
    pillow = need("PIL.Image")
    matrix = similarity(landmarks, template)
    corners = matrix @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]], np.float64)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    factor = max(1, int(scale))
    margin = 3 * factor
    height, width = photo.shape[:2]
    left, top = np.clip(np.floor(corners.min(axis=1)) - margin, 0, [width, height]).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=1)) + margin, 0, [width, height]).astype(int)
    if right - left < 1 or bottom - top < 1:
        return np.zeros((side, side, 3), np.uint8)
    part = pillow.fromarray(np.ascontiguousarray(photo[top:bottom, left:right]))
    matrix[:, 2] -= (left, top)
    if factor > 1:
        part, matrix = part.reduce(factor), matrix / factor
    warped = part.transform((side, side), pillow.Transform.AFFINE, matrix.ravel(), pillow.Resampling.BILINEAR)
    return np.asarray(warped)

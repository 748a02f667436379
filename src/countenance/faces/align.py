"""Five landmarks and a photo in, an upright chip of the face out."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.faces._lazy import loops, need, words

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
    z = [complex(x, y) for x, y in landmarks.tolist()]
    w = [complex(x, y) for x, y in template.tolist()]
    z_mean, w_mean = sum(z) / 5, sum(w) / 5
    spread = sum(abs(p - z_mean) ** 2 for p in z)
    turn = sum((p - z_mean).conjugate() * (q - w_mean) for p, q in zip(z, w, strict=True))
    if not math.isfinite(spread) or abs(turn) < 1e-9 * spread or spread == 0:
        raise ValueError("landmarks coincide")
    inverse = spread / turn
    shift = z_mean - inverse * w_mean
    return np.array([[inverse.real, -inverse.imag, shift.real], [inverse.imag, inverse.real, shift.imag]])


def chip(photo: Any, landmarks: NDArray[np.floating], template: NDArray[np.floating], side: int) -> NDArray[np.uint8]:
    """Cut the face out, upright and at the template's size.

    A face much larger than the chip is first reduced by whole-number box averaging, so that the interpolation
    does not alias. What lies outside of the photo is black.

    Args:
        photo: (height, width, 3) uint8 RGB, or the Pillow image of it.
        landmarks: (5, 2), pixels of the photo.
        template: (5, 2), pixels of the chip.
        side: of the chip, in pixels.

    Returns:
        (side, side, 3) uint8 RGB.

    Raises:
        ValueError: the landmarks coincide.
    """
    pillow = need("PIL.Image")
    image = pillow.fromarray(photo) if isinstance(photo, np.ndarray) else photo
    matrix = similarity(landmarks, template)
    factor = int(math.hypot(matrix[0, 0], matrix[1, 0]))
    if factor > 1:
        corners = matrix @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]], np.float64)
        left, top = np.clip(np.floor(corners.min(axis=1)) - 3 * factor, 0, image.size).astype(int).tolist()
        right, bottom = np.clip(np.ceil(corners.max(axis=1)) + 3 * factor, 0, image.size).astype(int).tolist()
        if right <= left or bottom <= top:
            return np.zeros((side, side, 3), np.uint8)
        image = image.reduce(factor, (left, top, right, bottom))
        matrix[:, 2] -= (left, top)
        matrix /= factor
    return _warp(image, matrix, side)


def _warp(image: Any, matrix: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Interpolate a chip, by Pillow or by a loop that gives the same bytes; (side, side, 3) uint8."""
    kernels = loops()
    a, b, c, d, e, f = numbers = matrix.ravel().tolist()
    if kernels is None:
        pillow = need("PIL.Image")
        size, method = (side, side), pillow.Transform.AFFINE
        return np.asarray(image.transform(size, method, numbers, pillow.Resampling.BILINEAR))
    # Only what is needed of the photo is converted: the places of the chip's corner pixels, and a pixel around.
    ends = [(u, v) for u in (0.5, side - 0.5) for v in (0.5, side - 0.5)]
    xs, ys = [a * u + b * v + c for u, v in ends], [d * u + e * v + f for u, v in ends]
    left, right = max(math.floor(min(xs)) - 1, 0), min(math.floor(max(xs)) + 2, image.width)
    top, bottom = max(math.floor(min(ys)) - 1, 0), min(math.floor(max(ys)) + 2, image.height)
    if right <= left or bottom <= top:
        return np.zeros((side, side, 3), np.uint8)
    pixels = words(image.crop((left, top, right, bottom)))
    out = np.empty((side, side, 3), np.uint8)
    kernels.warp(pixels, (left, top, right, bottom, image.width, image.height), (a, b, c, d, e, f), out)
    return out

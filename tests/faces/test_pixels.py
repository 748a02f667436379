"""The compiled loops over pixels against Pillow and NumPy, which do the same where nobody asked for speed."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from countenance.faces import _lazy, align, detect, kernels, quality

TEMPLATE = np.array(align.TEMPLATES["dlib"][1])


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lazy, "_loops", kernels)
        yield


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pillow_warp(photo: Image.Image, matrix: np.ndarray, side: int) -> np.ndarray:
    numbers = matrix.ravel().tolist()
    return np.asarray(photo.transform((side, side), Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR))


def turned(scale: float, degrees: float, centre: tuple[float, float], side: int) -> np.ndarray:
    """From the chip to the photo; the chip's centre comes from ``centre``."""
    a, b = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    x, y = centre
    return np.array([[a, -b, x - (a - b) * side / 2], [b, a, y - (a + b) * side / 2]])


places = st.floats(-0.3, 1.3)


@settings(max_examples=400, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 160),
    st.floats(0.01, 4),
    st.one_of(st.floats(-180, 180), st.sampled_from([-180, -90, -45, 0, 45, 90])),
    places,
    places,
)
def test_a_warp_is_pillows_byte_for_byte(width, height, side, scale, degrees, x, y):
    photo, matrix = noise(width, height), turned(scale, degrees, (x * width, y * height), side)
    assert np.array_equal(align._warp(photo, matrix, side), pillow_warp(photo, matrix, side))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (3, 90)])
@pytest.mark.parametrize("shift", [-1.5, -1, -0.5, 0, 0.5, 1])
def test_a_warp_of_few_pixels_and_at_the_very_edge(size, shift):
    """Places on pixels, between them, and at what still is and no longer is inside."""
    for scale in (0.25, 0.5, 1, 1.5):
        for degrees in (0, 90, 180, 270):
            matrix = turned(scale, degrees, (size[0] / 2 + shift, size[1] / 2 + shift), 16).round(6)
            expected = pillow_warp(noise(*size), matrix, 16)
            assert np.array_equal(align._warp(noise(*size), matrix, 16), expected)


def test_a_warp_of_any_six_numbers():
    random = np.random.default_rng(1)
    for number in range(300):
        matrix = random.normal(size=(2, 3)) * [1, 1, 100]
        photo = noise(*random.integers(1, 200, 2).tolist(), seed=number)
        assert np.array_equal(align._warp(photo, matrix, 40), pillow_warp(photo, matrix, 40))


def test_a_chip_is_what_pillow_alone_would_cut(monkeypatch):
    """Also of a face that is reduced first, and from an array."""
    random = np.random.default_rng(2)
    cases = []
    for scale in (0.2, 0.7, 1.99, 2.01, 3.5, 6):
        for degrees in (0, 12, -77, 170):
            matrix = turned(scale, degrees, tuple(random.uniform(0, 700, 2)), 150)
            landmarks = np.hstack([TEMPLATE, np.ones((5, 1))]) @ matrix.T + random.normal(size=(5, 2))
            cases.append((noise(640, 720), landmarks))
    ours = [align.chip(photo, landmarks, TEMPLATE, 150) for photo, landmarks in cases]
    arrays = [align.chip(np.asarray(photo), landmarks, TEMPLATE, 150) for photo, landmarks in cases]
    monkeypatch.setattr(_lazy, "_loops", None)
    expected = [align.chip(photo, landmarks, TEMPLATE, 150) for photo, landmarks in cases]
    assert np.array_equal(ours, expected)
    assert np.array_equal(arrays, expected)
    assert len({one.tobytes() for one in ours}) > 20, "most of them show something"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e300])
def test_whatever_the_places_nothing_beside_the_region_is_read(number):
    """Places that are no numbers are outside; a region that is too small is clipped to."""
    pixels, chip = np.full(6, 0x00FFFFFF, np.uint32), np.full((8, 8, 3), 7, np.uint8)
    kernels.warp(pixels, (50, 50, 53, 52, 100, 100), (number, 0.0, 0.0, 0.0, number, 0.0), chip)
    assert not chip.any()
    kernels.warp(pixels, (50, 50, 53, 52, 100, 100), (12.0, 0.0, 0.0, 0.0, 12.0, 0.0), chip)
    assert (chip == 255).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([0.5, 1, 2]), st.sampled_from(["rgb", "bgr"]))
def test_the_detectors_input_is_numpys(width, height, scale, channels):
    photo, card = noise(width, height), SimpleNamespace(channels=channels)
    detect._prepare(photo, scale, card)[...] = 5  # the zeros are written, not found
    ours = detect._prepare(photo, scale, card).copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_lazy, "_loops", None)
        assert np.array_equal(ours, detect._prepare(photo, scale, card))


@pytest.mark.parametrize("side", [3, 4, 112, 150])
@pytest.mark.parametrize("kind", ["noise", "smooth", "stripes", "black", "white"])
def test_quality_is_that_of_pillow_and_numpy(side, kind, monkeypatch):
    smooth = np.linspace(0, 255, side * side).reshape(side, side, 1).repeat(3, axis=2) * [1, 0.7, 0.4]
    chip = {
        "noise": np.asarray(noise(side, side)),
        "smooth": smooth.astype(np.uint8),
        "stripes": np.indices((side, side, 3)).sum(axis=0) % 2 * 255,
        "black": np.zeros((side, side, 3)),
        "white": np.full((side, side, 3), 255),
    }[kind].astype(np.uint8)
    ours = quality.measure(chip, TEMPLATE, 0.9)
    monkeypatch.setattr(_lazy, "_loops", None)
    assert quality.measure(chip, TEMPLATE, 0.9) == ours


def test_luma_is_pillows():
    """Each of many colours at each place of a rounding."""
    colours = np.random.default_rng(3).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    counts = np.zeros(256)
    kernels.greys(colours, counts)
    assert counts.tolist() == Image.fromarray(colours).convert("L").histogram()

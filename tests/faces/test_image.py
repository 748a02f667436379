"""Photos that nobody vouches for."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from countenance.errors import ImageError
from countenance.faces import image as image_room
from countenance.faces import load_image


def encoded(photo: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    photo.save(out, kind, **options)
    return out.getvalue()


def ramp(width: int = 64, height: int = 48) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4 % 256, y * 5 % 256, (x + y) * 2 % 256], axis=-1).astype(np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_undone(orientation, kind):
    upright = Image.fromarray(ramp())
    stored = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # what a camera held so would store
    photo = upright if stored is None else upright.transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    found = load_image(encoded(photo, kind, exif=exif, **options))
    assert found.shape == ramp().shape
    assert np.abs(found.astype(int) - ramp()).mean() < (6 if kind == "JPEG" else 1e-9)


def test_every_mode_becomes_rgb():
    colour = Image.fromarray(ramp())
    gray = np.asarray(colour.convert("L"))
    for mode, kind in (("L", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("YCbCr", "JPEG")):
        found = load_image(encoded(colour.convert(mode), kind))
        assert found.shape == (48, 64, 3)
        assert found.dtype == np.uint8
    assert np.array_equal(load_image(encoded(colour.convert("L")))[..., 0], gray)
    cmyk = load_image(encoded(colour.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(cmyk.astype(int) - ramp()).mean() < 8
    sixteen = Image.fromarray(gray.astype(np.uint16) * 257)
    assert np.array_equal(load_image(encoded(sixteen))[..., 1], gray)
    dark = Image.fromarray(np.full((4, 4), 200, np.uint16))  # nearly black in 16 bits
    assert load_image(encoded(dark)).max() == 0
    real = Image.fromarray(gray.astype(np.float32))
    assert load_image(encoded(real, "TIFF")).shape == (48, 64, 3)


def test_what_is_transparent_becomes_white():
    photo = np.zeros((4, 4, 4), np.uint8)
    photo[:2, :, 3] = 255
    found = load_image(encoded(Image.fromarray(photo)))
    assert found[0, 0].tolist() == [0, 0, 0]
    assert found[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_many_is_used(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    found = load_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert found[4, 4, 0] > 240
    assert found[4, 4, 2] < 15


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path):
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)), "JPEG")
    cases = {
        "text.jpg": (b"this is a text, not a photo\n" * 50, "not an image"),
        "empty.jpg": (b"", "empty"),
        "cut.jpg": (whole[: len(whole) // 2], "truncated"),
        "cut.png": (encoded(Image.fromarray(ramp()))[:-40], "truncated"),
        "huge.png": (huge_png(60_000), "bomb|pixels"),
        "big.png": (huge_png(11_500), "132|pixels"),
        "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
    }
    for name, (data, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=message) as caught:
            load_image(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    for path, message in ((tmp_path / "none.jpg", "does not exist"), (tmp_path, "folder"), ("a\0b", "exist|read")):
        with pytest.raises(ImageError, match=message):
            load_image(path)


def test_a_huge_picture_is_refused_before_it_is_decoded():
    data = huge_png(60_000)
    assert len(data) < 2000
    with pytest.raises(ImageError, match="<bytes>"):
        load_image(data)


def test_a_file_over_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(image_room, "MAX_BYTES", 1000)
    (tmp_path / "large.png").write_bytes(encoded(Image.fromarray(ramp())) + b"\0" * 2000)
    with pytest.raises(ImageError, match="larger than"):
        load_image(tmp_path / "large.png")


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"]), st.data())
def test_damage_gives_an_image_or_an_image_error(kind, data):
    """No damage to a file raises anything else than ImageError."""
    whole = bytearray(encoded(Image.fromarray(ramp(24, 20)), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = load_image(bytes(whole), max_pixels=1_000_000)
    except ImageError:
        return
    assert found.ndim == 3
    assert found.shape[2] == 3
    assert found.dtype == np.uint8

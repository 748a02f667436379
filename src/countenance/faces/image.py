"""An untrusted photo in, an upright RGB array out."""

import io
import os
import stat
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.errors import ImageError, ImageTooLargeError
from countenance.faces._lazy import need

__all__ = ["MAX_BYTES", "MAX_PIXELS", "decode", "load_image", "thumbnail"]

#: Largest file read, in bytes.
MAX_BYTES = 100 * 2**20
#: Most pixels decoded: beyond the largest common cameras (102 megapixels), below what fills a memory.
MAX_PIXELS = 120_000_000
#: What is decoded. Vector, document and raw formats, and all that start another program, are left out.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "PPM", "JPEG2000", "AVIF")

Source = str | os.PathLike[str] | bytes


def _read(source: Source, name: str) -> bytes:
    """Read the file, if it is one and not too large."""
    if isinstance(source, bytes):
        data = source
    else:
        try:
            state = os.stat(source)
            if not stat.S_ISREG(state.st_mode):
                raise ImageError(f"{name}: is a folder or a device, not a photo: check the path")
            if state.st_size > MAX_BYTES:
                raise _too_large(name)
            with open(source, "rb") as file:
                data = file.read(state.st_size + 1)
        except FileNotFoundError as error:
            raise ImageError(f"{name}: the photo does not exist: check the path") from error
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
            raise ImageError(f"{name}: cannot be read ({error}): check the path and its permissions") from error
    if not data:
        raise ImageError(f"{name}: the file is empty: copy it again from its source")
    if len(data) > MAX_BYTES:
        raise _too_large(name)
    return data


def _too_large(name: str) -> ImageTooLargeError:
    return ImageTooLargeError(f"{name}: larger than {MAX_BYTES // 2**20} MiB: save it smaller")


def _to_rgb(photo: Any) -> Any:
    """Bring any mode to RGB; what is transparent becomes white; 16 bits become 8 by the high byte."""
    pillow = need("PIL.Image")
    if photo.mode == "RGB":
        return photo
    if photo.mode.startswith("I") or photo.mode == "F":
        values = np.asarray(photo).astype(np.float64)
        if photo.mode == "F":
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            values = (values - low) / ((high - low) or 1.0) * 255.0
        else:
            values = values / 257.0 if photo.mode != "I" or values.max(initial=0) > 255 else values
        return pillow.fromarray(np.clip(np.nan_to_num(values), 0, 255).astype(np.uint8)).convert("RGB")
    if "A" in photo.mode or "a" in photo.mode or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        paper = pillow.new("RGBA", photo.size, (255, 255, 255, 255))
        return pillow.alpha_composite(paper, photo).convert("RGB")
    return photo.convert("RGB")


def load_image(source: Source, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode a photo that nobody vouches for.

    The EXIF orientation is applied. Grayscale, palette, CMYK, 16-bit and transparent images become 8-bit RGB
    (transparent parts white, 16 bits by the high byte, colour profiles ignored). Of an animated or
    multi-page image the first frame is used.

    Args:
        source: a path, or the bytes of the file.
        name: what the messages call it; by default the path, or ``<bytes>``.
        max_pixels: most pixels (width times height), checked before anything is decoded.

    Returns:
        uint8 array of shape (height, width, 3), RGB, upright.

    Raises:
        ImageError: the file is missing, empty, truncated, damaged, or not an image.
        ImageTooLargeError: it has too many bytes or pixels.
        UnavailableError: the ``faces`` extra is not installed.
    """
    return np.asarray(decode(source, name=name, max_pixels=max_pixels))


def decode(source: Source, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Any:
    """Do what `load_image` does; the result is the Pillow image, upright and RGB."""
    pillow = _pillow()
    if name is None:
        name = "<bytes>" if isinstance(source, bytes) else os.fsdecode(source)
    data = _read(source, name)
    photo = _open(pillow, data, name)
    width, height = photo.size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name}: {width} x {height} pixels, more than {max_pixels // 1_000_000} million: save it smaller"
        )
    try:
        photo.load()
        # Asked for after loading: Pillow turns some formats by itself, and then says so here.
        tagged = photo.format != "JPEG" or "exif" in photo.info or "xmp" in photo.info
        orientation = photo.getexif().get(0x0112, 1) if tagged else 1
        rgb = _to_rgb(photo)
        if orientation in _UPRIGHT:
            rgb = rgb.transpose(_UPRIGHT[orientation])
    except MemoryError as error:
        raise ImageTooLargeError(f"{name}: too large for this machine's memory: save it smaller") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise ImageError(f"{name}: damaged or truncated ({reason}): copy it again from its source") from error
    return rgb


@cache
def _pillow() -> Any:
    """Pillow, told once to keep its warnings of odd files to itself: what matters is raised."""
    warnings.filterwarnings("ignore", module=r"PIL(\..*)?$")
    return need("PIL.Image")


#: EXIF orientation -> Pillow's ``Image.Transpose`` that undoes it (EXIF 2.32, table 6).
_UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


def _open(pillow: Any, data: bytes, name: str) -> Any:
    """Read the header only."""
    try:
        return pillow.open(io.BytesIO(data), formats=FORMATS)
    except pillow.DecompressionBombError as error:
        raise ImageTooLargeError(f"{name}: a decompression bomb, or far too many pixels: save it smaller") from error
    except Exception as error:
        raise ImageError(
            f"{name}: not an image that can be read (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, JPEG 2000, AVIF)"
            ": save it as JPEG or PNG"
        ) from error


def thumbnail(source: Source, side: int = 112) -> bytes | None:
    """Make a small JPEG of a photo: upright, without metadata, its longer side ``side`` pixels at most.

    None where the photo cannot be read.
    """
    try:
        photo = decode(source)
    except ImageError:
        return None
    photo.thumbnail((side, side))
    small = io.BytesIO()
    photo.save(small, "JPEG", quality=80)
    return small.getvalue()

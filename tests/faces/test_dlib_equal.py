"""The descriptor network gives what dlib gives."""

import importlib.util

import numpy as np
import pytest

from countenance.faces import default_pipeline

dlib = pytest.importorskip("dlib")


def test_descriptors_equal_dlibs_on_the_same_chips(grace):
    folder = importlib.util.find_spec("face_recognition_models").submodule_search_locations[0]
    theirs = dlib.face_recognition_model_v1(f"{folder}/models/dlib_face_recognition_resnet_model_v1.dat")
    chips = np.stack([grace[y : y + 150, x : x + 150] for y, x in ((60, 170), (100, 200), (0, 0), (300, 300))])
    ours = default_pipeline("dlib-resnet-v1")
    ours.mirror = False
    expected = np.array([theirs.compute_face_descriptor(np.ascontiguousarray(c)) for c in chips])
    assert np.abs(ours.embed_faces(chips) - expected).max() < 1e-5

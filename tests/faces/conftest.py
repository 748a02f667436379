"""Two public-domain faces that come with ordinary packages, and a home of our own."""

from pathlib import Path

import numpy as np
import pytest

from countenance.faces import Pipeline, default_pipeline, load_image


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory):
    """Tests leave the user's folder of models alone."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTENANCE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def grace() -> np.ndarray:
    """Grace Hopper, 606 x 512."""
    import matplotlib

    return load_image(Path(matplotlib.__file__).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg")


@pytest.fixture(scope="session")
def eileen() -> np.ndarray:
    """Eileen Collins, 512 x 512."""
    import skimage

    return load_image(Path(skimage.__file__).parent / "data" / "astronaut.png")


@pytest.fixture(scope="session")
def pipeline(home: Path) -> Pipeline:
    """The default engine of a fresh installation."""
    return default_pipeline()

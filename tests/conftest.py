"""Shared fixtures: where the labelled photos and models are, when they are at hand."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of labelled photos and models beside the checkout, or a skip that says so."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"the labelled photos are not part of this repository and not at {SHARED}")
    return SHARED

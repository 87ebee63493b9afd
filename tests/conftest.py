"""Where the real data and the reference vectors are, and small tables for all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """The folder with reference vectors and real data: MODEST_SHARED or ../shared beside the repository."""
    path = Path(os.environ.get("MODEST_SHARED", ROOT.parent / "shared"))
    return path if (path / "reference").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    path = shared_folder()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("MODEST_SHARED and ../shared are both missing; in CI these tests may not be skipped.")
        pytest.skip("the real data and reference vectors are not here; set MODEST_SHARED to their folder to run this.")
    return path

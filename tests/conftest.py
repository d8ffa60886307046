"""What every test may ask for: the shared data, and its absence said aloud."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def missing(what: str) -> None:
    """Leave the test out with a printed reason, or fail it where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is required under CI=true")
    pytest.skip(what)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data, from PEHRA_DATA (default ../shared/data)."""
    folder = Path(os.environ.get("PEHRA_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not (folder / "README.md").is_file():
        missing(f"real data not found at {folder}: set PEHRA_DATA to the folder that holds it")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files with few but long tests go first: whoever runs several at a time has no long end."""
    items.sort(key=lambda item: "system" not in item.path.parts)

"""Peers: an engine with our tables on SQLite and a real PostgreSQL, an image repository on a web server."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from fleet.store.database import open_database
from tests.brokers import free_port, wait_until
from tests.conftest import missing
from tests.repository_simulator import Client, Repository, Served, serving
from tests.updating import Publisher, Unit, tiny_model


def postgres_folder() -> Path:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not folders:
        missing("PostgreSQL is not installed (Debian package: postgresql)")
    return folders[-1].parent


def as_non_root(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Outside of pytest's own folder, which every other run of pytest closes to PostgreSQL's user again."""
    binaries = postgres_folder()
    with tempfile.TemporaryDirectory(prefix="pehra-postgres-", ignore_cleanup_errors=True) as place:
        yield from running_postgres(binaries, Path(place))


def running_postgres(binaries: Path, folder: Path) -> Iterator[str]:
    options = as_non_root(folder) | {
        "cwd": folder,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    data, port = folder / "data", free_port()
    initdb = [
        str(binaries / "initdb"),
        "-D",
        str(data),
        "-U",
        "pehra",
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.run(initdb, check=True, timeout=60, **options)
    command = [
        str(binaries / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-k",
        str(folder),
        "-h",
        "127.0.0.1",
        "-F",
    ]
    process = subprocess.Popen(command, **options)
    try:
        wait_until(lambda: ready(binaries, port), "PostgreSQL answers", 30)
        yield f"postgresql+psycopg://pehra@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(20)


def ready(binaries: Path, port: int) -> bool:
    command = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
    return subprocess.run(command, check=False).returncode == 0


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path}/fleet.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        admin = create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text("drop schema public cascade"))
            connection.execute(text("create schema public"))
        admin.dispose()
    opened = open_database(url)
    yield opened
    opened.dispose()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Repository()) as one:
        yield one


@pytest.fixture
def repository(served: Served) -> Repository:
    return served.repository


@pytest.fixture
def client(tmp_path: Path, served: Served) -> Client:
    return Client(tmp_path, served)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """An image repository whose releases a device may install."""
    return Publisher(tmp_path)


@pytest.fixture
def unit(tmp_path: Path, publisher: Publisher) -> Unit:
    """A device that was started, with its updater."""
    return Unit(tmp_path, publisher).start()


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A model's folder."""
    return tiny_model(tmp_path / "one", "1.0")


@pytest.fixture
def web(publisher: Publisher) -> Iterator[Served]:
    """The publisher's repository on a web server."""
    with serving(publisher.repository) as running:
        yield running

"""A fleet with people for tests: a home, users of each role, and clients that have logged in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import Session
from starlette.types import ASGIApp

from fleet.access.caller import SYSTEM
from fleet.access.users import add_user, create_owner, grant_of
from fleet.app import create_api
from fleet.services import Services, build_services
from fleet.serving import listen, serve
from fleet.settings import Settings
from tests.homes import make_home

OWNER = "noor"
PASSWORD = "the night heron waits"
NOW_MS = 1_800_000_000_000


def services_with_home(folder: Path, url: str = "") -> Services:
    """Services of a fleet in which people log in, with one owner."""
    make_home(folder)
    settings = Settings(database_url=url or f"sqlite:///{folder}/fleet.db", home=folder)
    services = build_services(settings)
    create_owner(services.engine, OWNER, PASSWORD)
    return services


def add(services: Services, name: str, *grants: str) -> None:
    with Session(services.engine) as session:
        add_user(session, SYSTEM, name, PASSWORD, [grant_of(one) for one in grants], now_ms=NOW_MS)


@contextlib.contextmanager
def served(services: Services, make: Callable[[Services], ASGIApp] = create_api) -> Iterator[str]:
    """The application on a real server; gives its address."""
    listener, stop, ready = listen("127.0.0.1", 0), threading.Event(), threading.Event()
    port = listener.getsockname()[1]
    arguments = (make(services), listener, stop)
    thread = threading.Thread(target=serve, args=arguments, kwargs={"ready": ready.set})
    thread.start()
    try:
        assert ready.wait(20)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join(20)


@contextlib.contextmanager
def logged_in(url: str, name: str, password: str = PASSWORD) -> Iterator[httpx.Client]:
    """A client that behaves like a browser in which somebody has logged in."""
    with client_of(url) as client:
        answer = client.post("/sessions", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        yield client


def client_of(url: str, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=f"{url}/api/v1", timeout=20, headers={"origin": url} | headers)


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    return problem

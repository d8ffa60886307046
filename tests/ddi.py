"""A fleet with devices whose operating systems are rolled out, and a client of hawkBit's API that asks it."""

from __future__ import annotations

import hashlib
import ssl
import time
from typing import Any

import httpx
from sqlalchemy import update
from sqlmodel import col

from fleet.hawkbit.entry import make_token
from fleet.hawkbit.releases import NewImage, keep_image
from fleet.rollouts import acting
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import settings_of
from fleet.services import Services
from fleet.store.tables import Device
from fleet.store.tables_identity import Identity
from fleet.store.tables_os import OsAction
from fleet.store.tables_rollouts import Rollout, RolloutDevice
from tests.fake_device import health, info
from tests.integration.test_api_rest import store

FILE = "camera-os.swu"


def now_ms() -> int:
    return round(time.time() * 1000)


def let_in(services: Services, device: str, site: str = "lahore/gulberg") -> None:
    """A device that was enrolled, has told what it is and is online."""
    store(services, device, info(site), health(), received_s=time.time())
    with services.session() as session:
        if session.get(Identity, device) is None:
            session.add(Identity(device=device, site=site, state="active", since_ms=1, enrolled_ms=1))
        session.execute(update(Device).where(col(Device.id) == device).values(is_online=True))
        session.commit()


def token_of(services: Services, device: str) -> str:
    with services.session() as session:
        return make_token(session, device, "noor", now_ms())


def add_image(services: Services, content: bytes, version: str = "1.2.0", file: str = FILE) -> str:
    images = services.os_images
    assert images is not None
    with services.session() as session, images.receiving(len(content)) as received:
        received.add(content)
        return keep_image(session, images, received, NewImage("camera-os", version, file), "noor", 1).id


def roll_out(
    services: Services, release: str, *, wanted: str = "all", name: str = "system", **more: Any
) -> str:
    settings = settings_of(**({"soak_s": 0, "deadline_s": 600} | more))
    new = NewRollout(name, release, wanted, "100%", settings, needs_approval=False)
    with services.session() as session:
        made = acting.create(session, new, "noor", now_ms()).id
    services.rollouts.wake()
    return made


def act(services: Services, verb: str, rollout: str) -> None:
    with services.session() as session:
        acting.ACTIONS[verb](session, rollout, "noor", now_ms(), services.tell)
    services.rollouts.wake()


def state_of(services: Services, rollout: str) -> str:
    with services.session() as session:
        return session.get_one(Rollout, rollout).state


def member(services: Services, rollout: str, device: str) -> RolloutDevice:
    with services.session() as session:
        return session.get_one(RolloutDevice, (rollout, device))


def action(services: Services, number: int) -> OsAction:
    with services.session() as session:
        return session.get_one(OsAction, number)


class DdiClient:
    """Asks as a device does; `id` of feedback as a text, as rauc-hawkbit-updater sends it."""

    def __init__(self, url: str, device: str, token: str, verify: ssl.SSLContext | bool = True) -> None:
        headers = {"authorization": f"TargetToken {token}"}
        self.base = f"{url}/default/controller/v1/{device}"
        self.http = httpx.Client(timeout=20, headers=headers, verify=verify)

    def __enter__(self) -> DdiClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def poll(self) -> dict[str, str]:
        """The links that are offered, by name."""
        answer = self.http.get(self.base)
        assert answer.status_code == 200, answer.text
        links: dict[str, dict[str, str]] = answer.json()["_links"]
        return {name: link["href"] for name, link in links.items()}

    def deployment(self) -> dict[str, Any]:
        """What is offered, read."""
        answer = self.http.get(self.poll()["deploymentBase"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def artifact(self) -> dict[str, Any]:
        found: dict[str, Any] = self.deployment()["deployment"]["chunks"][0]["artifacts"][0]
        return found

    def download(self) -> bytes:
        """Read what is offered and fetch its image."""
        links = self.artifact()["_links"]
        answer = self.http.get(links.get("download", links.get("download-http"))["href"])
        assert answer.status_code == 200, answer.text
        return answer.content

    def say(
        self,
        number: object,
        execution: str,
        finished: str = "none",
        *details: str,
        at: str = "deploymentBase",
        body_id: object = None,
    ) -> int:
        """Give feedback; returns the status of the answer."""
        body = {
            "id": str(number) if body_id is None else body_id,
            "time": "20261126T201821",
            "status": {"execution": execution, "result": {"finished": finished}, "details": list(details)},
        }
        return self.http.post(f"{self.base}/{at}/{number}/feedback", json=body).status_code


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

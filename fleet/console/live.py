"""The live view without pixels: boxes, tracks, zones and lines of one camera, while somebody looks."""

from __future__ import annotations

import time
from html import escape
from typing import Any, Final

import msgspec
from nicegui import ui
from sqlmodel import Session

from fleet.access import audit
from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.console.counts_chart import COLOURS
from fleet.console.device import Facts, head_html, read_facts
from fleet.console.frame import ask, empty_state, now_ms, page_frame, spared
from fleet.console.words import url_of, word_of
from fleet.errors import Forbidden, NotFound
from fleet.services import Services

LOOK_S: Final = 0.1
HEAD_S: Final = 2.0


class LiveView(ui.element, component="live_view.js"):
    """The canvas (`live_view.js`); it moves boxes smoothly between frames."""

    def __init__(self, camera: dict[str, Any]) -> None:
        super().__init__()
        self._props["camera"] = camera
        self._props["colours"] = COLOURS

    def show(self, frame: dict[str, Any]) -> None:
        """Draw one more frame (struct `LiveFrame`)."""
        self.run_method("show", frame)


def add_page(services: Services) -> None:
    """Register `/devices/{device}/live/{cam}`."""

    @ui.page("/devices/{device}/live/{cam}")
    async def live_page(device: str, cam: str) -> None:
        ui.page_title(f"{device} {cam} · Pehra")
        with page_frame(services, "/devices") as caller:
            try:
                facts = await ask(services, lambda session: _open(session, word_of(device), cam, caller))
            except NotFound as error:
                empty_state("No such device.", escape(str(error)))
                return
            except Forbidden:
                empty_state("No live view.", "Your roles do not give it at this device's site.")
                return
            camera = find_camera(facts, cam)
            if camera is None:
                empty_state(
                    f"{escape(device)} has no camera {escape(cam)}.",
                    "Go back to the device for those it has.",
                )
                return
            _draw(services, facts, camera, caller)


def _open(session: Session, device: str, cam: str, caller: Caller) -> Facts:
    """Return the facts for who may look, and keep that he does."""
    facts = read_facts(session, device, caller, Permission.SEE_LIVE)
    if find_camera(facts, cam) is not None:
        audit.look(session, caller, "live.open", f"{device}/{cam}", at_ms=now_ms())
        facts = read_facts(session, device, caller, Permission.SEE_LIVE)
    return facts


def find_camera(facts: Facts, cam: str) -> dict[str, Any] | None:
    """Return a camera of the birth certificate (struct `CameraInfo`)."""
    cameras: list[dict[str, Any]] = (facts.device.info or {}).get("cameras", [])
    return next((camera for camera in cameras if camera["id"] == cam), None)


def _draw(services: Services, facts: Facts, camera: dict[str, Any], caller: Caller) -> None:
    device, cam = facts.device.id, str(camera["id"])
    with ui.element("div").classes("row-line"):
        ui.link(device, url_of(f"/devices/{device}")).classes("title link")
        ui.label(cam).classes("title")
        head = ui.html(head_html(facts.device, now_ms()), sanitize=False).classes("grow quiet")
        ui.label("Boxes only: no picture leaves the camera").classes("quiet small")
    view = LiveView(camera)
    shown = ""

    def look() -> None:
        nonlocal shown
        if not ui.context.client.has_socket_connection:
            return
        services.live.look(device, cam, services.link.publish, now_s=time.monotonic(), utc_s=time.time())
        frame = services.live.newest(device, cam)
        if frame is not None and frame.id != shown:
            shown = frame.id
            view.show(msgspec.to_builtins(frame))

    @spared
    async def refresh() -> None:
        try:
            now = await ask(services, lambda s: read_facts(s, device, caller, Permission.SEE_LIVE))
        except (NotFound, Forbidden):
            ui.navigate.reload()
            return
        head.set_content(head_html(now.device, now_ms()))

    ui.timer(LOOK_S, look)
    ui.timer(HEAD_S, refresh)

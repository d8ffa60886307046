"""OS images, and tokens of the engines that install them: for people. What engines ask is in `hawkbit`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Final

from anyio import from_thread
from fastapi import APIRouter, Path, Query, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from fleet.access.reach import reach_device
from fleet.access.roles import Permission
from fleet.api.deps import MakeClaims, ManageRollouts, RevokeDevice, SeeDevices, ServicesDep, SessionDep
from fleet.api.description import RESPONSES
from fleet.api.entry import now_ms
from fleet.api.models_people import Done
from fleet.api.models_rollouts import ReleaseOut
from fleet.api.models_systems import ImageIn, SystemOut, SystemTokenOut
from fleet.errors import Conflict
from fleet.hawkbit.entry import make_token, revoke_token
from fleet.hawkbit.releases import keep_image
from fleet.hawkbit.show import show_system
from fleet.queries.paging import Storable

router = APIRouter(tags=["os"])

PIECE_BYTES: Final = 1024 * 1024
Id = Annotated[Storable, Path(max_length=60)]
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FULL: Final[dict[int | str, dict[str, Any]]] = {
    507: RESPONSES[503] | {"description": "there is no room on the disk for it"}
}


@router.post("/releases/os", summary="Upload an OS image", openapi_extra=_BODY, responses=_FULL)
def post_image(
    caller: ManageRollouts, services: ServicesDep, request: Request, asked: Annotated[ImageIn, Query()]
) -> ReleaseOut:
    """Keep the image that is the body of the request, and make a release of it; written as it comes."""
    new = asked.new()
    new.check()
    if services.os_images is None:
        raise Conflict("this fleet was not told where to keep images: PEHRA_OS_IMAGES=FOLDER")
    declared = request.headers.get("content-length", "")
    length = int(declared) if declared.isascii() and declared.isdecimal() else None
    with services.os_images.receiving(length) as received:
        for piece in _pieces(request):
            received.add(piece)
        with services.session() as session:
            return ReleaseOut.of(keep_image(session, services.os_images, received, new, caller, now_ms()))


@router.get("/devices/{device}/os", summary="What is known of a device's operating system")
def read_system(caller: SeeDevices, session: SessionDep, device: Id) -> SystemOut:
    """What it said of itself, what it was told to install, whether it has a token."""
    reach_device(session, caller, Permission.SEE_DEVICES, device)
    return SystemOut.shown(show_system(session, device))


@router.post("/devices/{device}/os/token", summary="Give a device's engine a token")
def post_token(caller: MakeClaims, session: SessionDep, device: Id) -> SystemTokenOut:
    """The token is in this answer and nowhere else; the one before ends."""
    reach_device(session, caller, Permission.MAKE_CLAIMS, device)
    return SystemTokenOut(device=device, token=make_token(session, device, caller, now_ms()))


@router.delete("/devices/{device}/os/token", summary="End the token of a device's engine")
def delete_token(caller: RevokeDevice, session: SessionDep, device: Id) -> Done:
    """At once; the second time changes nothing."""
    reach_device(session, caller, Permission.REVOKE_DEVICE, device)
    revoke_token(session, device, caller, now_ms())
    return Done()


def _pieces(request: Request) -> Iterator[bytes]:
    """Give the body in large pieces, as it comes; read in the web server's loop, used in our thread.

    Raises:
        HTTPException: it ended too early, or came too slowly.
    """
    stream, held = request.stream(), bytearray()
    try:
        while piece := from_thread.run(_next, stream):
            held += piece
            if len(held) >= PIECE_BYTES:
                yield bytes(held)
                held.clear()
    except ClientDisconnect as error:
        raise HTTPException(408, "the body ended too early, or came too slowly") from error
    if held:
        yield bytes(held)


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    """Return what comes next; empty at the end."""
    async for piece in stream:
        if piece:
            return piece
    return b""

"""What boards ask for before and after they are trusted; devices only, no person comes here.

Bodies are `ota.enrolment` structs in JSON. A refusal is 403 with `reason`, one word that the board keeps.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from fleet.api.deps import PUBLIC, OfficeDep, ServicesDep, SessionDep
from fleet.api.description import gives, gives_file, takes
from fleet.errors import BadQuery
from fleet.peer import peer_certificate
from ota.enrolment import EnrolAnswer, EnrolRequest, RenewRequest, TrustAnswer

router = APIRouter(tags=["enrolment"], dependencies=[PUBLIC])
MAX_BODY_BYTES: Final = 65_536
PEM: Final = "application/x-pem-file"
T = TypeVar("T")


async def _body(request: Request) -> bytes:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MAX_BODY_BYTES:
            raise BadQuery(f"more than {MAX_BODY_BYTES} bytes")
    return bytes(content)


Body = Annotated[bytes, Depends(_body)]


@router.get(
    "/enrol/root",
    summary="The fleet's root certificate",
    response_class=Response,
    responses=gives_file(PEM),
)
def read_root(office: OfficeDep) -> Response:
    """PEM; a board compares its key with the pin of its ticket before it trusts it."""
    return Response(office.root_pem, media_type=PEM)


@router.get(
    "/enrol/crl",
    summary="Certificates that are no longer trusted",
    response_class=Response,
    responses=gives_file(PEM),
)
def read_crl(office: OfficeDep) -> Response:
    """The revocation list (PEM)."""
    return Response(office.home.crl.read_text(), media_type=PEM)


@router.post(
    "/enrol",
    summary="Enrol a board with a claim",
    responses=gives(EnrolAnswer),
    openapi_extra=takes(EnrolRequest),
)
def post_enrol(body: Body, session: SessionDep, services: ServicesDep, office: OfficeDep) -> Response:
    """Give an identity for a claim and a signing request; the same again gets the same answer."""
    answer = office.enrol(session, _decoded(body, EnrolRequest))
    services.keeper_wake()
    return _json(answer)


@router.post(
    "/enrol/renew",
    summary="Renew a device's certificate (mutual TLS)",
    responses=gives(EnrolAnswer),
    openapi_extra=takes(RenewRequest),
)
def post_renew(request: Request, body: Body, session: SessionDep, office: OfficeDep) -> Response:
    """Give a new certificate to the device that comes with its old one."""
    asked = _decoded(body, RenewRequest)
    return _json(office.renew(session, peer_certificate(request.scope), asked.csr))


@router.post("/enrol/confirm", summary="Say that a renewed certificate is in use (mutual TLS)")
def post_confirm(
    request: Request, session: SessionDep, services: ServicesDep, office: OfficeDep
) -> dict[str, list[str]]:
    """End the older certificates of the device that comes with its newest."""
    ended = office.confirm(session, peer_certificate(request.scope))
    services.keeper_wake()
    return {"ended": ended}


@router.post(
    "/enrol/trust",
    summary="Tell a device whom it is to believe (mutual TLS)",
    responses=gives(TrustAnswer),
)
def post_trust(request: Request, session: SessionDep, office: OfficeDep) -> Response:
    """Give the director's roots and the image repository's to the device that comes with its certificate."""
    return _json(office.known_trust(session, peer_certificate(request.scope)))


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadQuery(f"body: {error}") from error


def _json(answer: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")

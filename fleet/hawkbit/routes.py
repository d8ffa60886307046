"""hawkBit's device API: `/{tenant}/controller/v1/{device}`; devices only, no person comes here.

A client polls, reads what it is to install, downloads it, and says how far it is. There is one tenant,
`default`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import PlainTextResponse

from fleet.api.deps import PUBLIC, ServicesDep, SessionDep
from fleet.api.description import RESPONSES
from fleet.api.entry import address_of, now_ms
from fleet.errors import NotFound, NotLoggedIn
from fleet.hawkbit import actions
from fleet.hawkbit.attributes import put_attributes, wants_attributes
from fleet.hawkbit.bodies import AttributesIn, FeedbackIn
from fleet.hawkbit.documents import (
    CancelAnswer,
    DeploymentAnswer,
    PollAnswer,
    cancel_answer,
    deployment_answer,
    poll_answer,
)
from fleet.hawkbit.entry import check_client, need_known
from fleet.hawkbit.hours import is_window_open, may_begin
from fleet.hawkbit.releases import find_image
from fleet.hawkbit.sending import SentImage
from fleet.peer import peer_certificate
from fleet.queries.paging import Storable
from fleet.services import Services
from fleet.store.tables_os import OsAction

TENANT: Final = "default"
CONTROLLER: Final = re.compile(r"/[^/]+/controller/v1/")
"""How paths of this API begin."""
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    status: RESPONSES[status] for status in (400, 401, 404, 408, 410, 413, 421, 422, 429, 503)
}

router = APIRouter(
    prefix="/{tenant}/controller/v1/{controller}",
    tags=["os"],
    dependencies=[PUBLIC],
    responses=ANSWERS,
)
Number = Annotated[int, Path(ge=1, lt=2**31, description="of the action")]
Module = Annotated[int, Path(ge=1, lt=2**31, description="the action that installs it")]
File = Annotated[Storable, Path(max_length=130)]


def get_client(
    request: Request,
    services: ServicesDep,
    tenant: Annotated[Storable, Path(max_length=60, description="`default`")],
    controller: Annotated[Storable, Path(max_length=60, description="the device's id")],
) -> str:
    """Return the device that asks.

    Raises:
        NotFound: another tenant, or a device that this open fleet does not know.
        NotLoggedIn: it is not the device that it says it is.
        TooManyTries: it has come with wrong tokens again and again.
    """
    if tenant != TENANT:
        raise NotFound(f"there is no tenant {tenant[:30]!r} here: the only one is {TENANT!r}")
    with services.session() as session:
        if services.settings.is_open:
            need_known(session, controller)
            return controller
        now, address = now_ms(), address_of(request)
        services.guesses.check(controller, address, now)
        try:
            check_client(
                session,
                controller,
                certificate=peer_certificate(request.scope),
                authorization=request.headers.get("authorization", ""),
            )
        except NotLoggedIn:
            services.guesses.note(controller, address, now, is_good=False)
            raise
        services.guesses.note(controller, address, now, is_good=True)
    return controller


Client = Annotated[str, Depends(get_client)]


@router.get("", summary="What is there to do", response_model_exclude_none=True)
def poll(request: Request, device: Client, session: SessionDep, services: ServicesDep) -> PollAnswer:
    """Links to what is to be installed, let go or told; none of them when there is nothing."""
    at_ms = now_ms()
    to_do = actions.catch_up(session, device, at_ms)
    order = to_do.order if to_do.order is not None and find_image(session, to_do.order) else None
    return poll_answer(
        _base(request, device),
        services.settings.os_poll_s,
        order=order if order is not None and may_begin(session, order, at_ms) else None,
        cancel=to_do.cancel,
        installed=to_do.installed,
        wants_attributes=wants_attributes(session, device),
    )


@router.put("/configData", summary="Say what the device is", response_class=Response)
def put_config_data(device: Client, session: SessionDep, body: AttributesIn) -> Response:
    """Names and values; nothing waits for them."""
    put_attributes(session, device, body.data, body.mode, now_ms())
    return Response()


@router.get("/deploymentBase/{number}", summary="What to install", response_model_exclude_none=True)
def read_deployment(
    request: Request, device: Client, session: SessionDep, number: Number
) -> DeploymentAnswer:
    """The image, where it is and what its digests are; nothing is begun outside of its window."""
    at_ms = now_ms()
    if not may_begin(session, actions.find_order(session, device, number, at_ms), at_ms):
        raise NotFound(f"the window of action {number} is closed: poll again")
    action = actions.fetch(session, device, number, at_ms)
    return _deployment(request, session, action, is_window_open(session, device, at_ms))


@router.post(
    "/deploymentBase/{number}/feedback", summary="Say how far an installation is", response_class=Response
)
def post_feedback(device: Client, session: SessionDep, number: Number, body: FeedbackIn) -> Response:
    """`closed` ends the action; after that there is no more to say (410)."""
    _check_number(body, number)
    actions.take_feedback(session, device, number, body.said(), now_ms())
    return Response()


@router.get("/cancelAction/{number}", summary="What to let go")
def read_cancel(device: Client, session: SessionDep, number: Number) -> CancelAnswer:
    """The action that is to stop."""
    return cancel_answer(actions.find_cancel(session, device, number, now_ms()))


@router.post("/cancelAction/{number}/feedback", summary="Say whether it was let go", response_class=Response)
def post_cancel_feedback(device: Client, session: SessionDep, number: Number, body: FeedbackIn) -> Response:
    """`closed` ends the action, `rejected` says that it goes on."""
    _check_number(body, number)
    actions.take_cancel_feedback(session, device, number, body.said(), now_ms())
    return Response()


@router.get("/installedBase/{number}", summary="What was installed last", response_model_exclude_none=True)
def read_installed(request: Request, device: Client, session: SessionDep, number: Number) -> DeploymentAnswer:
    """The same as when it was to be installed."""
    return _deployment(request, session, actions.find_installed(session, device, number), None)


@router.head("/softwaremodules/{module}/artifacts/{file}", include_in_schema=False)
@router.get(
    "/softwaremodules/{module}/artifacts/{file}",
    summary="Download an image",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "the image, or its MD5 sum"}
    },
)
def read_artifact(device: Client, services: ServicesDep, module: Module, file: File) -> Response:
    """The image, in parts (`Range`) where one asks for them; `FILE.MD5SUM` is its sum."""
    with services.session() as session:  # it must not stay open for as long as a download takes
        order = actions.find_order(session, device, module, now_ms())
        found = find_image(session, order)
    if found is None or services.os_images is None:
        raise NotFound(f"there is no image of action {module} here")
    image = found[1]
    path = services.os_images.path_of(image.sha256)
    if file == f"{image.file}.MD5SUM":
        return PlainTextResponse(f"{image.md5}  {image.file}\n")
    if file != image.file or not path.is_file():
        raise NotFound(f"action {module} has no file {file[:60]!r}")
    return SentImage(path, image, lambda: _note_sent(services, module))


def _note_sent(services: Services, number: int) -> None:
    with services.session() as session:
        actions.note_sent(session, number)


def _deployment(
    request: Request, session: SessionDep, action: OsAction, is_open: bool | None
) -> DeploymentAnswer:
    found = find_image(session, action)
    if found is None:
        raise NotFound(f"there is no image of action {action.id} here")
    return deployment_answer(_base(request, action.device), action, *found, is_open=is_open)


def _base(request: Request, device: str) -> str:
    return f"{str(request.base_url).rstrip('/')}/{TENANT}/controller/v1/{device}"


def _check_number(body: FeedbackIn, number: int) -> None:
    if not body.is_of(number):
        raise NotFound(f"the feedback is of action {str(body.id)[:20]!r}, and was sent to that of {number}")

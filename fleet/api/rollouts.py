"""Releases, rollouts, tags of devices. A rollout concerns the whole fleet: who sees only a part sees none."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from fleet.access.caller import Caller
from fleet.access.reach import reach_device
from fleet.access.roles import Permission
from fleet.api.deps import (
    ApproveRollouts,
    ChangeConfig,
    Cursor,
    Limit,
    ManageRollouts,
    SeeDevices,
    ServicesDep,
    SessionDep,
)
from fleet.api.entry import now_ms
from fleet.api.models_rollouts import (
    HistoryList,
    HistoryOut,
    MemberOut,
    MemberPage,
    PreviewIn,
    PreviewOut,
    ReleaseIn,
    ReleaseList,
    ReleaseOut,
    RolloutDetail,
    RolloutIn,
    RolloutList,
    RolloutOut,
    Tags,
)
from fleet.errors import NotFound
from fleet.queries.paging import Storable
from fleet.rollouts import acting, releases, tags
from fleet.rollouts.preview import preview
from fleet.rollouts.show import history_of, list_members, page_rollouts, show
from fleet.store.tables_rollouts import Rollout

router = APIRouter(tags=["rollouts"])

Id = Annotated[Storable, Path(max_length=120)]
Verb = Annotated[Literal["pause", "resume", "abort", "revert"], Path()]
RolloutState = Annotated[
    Storable, Query(max_length=20, description="`running`, `stopped`, `done`, ...; empty for all")
]
State = Annotated[Storable, Query(max_length=20, description="`failed`, `waiting`, ...; empty for all")]


@router.get("/releases", summary="List releases, newest first")
def read_releases(
    caller: SeeDevices, session: SessionDep, limit: Limit = 100, cursor: Cursor = None
) -> ReleaseList:
    """What can be rolled out, and what could once."""
    if not caller.sees_all:
        return ReleaseList(items=[], next_cursor=None)
    page = releases.page_releases(session, limit=limit, cursor=cursor)
    return ReleaseList(items=[ReleaseOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.post("/releases", summary="Make a release known")
def post_release(caller: ManageRollouts, session: SessionDep, body: ReleaseIn) -> ReleaseOut:
    """Name a target of the image repository that devices may be told; devices check it by its signatures.

    An OS image is not named but uploaded: `POST /releases/os`.
    """
    return ReleaseOut.of(releases.add_release(session, body.new(), caller, now_ms()))


@router.post("/releases/{release}/withdraw", summary="Let no new rollout use a release")
def post_withdraw(caller: ManageRollouts, session: SessionDep, release: Id) -> ReleaseOut:
    """Rollouts that run go on: abort or revert them."""
    return ReleaseOut.of(releases.withdraw_release(session, release, caller))


@router.get("/rollouts", summary="List rollouts, newest first")
def read_rollouts(
    caller: SeeDevices,
    session: SessionDep,
    state: RolloutState = "",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> RolloutList:
    """Each with a sentence that says what it waits for."""
    if not caller.sees_all:
        return RolloutList(items=[], next_cursor=None)
    page = page_rollouts(session, limit=limit, cursor=cursor, states=(state,) if state else ())
    return RolloutList(items=[RolloutOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.post("/rollouts/preview", summary="Say who would get a release")
def post_preview(caller: ManageRollouts, session: SessionDep, body: PreviewIn) -> PreviewOut:
    """Counts by board and by what runs now; makes nothing."""
    del caller
    release = releases.get_release(session, body.release)
    return PreviewOut.of(preview(session, release, body.filter, body.stages))


@router.post("/rollouts", summary="Make a rollout")
def post_rollout(
    caller: ManageRollouts, session: SessionDep, services: ServicesDep, body: RolloutIn
) -> RolloutDetail:
    """Make a rollout; it begins when a second person has approved it. The log says who does without."""
    if not body.needs_approval:
        caller.need(Permission.APPROVE_ROLLOUTS)
    made = acting.create(session, body.new(), caller, now_ms())
    services.rollouts.wake()
    return RolloutDetail.shown(show(session, made))


@router.get("/rollouts/{rollout}", summary="Read one rollout")
def read_rollout(caller: SeeDevices, session: SessionDep, rollout: Id) -> RolloutDetail:
    """A rollout, its stages, and why devices failed."""
    return RolloutDetail.shown(show(session, _seen(session, caller, rollout)))


@router.get("/rollouts/{rollout}/devices", summary="List the devices of a rollout")
def read_members(
    caller: SeeDevices,
    session: SessionDep,
    rollout: Id,
    state: State = "",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> MemberPage:
    """How far each device is, by id; in pages."""
    found = _seen(session, caller, rollout)
    page = list_members(session, found.id, state=state, limit=limit, cursor=cursor)
    return MemberPage(items=[MemberOut.of(row) for row in page.items], next_cursor=page.next_cursor)


@router.post("/rollouts/{rollout}/approve", summary="Let a rollout begin")
def post_approve(
    caller: ApproveRollouts, session: SessionDep, services: ServicesDep, rollout: Id
) -> RolloutDetail:
    """Approve a rollout that somebody else has made."""
    approved = acting.approve(session, rollout, caller, now_ms())
    services.rollouts.wake()
    return RolloutDetail.shown(show(session, approved))


@router.post("/rollouts/{rollout}/{verb}", summary="Pause, resume, abort or revert a rollout")
def post_verb(
    caller: ManageRollouts, session: SessionDep, services: ServicesDep, rollout: Id, verb: Verb
) -> RolloutDetail:
    """Do something with a rollout; the second time changes nothing."""
    changed = acting.ACTIONS[verb](session, rollout, caller, now_ms(), services.tell)
    services.rollouts.wake()
    services.director.wake()
    return RolloutDetail.shown(show(session, changed))


@router.get("/devices/{device}/rollouts", summary="List the rollouts that a device belonged to")
def read_history(caller: SeeDevices, session: SessionDep, device: Id) -> HistoryList:
    """What a device was told and what became of it, newest first."""
    reach_device(session, caller, Permission.SEE_DEVICES, device)
    return HistoryList(items=[HistoryOut.entry(*one) for one in history_of(session, device)])


@router.get("/devices/{device}/tags", summary="Read the tags of a device")
def read_tags(caller: SeeDevices, session: SessionDep, device: Id) -> Tags:
    """The words by which filters mean it."""
    reach_device(session, caller, Permission.SEE_DEVICES, device)
    return Tags(tags=tags.tags_of(session, device))


@router.put("/devices/{device}/tags", summary="Let a device have these tags")
def put_tags(
    caller: ChangeConfig, session: SessionDep, services: ServicesDep, device: Id, body: Tags
) -> Tags:
    """Exactly these; rollouts that run ask for them again at once."""
    reach_device(session, caller, Permission.CHANGE_CONFIG, device)
    kept = tags.set_tags(session, device, body.tags, caller)
    services.rollouts.wake()
    return Tags(tags=kept)


def _seen(session: SessionDep, caller: Caller, rollout: str) -> Rollout:
    """Return a rollout if the caller may know of it.

    Raises:
        NotFound: there is none, or the caller sees only a part of the sites.
    """
    if not caller.sees_all:
        raise NotFound(f"there is no rollout {rollout[:60]!r}")
    return acting.get_rollout(session, rollout)

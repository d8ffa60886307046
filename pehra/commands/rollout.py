"""`pehra rollout ...`: make, watch, stop and take back rollouts, at the fleet's own machine."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pehra.commands.fleet_claims import Json, show_rows
from pehra.commands.fleet_shared import DbOption, HomeOption, at_the_counter, who_am_i
from pehra.commands.rollout_releases import release_app
from pehra.commands.rollout_watch import as_json_of, render, watch_rollout

if TYPE_CHECKING:
    from sqlmodel import Session

    from fleet.store.tables_rollouts import Rollout

rollout_app = typer.Typer(no_args_is_help=True, help="Rollouts: one release to many devices, in stages.")
rollout_app.add_typer(release_app, name="release")

Which = Annotated[str, typer.Argument(help="Id of the rollout, or its name (the newest of that name).")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show how it goes on, until it ends.")]
ReleaseArgument = Annotated[str, typer.Argument(help="Id of the release, or NAME@VERSION.")]
FilterOption = Annotated[
    str, typer.Option("--to", help="Which devices: site:lahore/* board:pi4 model<1.4 not tag:night; or all.")
]
StagesOption = Annotated[
    str, typer.Option(help="Devices or shares, each with a rest if wished: 1/2h,10%/1d,100%.")
]
STAGES = "1,1%,10%,50%,100%"


@rollout_app.command("preview")
def preview_rollout(
    release: ReleaseArgument,
    to: FilterOption,
    stages: StagesOption = STAGES,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Say who would get a release now, by board and by what runs; nothing is made."""
    from fleet.rollouts.preview import preview
    from fleet.rollouts.releases import get_release

    with at_the_counter(home, db) as (_, session):
        seen = preview(session, get_release(session, release), to, stages)
        typer.echo(f"{seen.devices} devices would get it, {seen.online} of them are online")
        if seen.devices:
            for title, counted in (("board", seen.by_board), ("runs now", seen.by_version)):
                show_rows([{title: word, "devices": str(n)} for word, n in counted.items()], as_json=False)
            typer.echo(f"stages reach: {', '.join(map(str, seen.by_stage))}")
        typer.echo(f"left out: {seen.have_it} run it already, {seen.other_boards} have another board")
        if seen.held:
            typer.echo(f"{seen.held} wait until these rollouts are done with them: {', '.join(seen.holders)}")


@rollout_app.command("create")
def create_rollout(
    release: ReleaseArgument,
    to: FilterOption,
    name: Annotated[str, typer.Option(help="What people call it; else the release.")] = "",
    stages: StagesOption = STAGES,
    soak: Annotated[
        str | None, typer.Option(help="Rest after a stage, where --stages says none.", show_default="4h")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(help="Silence that counts as failure.", show_default="24h")
    ] = None,
    window: Annotated[
        str, typer.Option(help="In each site's own time: mon-fri 02:00-05:00.", show_default="any time")
    ] = "",
    tries: Annotated[
        int | None, typer.Option(help="How often a device tries what fails on the way.", show_default="3")
    ] = None,
    backoff: Annotated[
        str | None, typer.Option(help="Before the second try; doubles with each.", show_default="5m")
    ] = None,
    at_once: Annotated[
        int | None, typer.Option(help="How many may be at it at the same time.", show_default="500")
    ] = None,
    stop_share: Annotated[
        float | None,
        typer.Option(help="It stops when surely more than this share fail.", show_default="0.05"),
    ] = None,
    stop_failures: Annotated[
        int | None, typer.Option(help="It stops when more devices than this fail.", show_default="100")
    ] = None,
    revert_on_stop: Annotated[
        bool,
        typer.Option("--revert-on-stop", help="If it stops itself, all who got it are told to go back."),
    ] = False,
    stays_open: Annotated[
        bool, typer.Option("--stays-open", help="It goes on for devices that join.")
    ] = False,
    no_approval: Annotated[
        bool, typer.Option("--no-approval", help="Begin at once, without a second person; the log says so.")
    ] = False,
    watch: Watch = False,
    as_json: Json = False,
    home: HomeOption = None,
    db: DbOption = None,
) -> None:
    """Make a rollout; it begins when a second person has approved it.

    Example: pehra rollout create street-3@1.0.0 --to "site:lahore/* board:pi4" --stages 1/2h,10%/1d,100%
    """
    from fleet.rollouts.acting import NewRollout, create
    from fleet.rollouts.plan import settings_of

    with at_the_counter(home, db) as (_, session):
        settings = settings_of(
            soak_s=soak,
            deadline_s=deadline,
            window=window,
            tries=tries,
            backoff_s=backoff,
            at_once=at_once,
            stop_share_max=stop_share,
            stop_failures_max=stop_failures,
            revert_on_stop=revert_on_stop,
            stays_open=stays_open,
        )
        new = NewRollout(name or release, release, to, stages, settings, needs_approval=not no_approval)
        _show(session, create(session, new, who_am_i(), _now_ms()), watch=watch, as_json=as_json)


@rollout_app.command("list")
def list_all(as_json: Json = False, home: HomeOption = None, db: DbOption = None) -> None:
    """List rollouts, newest first."""
    from fleet.rollouts.acting import list_rollouts

    with at_the_counter(home, db) as (_, session):
        rows = [
            {
                "id": one.id,
                "name": one.name,
                "state": one.state,
                "made": datetime.fromtimestamp(one.made_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M"),
                "by": one.made_by,
                "why": one.why,
            }
            for one in list_rollouts(session)
        ]
        show_rows(rows, as_json=as_json)


@rollout_app.command("show")
def show_one(
    rollout: Which, watch: Watch = False, as_json: Json = False, home: HomeOption = None, db: DbOption = None
) -> None:
    """Show stages, numbers, why devices failed, and what it waits for."""
    with at_the_counter(home, db) as (_, session):
        _show(session, _find(session, rollout), watch=watch, as_json=as_json)


@rollout_app.command("approve")
def approve_rollout(
    rollout: Which, watch: Watch = False, home: HomeOption = None, db: DbOption = None
) -> None:
    """Let a rollout begin that somebody else has made."""
    from fleet.rollouts.acting import approve

    with at_the_counter(home, db) as (_, session):
        found = _find(session, rollout)
        _show(session, approve(session, found.id, who_am_i(), _now_ms()), watch=watch)


@rollout_app.command("pause")
def pause_rollout(rollout: Which, watch: Watch = False, home: HomeOption = None, db: DbOption = None) -> None:
    """Tell no further device; those that were told go on."""
    _act("pause", rollout, home, db, watch=watch)


@rollout_app.command("resume")
def resume_rollout(
    rollout: Which, watch: Watch = False, home: HomeOption = None, db: DbOption = None
) -> None:
    """Go on. After a stop by itself the answers until now count no more."""
    _act("resume", rollout, home, db, watch=watch)


@rollout_app.command("abort")
def abort_rollout(rollout: Which, watch: Watch = False, home: HomeOption = None, db: DbOption = None) -> None:
    """End it: nobody else gets it, devices that have it keep it."""
    _act("abort", rollout, home, db, watch=watch)


@rollout_app.command("revert")
def revert_rollout(
    rollout: Which, watch: Watch = False, home: HomeOption = None, db: DbOption = None
) -> None:
    """End it, and tell every device that got it to go back to what it ran before."""
    _act("revert", rollout, home, db, watch=watch)


def _act(verb: str, which: str, home: Path | None, db: str | None, *, watch: bool) -> None:
    from fleet.rollouts.acting import ACTIONS
    from fleet.rollouts.tell import WantedTable

    with at_the_counter(home, db) as (_, session):
        found = _find(session, which)
        _show(session, ACTIONS[verb](session, found.id, who_am_i(), _now_ms(), WantedTable()), watch=watch)


def _find(session: Session, which: str) -> Rollout:
    """Return a rollout by its id or, the newest, by its name."""
    from fleet.rollouts.acting import get_rollout, list_rollouts

    named = [one for one in list_rollouts(session) if which in (one.id, one.name)]
    return named[0] if named else get_rollout(session, which)


def _show(session: Session, rollout: Rollout, *, watch: bool, as_json: bool = False) -> None:
    from rich.console import Console

    from fleet.rollouts.show import show

    if as_json:
        print(json.dumps(as_json_of(show(session, rollout))))
    elif watch:
        watch_rollout(session, rollout.id)
    else:
        Console(markup=False).print(render(show(session, rollout)))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

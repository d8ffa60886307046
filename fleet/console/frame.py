"""What every page shares: the header with the fleet in one line, and the way back to each page."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from html import escape
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from nicegui import Client, run, ui
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.access.secrets import form_token
from fleet.access.sessions import renewed
from fleet.api.entry import SESSION_COOKIE, read_cookie
from fleet.console.pages import links_of
from fleet.errors import DatabaseAway, first_line
from fleet.queries.devices import FleetSummary, summarise_fleet
from fleet.services import Services

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

STYLE: Final = Path(__file__).parent / "style.css"
FAVICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="7" fill="#0f766e"/>'
    '<path d="M4 16c4-7 20-7 24 0-4 7-20 7-24 0z" fill="none" stroke="#fff" stroke-width="2.4"/>'
    '<circle cx="16" cy="16" r="3.6" fill="#fff"/></svg>'
)
# The Urdu word as strokes, because many machines have no font for its letters.
WORDMARK: Final = (
    '<svg class="pehra-urdu" role="img" aria-label="پہرہ" viewBox="4 5 62 32" fill="none" '
    'stroke="currentColor" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round">'
    '<path d="M61 10v6.5q0 5-5 5H50q-2.5 0-3.5-2.6-.9-2.6-2.6-2.6-2 0-2.6 2.8-.6 2.4-3 2.4H36q-3.4 0-3.4'
    "-3v-3 3.5q0 7.5-9 9.6M44.6 26q-2.6 1.6-.4 4.2M13.5 9.5q-2.2 2-4.8 4-3.6 2.8-2.6 5.6 1 2.6 5 2.6 5 0 6.2"
    '-2.6 1.1-2.6-1.6-5.6-1.4-1.6-2.2-4z"/>'
    '<g fill="currentColor" stroke="none"><circle cx="59.6" cy="28" r="2"/>'
    '<circle cx="54" cy="28" r="2"/><circle cx="56.8" cy="32.6" r="2"/></g></svg>'
)
SUMMARY_EVERY_S: Final = 2.0
DROP_AFTER_S: Final = 1.0
"""After which a page that was taken away is dropped: long enough for its last message."""


def now_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000


class _Outage:
    """Logs once that the database does not answer the pages, and once that it does again."""

    def __init__(self) -> None:
        self._is_away = False

    def begins(self, error: Exception) -> None:
        if not self._is_away:
            log.error("database does not answer the console reason=%r", first_line(error))
        self._is_away = True

    def ends(self) -> None:
        if self._is_away:
            log.info("database answers the console again")
        self._is_away = False


_OUTAGE: Final = _Outage()


def spared(work: Callable[Arguments, Awaitable[None]]) -> Callable[Arguments, Awaitable[None]]:
    """Leave the page as it is while the database does not answer; the header says so."""

    @wraps(work)
    async def spare(*arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        with suppress(DatabaseAway):
            await work(*arguments, **named)

    return spare


async def ask(services: Services, question: Callable[[Session], Result]) -> Result:
    """Run a question to the database in a thread; the event loop never waits for it.

    Raises:
        DatabaseAway: it does not answer; logged once.
    """

    def answer() -> Result:
        with services.session() as session:
            return question(session)

    try:
        result = await run.io_bound(answer)
    except (DBAPIError, PoolTimeout) as error:
        _OUTAGE.begins(error)
        raise DatabaseAway("the database does not answer the console: its log says more") from error
    _OUTAGE.ends()
    if result is None:  # NiceGUI 3's way to say that the program stops; 4 raises this itself
        raise asyncio.CancelledError
    return result


def caller_here() -> Caller:
    """Return who opened the page that is being built; the guard has let him in."""
    caller = ui.context.client.request.scope["state"]["caller"]
    assert isinstance(caller, Caller)
    return caller


@contextmanager
def page_frame(services: Services, here: str) -> Iterator[Caller]:
    """Draw the header and open the page's body; gives who looks.

    Args:
        services: of this fleet.
        here: path of the page in `PAGES` that is marked.
    """
    caller = caller_here()
    with ui.header(elevated=False).classes("pehra-head"), ui.element("div").classes("pehra-bar"):
        ui.html(f"Pehra {WORDMARK}", sanitize=False, tag="a").classes("pehra-name").props('href="/"')
        for rule in links_of(caller):
            is_here = rule.path == here or (rule.path == "/devices" and here == "/" and _is_open(caller))
            target = "/" if rule.path == "/devices" and _is_open(caller) else rule.path
            ui.link(rule.label, target).classes("pehra-nav" + (" here" if is_here else ""))
        sums = ui.html("", sanitize=False).classes("pehra-sums").mark("summary")
        if caller.kind == "session":
            ui.html(account_html(caller, _session_cookie()), sanitize=False).classes("pehra-who")
    _keep_summary(services, sums, caller)
    with ui.element("div").classes("page"):
        try:
            yield caller
        except DatabaseAway:
            empty_state("The database does not answer.", "Devices keep what they have to say until it does.")


def account_html(caller: Caller, cookie: str) -> str:
    """Return who is logged in, and the form that logs out (a form, so that no link of others can)."""
    name = escape(caller.name)
    return (
        f'<a class="pehra-nav" href="/account" title="Your account">{name}</a>'
        f'<form method="post" action="/logout"><input type="hidden" name="form" value="{form_token(cookie)}">'
        '<button class="pehra-out">Log out</button></form>'
    )


def _is_open(caller: Caller) -> bool:
    return caller.kind == "local"


def _session_cookie() -> str:
    return read_cookie(ui.context.client.request, SESSION_COOKIE)


def empty_state(title: str, what_to_do: str) -> None:
    """Say that there is nothing yet, and what to do about it."""
    with ui.element("div").classes("card empty"):
        ui.html(f"<b>{title}</b>{what_to_do}", sanitize=False)


def lead(link: ui.link, url: str) -> None:
    """Let a link lead somewhere; nothing is sent while it does already."""
    if link.props.get("href") != url:
        link.props["href"] = url


def _keep_summary(services: Services, sums: ui.html, caller: Caller) -> None:
    client = ui.context.client
    within = caller.sites(Permission.SEE_DEVICES)

    def question(session: Session) -> tuple[Caller | None, FleetSummary]:
        return renewed(session, caller, now_ms()), summarise_fleet(session, within)

    async def refresh() -> None:
        try:
            now, summary = await ask(services, question)
        except DatabaseAway:
            sums.set_content(DATABASE_AWAY)
            return
        if now is None or now.grants != caller.grants:
            _close_page(client, is_out=now is None)
            return
        sums.set_content(summary_html(summary, is_link_up=services.link.is_up))

    ui.timer(SUMMARY_EVERY_S, refresh)


def _close_page(client: Client, *, is_out: bool) -> None:
    """Take a page away from who may see it no more: its browser goes on, and here it is dropped for good."""
    client.run_javascript("location.replace('/login')" if is_out else "location.reload()")

    def drop() -> None:
        if client.has_socket_connection:  # else NiceGUI drops it by itself
            client.delete()

    asyncio.get_running_loop().call_later(DROP_AFTER_S, drop)


DATABASE_AWAY: Final = (
    '<span class="pehra-sum"><i class="dot bad"></i>'
    "<span>The database does not answer: what you see may be old</span></span>"
)


def summary_html(summary: FleetSummary, *, is_link_up: bool) -> str:
    """Return the fleet in one line; numbers only, so nothing of a device's own words is in it."""
    link = ("good", "Broker link up") if is_link_up else ("bad", "Broker link down: states may be old")
    chips = [
        ("good" if summary.online else "", f"<b>{summary.online}</b> online"),
        ("bad" if summary.offline else "", f"<b>{summary.offline}</b> offline"),
        (
            "warn" if summary.alarms else "",
            f"<b>{summary.alarms}</b> {'alarm' if summary.alarms == 1 else 'alarms'}",
        ),
        link,
    ]
    return "".join(
        f'<span class="pehra-sum"><i class="dot {colour}"></i><span>{text}</span></span>'
        for colour, text in chips
    )

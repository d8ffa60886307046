"""What one may do with a rollout: the buttons that make sense now, each asked first with its numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from nicegui import ui
from sqlmodel import Session

from fleet.access.caller import Caller
from fleet.access.roles import Permission
from fleet.console.acting import act
from fleet.console.asking import ask_first
from fleet.console.frame import ask, now_ms
from fleet.errors import FleetError
from fleet.rollouts import acting
from fleet.rollouts.plan import VERBS
from fleet.rollouts.prospects import look_ahead, sentence_for
from fleet.services import Services
from fleet.store.tables_rollouts import Rollout

LABELS: Final = {
    "approve": "Approve",
    "pause": "Pause",
    "resume": "Resume",
    "abort": "Abort",
    "revert": "Revert",
}
DONE: Final = {
    "approve": "Approved",
    "pause": "Paused",
    "resume": "Resumed",
    "abort": "Aborted",
    "revert": "Going back",
}


def offered(rollout: Rollout, caller: Caller) -> tuple[str, ...]:
    """Return what somebody may do with a rollout as it stands; the server asks again when it is done."""
    return tuple(
        verb for verb, states in VERBS.items() if rollout.state in states and _may(verb, rollout, caller)
    )


def _may(verb: str, rollout: Rollout, caller: Caller) -> bool:
    if verb != "approve":
        return caller.has(Permission.MANAGE_ROLLOUTS)
    return caller.has(Permission.APPROVE_ROLLOUTS) and not acting.is_maker(rollout, caller)


class RolloutButtons:
    """The buttons of one open page; drawn anew only when others make sense.

    Args:
        services: of this fleet.
        caller: who looks.
        on_done: called after something was done.
    """

    def __init__(self, services: Services, caller: Caller, on_done: Callable[[], Awaitable[None]]) -> None:
        self._services = services
        self._caller = caller
        self._on_done = on_done
        self._verbs: tuple[str, ...] | None = None

    def draw(self) -> None:
        """Put the place for the buttons on the page."""
        self._box = ui.element("div").classes("deeds")
        self._questions = ui.element("div").style("position: absolute")

    def show(self, rollout: Rollout) -> None:
        """Show those that make sense now."""
        self._rollout = rollout
        verbs = offered(rollout, self._caller)
        if verbs == self._verbs:
            return
        self._verbs = verbs
        self._box.clear()
        with self._box:
            for verb in verbs:
                style = "unelevated" if verb in ("approve", "resume") else "outline"
                ui.button(LABELS[verb], on_click=lambda verb=verb: self._ask(verb)).props(f"no-caps {style}")

    async def _ask(self, verb: str) -> None:
        try:
            sentence = await ask(self._services, lambda session: self._prospect(session, verb))
        except FleetError as error:
            ui.notify(str(error), type="negative")
            return
        title = f"{LABELS[verb]} {self._rollout.name}?"
        ask_first(self._questions, title, sentence, LABELS[verb], lambda: self._do(verb))

    def _prospect(self, session: Session, verb: str) -> str:
        return sentence_for(verb, look_ahead(session, acting.get_rollout(session, self._rollout.id)))

    async def _do(self, verb: str) -> None:
        permission = Permission.APPROVE_ROLLOUTS if verb == "approve" else Permission.MANAGE_ROLLOUTS

        def work(session: Session, caller: Caller) -> Rollout:
            if verb == "approve":
                return acting.approve(session, self._rollout.id, caller, now_ms())
            return acting.ACTIONS[verb](session, self._rollout.id, caller, now_ms(), self._services.tell)

        done = await act(self._services, self._caller, permission, work)
        if done is not None:
            self._services.rollouts.wake()
            self._services.director.wake()
            ui.notify(f"{DONE[verb]}: {done.name}", type="positive")
        await self._on_done()

"""The path that a technician is led along, from a port to a camera that watches; a step can be left out.

identify -> Wi-Fi -> claim -> until the board says that it is enrolled -> check. Each ends in a line of a
table, with what to do next. Here is the order and nothing else: people are asked by an `Asker`, the board by
a `Session`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from ota.cable import Checked, Done, GiveClaim, Identify, Identity, News, RunCheck, SetWifi, wifi_fault
from pehra.provision.claims import NoClaim, claim_line, claim_of
from pehra.provision.errors import BoardRefused
from pehra.provision.session import Session
from pehra.provision.show import check_line

TRIES: Final = 3
ENROL_S: Final = 300.0
POLL_S: Final = 3.0


class Asker(Protocol):
    """A person at the laptop."""

    def ask(self, question: str) -> str:
        """Return a line, empty to leave it out."""

    def secret(self, question: str) -> str:
        """Return a line that is not shown while it is typed."""

    def tell(self, text: str) -> None:
        """Say something."""


@dataclass(frozen=True, slots=True)
class Step:
    """How a step ended.

    Attributes:
        name: of the step.
        result: in words.
        todo: what to do next, empty where nothing is.
        is_good: whether the path may go on as if it was done.
    """

    name: str
    result: str
    todo: str = ""
    is_good: bool = True


@dataclass(slots=True)
class Path:
    """One board's way.

    Args:
        session: with the board; it was greeted.
        asker: whom to ask.
        wait: waits so many seconds.
        enrol_s: how long enrolment may take.
    """

    session: Session
    asker: Asker
    wait: Callable[[float], object]
    enrol_s: float = ENROL_S
    steps: list[Step] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)

    def walk(self, identity: Identity) -> bool:
        """Go along it with a board; return whether nothing is left to do.

        Raises:
            BoardSilent: the board does not answer any more.
            CableLost: the cable was pulled out.
        """
        self.steps.append(self.wifi(identity))
        self.steps.append(self.claim(identity))
        if self.steps[-1].result == "given":
            self.steps.append(self.wait_for_enrolment())
        self.steps.append(self.check())
        return all(step.is_good for step in self.steps)

    def identify(self) -> Identity:
        """Ask who the board is."""
        answer = self.session.ask(Identify())
        assert isinstance(answer, Identity)
        return answer

    def wifi(self, identity: Identity) -> Step:
        """Ask for a network until the board has joined it."""
        self.asker.tell(f"The board's network: {identity.network or 'none'}")
        for _ in range(TRIES):
            ssid = self.asker.ask("Wi-Fi name (empty: leave the network as it is)")
            if not ssid:
                return Step("Wi-Fi", "left as it is")
            password = self.asker.secret("Wi-Fi password (empty: an open network)")
            fault = wifi_fault(ssid, password)
            if fault:
                self.asker.tell(fault)
                continue
            self.asker.tell("The board joins it; this takes up to a minute ...")
            try:
                answer = self.session.ask(SetWifi(ssid=ssid, password=password))
            except BoardRefused as error:
                self.asker.tell(str(error))
                continue
            return Step("Wi-Fi", answer.note if isinstance(answer, Done) else "joined")
        todo = "find out name and password, then: pehra provision --port PORT wifi"
        return Step("Wi-Fi", "not joined", todo, is_good=False)

    def claim(self, identity: Identity) -> Step:
        """Ask for a claim until the board has taken it."""
        if identity.enrolled:
            return Step("claim", f"not needed: enrolled as {identity.device or '?'}")
        for _ in range(TRIES):
            said = self.asker.ask("Claim: its file, or paste its line (empty: later)")
            if not said:
                return Step(
                    "claim", "not given", "later: pehra provision --port PORT claim FILE", is_good=False
                )
            try:
                self.session.ask(GiveClaim(ticket=claim_line(claim_of(said))))
            except (NoClaim, BoardRefused) as error:
                self.asker.tell(str(error))
                continue
            return Step("claim", "given")
        return Step("claim", "not taken", "make a fresh claim in the fleet's console", is_good=False)

    def wait_for_enrolment(self) -> Step:
        """Ask the board until it has its certificate."""
        self.asker.tell("The board enrols; this takes up to some minutes ...")
        end_s = time.monotonic() + self.enrol_s
        while time.monotonic() < end_s:
            identity = self.identify()
            if identity.enrolled:
                return Step("enrolment", f"enrolled as {identity.device or '?'}")
            if identity.refusal:
                todo = "make a fresh claim in the fleet, then: pehra provision --port PORT claim"
                return Step("enrolment", f"refused: {identity.refusal}", todo, is_good=False)
            self.wait(POLL_S)
        todo = "does pehra-device run, is the network up, and the claim approved in the fleet? See: log"
        return Step("enrolment", "not yet", todo, is_good=False)

    def check(self) -> Step:
        """Let the board look whether it can do its work."""
        self.asker.tell("The board checks itself ...")

        def on_news(news: News) -> None:
            line = check_line(news)
            if line:
                self.asker.tell(line)
            if isinstance(news, Checked):
                self.checked.append(news)

        try:
            answer = self.session.ask(RunCheck(), on_news)
        except BoardRefused as error:
            return Step("check", error.reason, error.todo, is_good=False)
        return Step("check", answer.note if isinstance(answer, Done) else "done")

"""The console's pages: which permission each needs, and how it is named in the header. Pure.

The guard (`guard.py`) refuses by this table whatever URL somebody types; the header hides by the same one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fleet.access.caller import Caller
from fleet.access.roles import Permission


@dataclass(frozen=True, slots=True)
class PageRule:
    """One page.

    Attributes:
        path: as it is registered.
        permission: what it needs; None for everybody who has logged in.
        label: its name in the header; empty for a page that is reached from another.
        is_for_people: it makes no sense in a fleet without log-in.
        is_fleet_wide: it is about devices of all sites, so who sees only some of them has no such page.
    """

    path: str
    permission: Permission | None
    label: str = ""
    is_for_people: bool = False
    is_fleet_wide: bool = False

    def is_at(self, path: str) -> bool:
        """Whether a URL's path is this page."""
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(self.path))
        return re.fullmatch(pattern, path) is not None


PAGES: Final = (
    PageRule("/", None, "Home", is_for_people=True),
    PageRule("/devices", Permission.SEE_DEVICES, "Devices"),
    PageRule("/events", Permission.SEE_EVENTS, "Events"),
    PageRule("/rollouts", Permission.SEE_DEVICES, "Rollouts", is_fleet_wide=True),
    PageRule("/enrol", Permission.MAKE_CLAIMS, "Enrol", is_for_people=True),
    PageRule("/users", Permission.MANAGE_USERS, "Users", is_for_people=True),
    PageRule("/audit", Permission.SEE_AUDIT, "Audit"),
    PageRule("/account", None, is_for_people=True),
    PageRule("/releases", Permission.SEE_DEVICES, is_fleet_wide=True),
    PageRule("/rollouts/new", Permission.MANAGE_ROLLOUTS, is_fleet_wide=True),
    PageRule("/rollouts/{rollout}", Permission.SEE_DEVICES, is_fleet_wide=True),
    PageRule("/devices/{device}", Permission.SEE_DEVICES),
    PageRule("/devices/{device}/live/{cam}", Permission.SEE_LIVE),
)


def rule_at(path: str) -> PageRule | None:
    """Return the page at a path, or None where there is none."""
    return next((rule for rule in PAGES if rule.is_at(path)), None)


def may_open(caller: Caller, rule: PageRule) -> bool:
    """Whether somebody may open a page at all; for which devices is asked by the page."""
    if rule.is_for_people and rule.path != "/" and caller.kind == "local":
        return False
    if rule.is_fleet_wide and not caller.sees_all:
        return False
    return rule.permission is None or caller.has(rule.permission)


def links_of(caller: Caller) -> list[PageRule]:
    """Return the pages of somebody's header."""
    is_local = caller.kind == "local"
    shown = [rule for rule in PAGES if rule.label and may_open(caller, rule)]
    return [rule for rule in shown if not (is_local and rule.is_for_people)]


def safe_next(text: str) -> str:
    """Return where to go after log-in: a page of ours, whatever somebody wrote behind `next=`."""
    path = text.partition("?")[0].partition("#")[0]
    is_plain = text.startswith("/") and text.isprintable() and "\\" not in text and len(text) <= 500
    is_ours = is_plain and not text.startswith("//") and rule_at(path) is not None
    return text if is_ours else "/"

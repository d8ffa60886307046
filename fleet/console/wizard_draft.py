"""A rollout that is not made yet: what was typed, as the URL holds it, and what is wrong with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any, Final

from fleet.console.words import url_of, word_of
from fleet.errors import BadInput
from fleet.rollouts.acting import NewRollout, check_name
from fleet.rollouts.filter_parser import BadFilter, parse_filter
from fleet.rollouts.plan import settings_of
from fleet.rollouts.stages import DEFAULT_STAGES, parse_stages

PATH: Final = "/rollouts/new"
STEPS: Final = {"release": "1 Release", "whom": "2 For whom", "how": "3 How", "check": "4 Check"}
HOW: Final = (
    *("stages", "soak", "window", "deadline", "stop_share", "stop_failures"),
    *("tries", "backoff", "at_once"),
)
PLACES: Final = {"release": "release", "to": "whom", "name": "check"} | dict.fromkeys(HOW, "how")
"""Field -> the step at which it is."""
_FORM_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed, each as its text; what is not said keeps its safe default.

    Attributes:
        release: id, or NAME@VERSION.
        to: the filter.
        stop_share: in percent.
        back: `1`: all who got it go back when it has stopped itself.
        open: `1`: it stays open for devices that join later.
        alone: `1`: without a second person's approval.
        step: which step is shown.
        form: id of the rollout that this draft makes, so that it makes one however often it is sent.
    """

    release: str = ""
    to: str = ""
    name: str = ""
    stages: str = DEFAULT_STAGES
    soak: str = "4h"
    window: str = ""
    deadline: str = "24h"
    stop_share: str = "5"
    stop_failures: str = "100"
    tries: str = "3"
    backoff: str = "5m"
    at_once: str = "500"
    back: str = ""
    open: str = ""
    alone: str = ""
    step: str = "release"
    form: str = ""

    @property
    def url(self) -> str:
        """The page with all of it; what is as by default is left out."""
        usual = asdict(Draft())
        return url_of(PATH, **{name: text for name, text in asdict(self).items() if text != usual[name]})

    def changed(self, **texts: str) -> Draft:
        """Return it with other texts."""
        more: dict[str, Any] = texts
        return replace(self, **more)

    def new(self) -> NewRollout:
        """Return the rollout that it asks for.

        Raises:
            BadInput: a setting makes no sense.
        """
        settings = settings_of(
            **{name: value for field in HOW for name, value in _setting(self, field).items()},
            revert_on_stop=bool(self.back),
            stays_open=bool(self.open),
        )
        return NewRollout(
            self.name,
            self.release,
            self.to,
            self.stages,
            settings,
            needs_approval=not self.alone,
            id=self.form,
        )


def draft_of(query: Mapping[str, str]) -> Draft:
    """Return the draft that a URL holds; what no field of ours is, is left out."""
    texts = {one.name: word_of(query[one.name]) for one in fields(Draft) if one.name in query}
    if texts.get("step", "release") not in STEPS:
        texts["step"] = "release"
    if _FORM_ID.fullmatch(texts.get("form", "")) is None:
        texts["form"] = ""
    return Draft().changed(**texts)


def find_errors(draft: Draft) -> dict[str, str]:
    """Return what is wrong, by field; `filter_error_html` shows where in the filter it is."""
    found: dict[str, str] = {}
    for field, check in _CHECKS.items():
        try:
            check(draft)
        except BadInput as error:
            found[field] = _reason(error)
    return found


def _reason(error: BadInput) -> str:
    """Return what is wrong, without the name of the field, which stands beside it."""
    return error.reason if isinstance(error, BadFilter) else re.sub(r"^[a-z_ ]{1,30}: ", "", str(error))


def _check_release(draft: Draft) -> None:
    if not draft.release:
        raise BadInput("choose a release")


def _setting(draft: Draft, field: str) -> dict[str, str | int | float]:
    """Return a field as the setting that it is; the stages are none."""
    if field == "stages":
        return {}
    text = getattr(draft, field)
    if field in _SPANS:
        return {_SPANS[field]: text}
    if field == "window":
        return {"window": text}
    if field == "stop_share":
        return {"stop_share_max": _percent(text) / 100}
    return {_NUMBERS[field]: _whole(text)}


def _check_setting(field: str, draft: Draft) -> None:
    settings_of(**_setting(draft, field))


def _percent(text: str) -> float:
    if re.fullmatch(r"\d{1,2}(\.\d{1,3})?", text.strip(), re.ASCII) is None:
        raise BadInput("a share in percent: from 0 to below 100")
    return float(text)


def _whole(text: str) -> int:
    if re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII) is None:
        raise BadInput(f"{text[:20]!r} is no whole number")
    return int(text)


_SPANS: Final = {"soak": "soak_s", "deadline": "deadline_s", "backoff": "backoff_s"}
_NUMBERS: Final = {"stop_failures": "stop_failures_max", "tries": "tries", "at_once": "at_once"}
_CHECKS: Final[dict[str, Callable[[Draft], object]]] = {
    "release": _check_release,
    "to": lambda draft: parse_filter(draft.to),
    "stages": lambda draft: parse_stages(draft.stages),
    **{field: partial(_check_setting, field) for field in HOW if field != "stages"},
    "name": lambda draft: check_name(draft.name),
}

"""What can be written in a filter, set, or met is in the manual of rollouts."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from typer.main import get_command

from fleet.rollouts import plan
from fleet.rollouts.filter import FIELDS, SHORT_BOARDS
from fleet.rollouts.filter_parser import parse_filter
from fleet.rollouts.stages import DEFAULT_STAGES
from pehra.commands.rollout import STAGES, rollout_app

ROOT = Path(__file__).resolve().parent.parent.parent
MANUAL = (ROOT / "docs" / "rollouts.md").read_text()


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_filter_is_in_the_manual(field: str) -> None:
    assert re.search(rf"^\| `{field}` \|", MANUAL, re.MULTILINE)


def test_short_names_of_boards_are_in_the_manual_and_name_boards_that_exist() -> None:
    profiles = {file.stem for file in (ROOT / "hardware" / "board" / "profiles").glob("*.toml")}
    for short, board in SHORT_BOARDS.items():
        assert re.search(rf"\b{short}\b", MANUAL), short
        assert board in profiles


def test_every_filter_that_the_manual_shows_is_one() -> None:
    fields = "|".join(FIELDS)
    shown = re.findall(rf'`((?:not )?(?:{fields})(?::|[<>=!]+)[^`]+)`|--to "([^"]+)"', MANUAL)
    assert len(shown) > 12
    for one, other in shown:
        parse_filter(one or other)


@pytest.mark.parametrize("state", [*plan.UNFINISHED, *plan.ANSWERED, "skipped", "withdrawn", "reverted"])
def test_every_state_of_a_device_is_in_the_manual(state: str) -> None:
    assert f"`{state}`" in MANUAL


def test_every_option_of_create_and_every_command_is_in_the_manual() -> None:
    group = get_command(rollout_app)
    commands = group.commands  # type: ignore[attr-defined]
    for option in commands["create"].params:
        for word in option.opts:
            if word.startswith("--") and word not in ("--home", "--db", "--json"):
                assert word in MANUAL, word
    for name in commands:
        assert re.search(rf"\b{name}\b", MANUAL), name


def test_the_defaults_of_the_manual_are_those_of_the_code() -> None:
    settings = plan.Settings()
    for option, default in (
        ("soak", f"{settings.soak_s // 3600}h"),
        ("deadline", f"{settings.deadline_s // 3600}h"),
        ("at-once", settings.at_once),
        ("stop-share", settings.stop_share_max),
        ("stop-failures", settings.stop_failures_max),
    ):
        assert f"| `--{option}` | `{default}` |" in MANUAL, option
    assert f"`{settings.tries}`, `{settings.backoff_s // 60}m`" in MANUAL
    assert f"`--stages {DEFAULT_STAGES}`" in MANUAL
    assert STAGES == DEFAULT_STAGES


def test_a_rollout_is_decided_without_clock_and_database() -> None:
    from fleet.rollouts import decide, filter, filter_parser, stages, stop_rule, why, windows

    for module in (decide, filter, filter_parser, stages, stop_rule, why, windows, plan):
        source = inspect.getsource(module)
        assert not re.search(r"^(from|import) (time|sqlalchemy|sqlmodel|threading)\b", source, re.MULTILINE)

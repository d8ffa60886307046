"""Rules in the configuration: every kind is made, every mistake is named with its line and path."""

from pathlib import Path

import pytest

from device.errors import ConfigError
from device.firmware.config import parse_config
from device.firmware.config.rule import KINDS
from device.firmware.duties import blind_rules, make_duties
from device.firmware.rules import (
    CrowdRule,
    HeatRule,
    LeftRule,
    LineRule,
    LoiterRule,
    OriginRule,
    SpeedRule,
    StoppedRule,
    WrongWayRule,
    ZoneRule,
)

FILE = Path("device.toml")
HEAD = """\
[device]
id = "gulberg-01"
timezone = "Asia/Karachi"

[mqtt]
host = "fleet.example"

[[camera]]
source = "street"

"""
ZONE = "points = [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9], [0.1, 0.9]]"
LINE = "points = [[0.1, 0.5], [0.9, 0.5]]"
EXAMPLES = {
    "zone": (ZoneRule, f"{ZONE}\ndwell_s = 10"),
    "line": (LineRule, LINE),
    "loiter": (LoiterRule, f"{ZONE}\ndwell_s = 45\nreach = 0.2"),
    "crowd": (CrowdRule, f"{ZONE}\nleast = 8\nhold_s = 4"),
    "wrong-way": (WrongWayRule, f"{ZONE}\ndirection = [[0.2, 0.6], [0.8, 0.6]]\nhold_s = 2"),
    "stopped": (StoppedRule, f"{ZONE}\ndwell_s = 20"),
    "left": (LeftRule, f"{ZONE}\ndwell_s = 40\nthings = false"),
    "speed": (SpeedRule, f"{ZONE}\nground = [[0, 20], [7, 20], [7, 0], [0, 0]]\nlimit_mps = 14"),
    "od": (OriginRule, 'lines = ["west", "east"]'),
    "heat": (HeatRule, ""),
}


def rule(kind, keys, name="a-rule"):
    return f'[[camera.rule]]\nname = "{name}"\nkind = "{kind}"\n{keys}\n\n'


LINES = rule("line", LINE, "west") + rule("line", LINE, "east")


def sections(text):
    return parse_config(HEAD + text, FILE).camera[0].rule


def test_every_kind_has_an_example_here():
    assert tuple(EXAMPLES) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_of_every_kind_is_made_as_it_is_written(kind):
    wanted, keys = EXAMPLES[kind]
    options = 'classes = ["car"]\nsev = "high"\ncooldown_s = 60\nschedule = ["mon-fri 22:00-06:00"]\n'
    duty = make_duties(sections(LINES + rule(kind, options + keys)), "Asia/Karachi")[-1]
    assert isinstance(duty.rule, wanted)
    assert (duty.name, duty.cooldown_s) == ("a-rule", 60)
    assert duty.schedule.zone.key == "Asia/Karachi"


def test_the_keys_of_each_kind_reach_their_rule():
    text = LINES + "".join(rule(kind, keys, kind) for kind, (_, keys) in EXAMPLES.items())
    made = {duty.name: duty.rule for duty in make_duties(sections(text), "UTC")}
    assert made["zone"].dwell_s == 10
    assert (made["loiter"].dwell_s, made["loiter"].reach) == (45, 0.2)
    assert (made["crowd"].least, made["crowd"].hold_s) == (8, 4)
    assert (made["wrong-way"].direction, made["wrong-way"].hold_s) == (pytest.approx((0.6, 0.0)), 2)
    assert made["stopped"].dwell_s == 20
    assert (made["left"].dwell_s, made["left"].is_looking) == (40, False)
    assert made["speed"].limit_mps == 14
    assert [line.name for line in made["od"].lines] == ["west", "east"]


def test_a_rule_with_the_needed_keys_alone_has_defaults():
    text = LINES + rule("loiter", ZONE, "l") + rule("crowd", ZONE, "c") + rule("left", ZONE, "t")
    _, _, loiter, crowd, left = (duty.rule for duty in make_duties(sections(text), "UTC"))
    assert (loiter.dwell_s, loiter.reach) == (30, 0.25)
    assert (crowd.least, crowd.hold_s) == (5, 3)
    assert (left.dwell_s, left.is_looking) == (30, True)


@pytest.mark.parametrize(
    ("kind", "keys", "path", "words"),
    [
        ("loiter", LINE, "points", "at least 3 points"),
        ("crowd", "", "points", "at least 3 points"),
        ("line", ZONE, "points", "exactly 2 points"),
        ("heat", ZONE, "points", "no points of its own"),
        ("od", f'{LINE}\nlines = ["west", "east"]', "points", "no points of its own"),
        ("zone", f"{ZONE}\nleast = 3", "least", "a zone rule has no least; it belongs to crowd"),
        ("line", f"{LINE}\ndwell_s = 3", "dwell_s", "belongs to zone, loiter, stopped, left"),
        ("speed", f"{ZONE}\nlimit_mps = 9", "ground", "needs ground"),
        ("speed", f"{ZONE}\nground = [[0, 20], [7, 20], [7, 0], [0, 0]]", "limit_mps", "metres per second"),
        (
            "speed",
            f"{ZONE}\nground = [[0, 0], [0, 1], [0, 2], [5, 5]]\nlimit_mps = 9",
            "ground",
            "lie on a line",
        ),
        (
            "speed",
            f"{ZONE}\nground = [[0, 20], [7, 0], [7, 20], [0, 0]]\nlimit_mps = 9",
            "ground",
            "different orders",
        ),
        (
            "speed",
            f"{ZONE}\nground = [[0, 20], [7, 20], [7, 0]]\nlimit_mps = 9",
            "ground",
            "four corners",
        ),
        ("wrong-way", ZONE, "direction", "an arrow of two points"),
        ("wrong-way", f"{ZONE}\ndirection = 400", "direction", "<"),
        ("wrong-way", f"{ZONE}\ndirection = [[0.1, 0.1], [0.1, 0.1]]", "direction", "same point"),
        ("wrong-way", f"{ZONE}\ndirection = [[0.1, 0.1]]", "direction", "exactly 2 points"),
        (
            "od",
            'lines = ["west", "nort"]',
            "lines",
            "no line rule 'nort' on this camera; there are west, east",
        ),
        ("od", 'lines = ["west"]', "lines", "at least two"),
        ("od", 'lines = ["west", "west"]', "lines", "each named once"),
        ("od", "", "lines", "needs lines"),
        ("zone", f'{ZONE}\nschedule = ["22:00-06:00", "mo-fr 22:00-06:00"]', "schedule[1]", "days are"),
        ("zone", f"{ZONE}\ncooldown_s = -1", "cooldown_s", ">= 0"),
        ("crowd", f"{ZONE}\nleast = 1", "least", ">= 2"),
        ("loiter", f'{ZONE}\nclasses = ["persn"]', "classes", "no class 'persn'"),
    ],
)
def test_a_mistake_in_a_rule_is_named_with_line_and_path(kind, keys, path, words):
    with pytest.raises(ConfigError) as caught:
        parse_config(HEAD + LINES + rule(kind, keys), FILE)
    assert caught.value.path == f"camera[0].rule[2].{path}"
    assert caught.value.line is not None
    assert words in str(caught.value)


def test_two_lines_whose_names_make_no_name_together_are_refused():
    long = "a" * 30
    lines = rule("line", LINE, long) + rule("line", LINE, "east-gate")
    with pytest.raises(ConfigError, match="shorter names"):
        parse_config(HEAD + lines + rule("od", f'lines = ["{long}", "east-gate"]'), FILE)


def test_a_polygon_that_crosses_itself_is_refused_for_every_kind_with_a_zone():
    crossed = "points = [[0.1, 0.5], [0.9, 0.5], [0.1, 0.9], [0.9, 0.9]]"
    for kind in ("zone", "loiter", "crowd", "wrong-way", "stopped", "left", "speed"):
        _, keys = EXAMPLES[kind]
        with pytest.raises(ConfigError, match="crosses"):
            parse_config(HEAD + rule(kind, keys.replace(ZONE, crossed)), FILE)


def test_a_rule_for_a_class_that_the_model_lacks_is_reported_and_the_others_go_on():
    text = rule("line", f'{LINE}\nclasses = ["bus", "person"]', "gate") + rule("zone", ZONE, "yard")
    (sentence,) = blind_rules(sections(text), ["person", "car"])
    assert sentence == "rule gate waits for bus, unseen by the model"
    assert not blind_rules(sections(text), ["person", "car", "bus"])
    assert not blind_rules(sections(text), [])
    assert len(make_duties(sections(text), "UTC")) == 2

"""What the console says of rollouts and releases: pure parts, without a browser."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from fleet.access.caller import LOCAL, Caller, Grant
from fleet.access.roles import Role
from fleet.console.pages import links_of, may_open, rule_at
from fleet.console.preview_words import preview_html
from fleet.console.release_words import card_html, release_html, running_html, size_text
from fleet.console.rollout_buttons import offered
from fleet.console.rollout_words import bar_html, errors_html, line_html, settings_facts, stages_html
from fleet.console.update_words import Updates, progress_html
from fleet.console.update_words import running_html as running_html_of
from fleet.console.wizard_draft import Draft, draft_of, find_errors
from fleet.console.wizard_words import filter_error_html, summary, with_example
from fleet.rollouts.acting import NewRollout
from fleet.rollouts.plan import Settings
from fleet.rollouts.preview import Preview
from fleet.rollouts.prospects import Prospects, sentence_for
from fleet.rollouts.show import ErrorShown, RolloutShown, StageShown
from fleet.store.tables import Device
from fleet.store.tables_rollouts import Release, Rollout, RolloutDevice, WantedRelease

HOSTILE = "<img src=x onerror=alert(1)>"
RELEASE = Release(
    id="r",
    kind="model",
    name="street-2",
    version="1.4.0",
    sha256="b" * 64,
    mark="b" * 64,
    length=3_100_000,
    made_ms=1_800_000_000_000,
)
RIGHT = Draft(release="r", to="site:lahore", name="new eyes")
SEEN = Preview(
    38, 35, {"raspberry-pi-4": 38}, {"street-2 1.3.0": 38}, (1, 1, 4, 19, 38), ("a",), 2, 1, 3, ("x",)
)


def caller(*grants: Grant, name: str = "farid", user_id: str = "u1") -> Caller:
    return Caller(name, "session", user_id, grants)


ADMIN = caller(Grant(Role.FLEET_ADMIN))


def rollout(state: str = "running", **more: Any) -> Rollout:
    values = {"name": "new eyes", "release": "r", "kind": "model", "filter": "all", "stages": "1,50%,100%"}
    people = {"made_by": "farid", "made_by_id": "u1", "made_ms": 1_800_000_000_000}
    return Rollout(**({"id": "i", "state": state} | values | people | more))


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html))


def test_all_that_was_typed_is_in_the_url_and_comes_back_from_it() -> None:
    draft = Draft(
        release="r",
        to='site:"a b" or tag:x&y=z#q',
        name="پہرہ %",
        stages="1/2h,100%",
        soak="1h",
        window="mon-fri 22:00-05:00",
        deadline="2d",
        stop_share="2.5",
        stop_failures="7",
        tries="1",
        backoff="90s",
        at_once="20",
        open="1",
        alone="1",
        step="check",
        form="01a2197f-d675-7075-a06c-f7d7244c8a75",
    )
    assert draft_of(dict(parse_qsl(urlsplit(draft.url).query))) == draft
    assert Draft().url == "/rollouts/new"


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({"step": "nowhere"}, Draft()),
        ({"form": "../../x"}, Draft()),
        ({"to": "a\0b"}, Draft()),
        ({"unknown": "x", "to": " all "}, Draft(to="all")),
    ],
)
def test_what_makes_no_sense_in_the_url_is_left_out(query: dict[str, str], kept: Draft) -> None:
    assert draft_of(query) == kept


def test_a_draft_asks_for_the_rollout_that_was_typed() -> None:
    draft = RIGHT.changed(soak="1h", stop_share="2.5", back="1", open="1", alone="1", form="f")
    settings = Settings(soak_s=3600, stop_share_max=0.025, revert_on_stop=True, stays_open=True)
    stages = Draft().stages
    assert draft.new() == NewRollout("new eyes", "r", "site:lahore", stages, settings, False, "f")
    assert find_errors(RIGHT) == {}
    assert RIGHT.new().settings == Settings()


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("release", "", "choose a release"),
        ("to", "bord:pi4", "did you mean board?"),
        ("to", "", "empty filter"),
        ("stages", "10%,1%", "does not go further"),
        ("stages", "many", "is none"),
        ("soak", "1 week", "no span of time"),
        ("soak", "91d", "more than 90 days"),
        ("deadline", "5s", "from 60 to"),
        ("window", "25:00-26:00", "no time of a day"),
        ("stop_share", "100", "below 100"),
        ("stop_share", "-1", "below 100"),
        ("stop_failures", "many", "no whole number"),
        ("stop_failures", "9999999", "from 0 to 1000000"),
        ("tries", "0", "from 1 to 20"),
        ("backoff", "", "no span of time"),
        ("at_once", "٣", "no whole number"),
        ("name", " ", "give it a name"),
        ("name", "x" * 101, "give it a name"),
        ("name", "a\nb", "give it a name"),
    ],
)
def test_each_mistake_is_said_at_its_field(field: str, text: str, said: str) -> None:
    errors = find_errors(RIGHT.changed(**{field: text}))
    assert list(errors) == [field]
    assert said in errors[field]


@pytest.mark.parametrize(
    ("text", "marked", "said"),
    [
        ("site:lahore bord:pi4", "bord", "did you mean board?"),
        ("tag:", "\u00a0\u00a0", "the filter ends here"),
        ("(all", "(", "never closed"),
        (f"site:{HOSTILE}", "&lt;", "expected here"),
        ("x" * 2000, "x", "at most 1000"),
    ],
)
def test_a_mistake_in_a_filter_is_marked_at_its_place(text: str, marked: str, said: str) -> None:
    html = filter_error_html(text)
    assert f"<mark>{marked}</mark>" in html
    assert said in html
    assert "<img" not in html


def test_an_empty_filter_is_a_mistake_only_after_somebody_wanted_to_go_on() -> None:
    assert "empty filter" in filter_error_html("")
    assert "alert" not in filter_error_html("", is_tried=False)
    assert filter_error_html("all") == ""


def test_an_example_adds_a_condition_once() -> None:
    assert with_example("", "tag:night") == "tag:night"
    assert with_example("all", "tag:night") == "tag:night"
    assert with_example("site:lahore ", "tag:night") == "site:lahore tag:night"
    assert with_example("site:lahore tag:night", "tag:night") == "site:lahore tag:night"
    assert with_example("site:lahore", "all") == "all"


def test_the_summary_says_who_gets_it_when_and_what_stops_it() -> None:
    said = " ".join(summary(RIGHT.changed(window="02:00-05:00"), RELEASE, SEEN))
    for piece in (
        "street-2 1.4.0 goes to 38 devices: what matches “site:lahore” now.",
        "when a second person has approved it",
        "In 4 stages: first 1, then 3, then 15, then 19, with 4 h of rest between them.",
        "only at 02:00-05:00, in each site's own time",
        "3 devices are offline",
        "in the hands of “x”",
        "silent for 1 d",
        "told 3 times in all",
        "surely more than 5 % of the answers are failures, or more than 100 devices",
    ):
        assert piece in said, piece


def test_it_is_said_that_a_rollout_goes_back_by_itself() -> None:
    said = ", and then all who got it are told to go back."
    assert said in " ".join(summary(RIGHT.changed(back="1"), RELEASE, SEEN))
    assert said not in " ".join(summary(RIGHT, RELEASE, SEEN))
    facts = [
        dict(settings_facts(Settings(revert_on_stop=is_on)))["Stops by itself"] for is_on in (True, False)
    ]
    assert facts[0] == f"{facts[1]}; then all who got it are told to go back"


def test_the_summary_says_what_is_unusual() -> None:
    short = Preview(10, 10, {}, {}, (1, 5), (), 0, 0, 0, ())
    said = " ".join(summary(RIGHT.changed(stages="1/2h,50%", open="1", alone="1"), RELEASE, short))
    assert "without a second person" in said
    assert "5 devices never get it, because the stages end before" in said
    assert "first 1, then 4, with 2 h of rest" in said
    assert "stays open" in said
    uneven = Preview(9, 9, {}, {}, (1, 5, 9), (), 0, 0, 0, ())
    told = " ".join(summary(RIGHT.changed(stages="1/2h,50%,100%"), RELEASE, uneven))
    assert "1 (then 2 h of rest), 4 (then 4 h of rest), and 4 at last" in told
    once = Preview(9, 9, {}, {}, (9,), (), 0, 0, 0, ())
    assert "All are told at once" in " ".join(summary(RIGHT.changed(stages="100%"), RELEASE, once))


def test_a_preview_counts_by_board_and_by_what_runs_and_says_who_has_to_wait() -> None:
    said = text_of(preview_html(SEEN, RELEASE))
    assert "38 devices would get street-2 1.4.0 now" in said
    assert "3 devices are offline" in said
    assert "3 devices are held by “x”" in said
    assert "2 more devices match and run it already" in said
    assert "1 more device matches, but it is not for that board" in said
    assert "1 → 4 → 19 → 38" in said
    nobody = Preview(0, 0, {}, {}, (0,), (), 0, 0, 0, ())
    assert "0 devices" in text_of(preview_html(nobody, RELEASE))


@pytest.mark.parametrize(
    ("verb", "ahead", "said"),
    [
        ("approve", Prospects("pending", waiting=31, first=1, offline=5), "1 device in the first stage, 31"),
        ("approve", Prospects("pending"), "no device matches"),
        ("pause", Prospects("running", waiting=12, open=1), "1 device that is at it will finish. 12 devices"),
        ("pause", Prospects("running", waiting=1), "Nobody is at it now. 1 device that is in line"),
        ("resume", Prospects("paused", waiting=2), "2 devices that are in line will be told"),
        ("resume", Prospects("stopped", waiting=2, taken_back=3), "although it stopped itself"),
        ("resume", Prospects("stopped", waiting=2, taken_back=3), "5 devices that are in line or were told"),
        ("abort", Prospects("pending", waiting=4), "never begins: 4 devices"),
        (
            "abort",
            Prospects("running", waiting=4, open=2, succeeded=9),
            "9 devices that have it will keep it",
        ),
        ("abort", Prospects("running", waiting=4, open=2), "2 devices that are at it will be told to let go"),
        ("revert", Prospects("done", returning=9), "9 devices will be told to go back"),
        ("revert", Prospects("done", returning=9, stranded=2), "2 devices cannot"),
        (
            "revert",
            Prospects("running", returning=1, waiting=1),
            "1 device will be told to go back to what it",
        ),
    ],
)
def test_each_deed_is_asked_with_its_numbers(verb: str, ahead: Prospects, said: str) -> None:
    assert said in sentence_for(verb, ahead)


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        ("pending", ("abort",)),
        ("running", ("pause", "abort", "revert")),
        ("paused", ("resume", "abort", "revert")),
        ("stopped", ("resume", "abort", "revert")),
        ("done", ("revert",)),
        ("aborted", ("revert",)),
        ("reverting", ()),
        ("reverted", ()),
    ],
)
def test_only_what_makes_sense_is_offered_and_only_to_who_may(state: str, verbs: tuple[str, ...]) -> None:
    assert offered(rollout(state), ADMIN) == verbs
    assert offered(rollout(state), caller(Grant(Role.VIEWER))) == ()
    assert offered(rollout(state), caller(Grant(Role.FLEET_ADMIN, "lahore"))) == ()
    other = caller(Grant(Role.FLEET_ADMIN), user_id="u2")
    assert ("approve" in offered(rollout(state), other)) == (state == "pending")


def test_who_sees_a_part_of_the_sites_has_no_page_of_rollouts() -> None:
    near = caller(Grant(Role.FLEET_ADMIN, "lahore"), Grant(Role.OWNER, "karachi"))
    for path in ("/rollouts", "/releases", "/rollouts/new", "/rollouts/01a2"):
        rule = rule_at(path)
        assert rule is not None
        assert not may_open(near, rule)
        assert may_open(ADMIN, rule)
        assert may_open(LOCAL, rule)
        assert may_open(caller(Grant(Role.VIEWER)), rule) == (path != "/rollouts/new")
    assert "Rollouts" not in [rule.label for rule in links_of(near)]
    assert "Rollouts" in [rule.label for rule in links_of(ADMIN)]


def test_a_bar_shows_every_state_and_the_rest_waits() -> None:
    html = bar_html({"succeeded": 3, "failed": 1, "skipped": 2}, 10)
    assert 'class="s-succeeded" style="flex-grow:3"' in html
    assert 'class="s-waiting" style="flex-grow:6"' in html
    assert "s-skipped" not in html
    assert 'aria-label="3 succeeded, 1 failed, 2 left out"' in html
    assert "flex-grow:-" not in bar_html({"succeeded": 3}, 1)


def test_stages_say_what_is_told_what_is_ahead_and_where_it_stopped() -> None:
    stages = (
        StageShown("1", 1, 1, 1, 0, "done", {"succeeded": 1}, 1),
        StageShown("50 %", 5, 4, 1, 3, "runs", {"succeeded": 1, "failed": 3}, 4),
        StageShown("100 %", 10, 0, 0, 0, "ahead", {}, 5),
    )
    seen = RolloutShown(rollout("stopped", stage=1), RELEASE, {"succeeded": 2}, 10, stages, ())
    said = text_of(stages_html(seen))
    assert "Stage 2 50 % 1 succeeded, 3 failed stopped itself" in said
    assert "Stage 3 100 % 5 to tell ahead" in said


def test_markup_in_names_reasons_and_cards_is_text() -> None:
    odd = RELEASE.model_copy(
        update={
            "name": HOSTILE,
            "hw": [HOSTILE],
            "custom": {"card": {"labels": [HOSTILE], "licence": HOSTILE, "input": 3}, "requires": [1]},
        }
    )
    pages = (
        line_html(rollout(name=HOSTILE, why=HOSTILE, made_by=HOSTILE), odd, {"succeeded": 1}),
        errors_html("i", (ErrorShown(HOSTILE, 2, (HOSTILE,)),)),
        release_html(odd),
        card_html(odd),
        preview_html(Preview(1, 1, {HOSTILE: 1}, {HOSTILE: 1}, (1,), (HOSTILE,), 0, 0, 1, (HOSTILE,)), odd),
    )
    for html in pages:
        assert "<img" not in html
        assert "&lt;img" in html


@pytest.mark.parametrize("card", [None, 3, "x", {"labels": 3}, {"labels": []}, {"input": {"width": 1}}])
def test_a_card_of_any_shape_is_shown(card: object) -> None:
    odd = RELEASE.model_copy(update={"custom": {"card": card}})
    assert "Security version" in card_html(odd)


def test_releases_in_words() -> None:
    assert "<b>12</b> devices run it now" in running_html(12)
    assert "no device runs it now" in running_html(0)
    assert [size_text(n) for n in (12, 3_100_000, 2_000_000_000)] == ["12 bytes", "3.1 MB", "2.0 GB"]
    gone = RELEASE.model_copy(update={"state": "withdrawn"})
    assert "withdrawn" in release_html(gone)
    assert "no new rollout" in card_html(gone)


def test_how_far_an_update_is_comes_from_the_devices_own_words_of_this_action() -> None:
    row = RolloutDevice(rollout="i", device="cam-01", state="downloading", rank=1, action="a1", tries=2)
    device = Device(id="cam-01", first_seen_ms=1)
    said = {"action": "a1", "state": "downloading", "progress_pct": 42.4, "reason": HOSTILE}
    mine = Updates(device, [], [(row, rollout(), RELEASE)], [], said)
    html = progress_html(mine, 10_000)
    assert "street-2 1.4.0: downloading 42 %" in text_of(html)
    assert "told 2 times" in html
    assert "<img" not in html
    other = Updates(device, [], [(row, rollout(), RELEASE)], [], said | {"action": "a0"})
    assert "42 %" not in progress_html(other, 10_000)
    row.state = "succeeded"
    assert progress_html(mine, 10_000) == ""


def test_what_runs_is_held_against_what_is_wanted() -> None:
    model = {"name": "street-2", "version": "1.3.0", "sha256": "a" * 64}
    device = Device(id="cam-01", first_seen_ms=1, info={"model": model, "firmware": "0.2.0"})
    wanted = WantedRelease(device="cam-01", kind="model", release="r", rollout="i", action="a", since_ms=1)
    updates = Updates(device, [(wanted, RELEASE)], [], [])
    assert "street-2 1.3.0 wanted: street-2 1.4.0" in text_of(running_html_of(updates))
    device.reported = {"model": model | {"version": "1.4.0", "sha256": "b" * 64}}
    assert "street-2 1.4.0 as wanted: street-2 1.4.0" in text_of(running_html_of(updates))
    assert "nothing else is wanted" in running_html_of(Updates(Device(id="x", first_seen_ms=1), [], [], []))


def test_an_operating_system_that_was_installed_is_held_against_what_is_wanted() -> None:
    device = Device(id="cam-01", first_seen_ms=1)
    more = {"kind": "os", "name": "camera-os", "version": "1.1", "mark": "c" * 64}
    system = RELEASE.model_copy(update=more)
    wanted = WantedRelease(device="cam-01", kind="os", release="r", rollout="i", action="a", since_ms=1)
    newer = system.model_copy(update={"version": "1.2", "mark": "d" * 64})
    assert "Operating system" not in running_html_of(Updates(device, [], [], []))
    html = running_html_of(Updates(device, [(wanted, newer)], [], [], system=system))
    assert "camera-os 1.1 wanted: camera-os 1.2" in text_of(html)
    assert "camera-os 1.1 nothing else is wanted" in text_of(
        running_html_of(Updates(device, [], [], [], system=system))
    )

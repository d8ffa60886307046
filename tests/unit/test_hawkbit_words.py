"""hawkBit's words: what feedback means, and what clients are told; values in, values out."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from pydantic import ValidationError

from fleet.access.lockout import DELAY_MAX_S
from fleet.errors import TooManyTries
from fleet.hawkbit import documents, feedback
from fleet.hawkbit.attributes import combined
from fleet.hawkbit.bodies import AttributesIn, FeedbackIn
from fleet.hawkbit.documents import deployment_answer, poll_answer, sleep_text
from fleet.hawkbit.entry import FREE_TRIES, PLACES_MAX, Guesses
from fleet.hawkbit.feedback import NEVER_SENT, Feedback, Meaning, as_said, meaning_of, meaning_of_cancel
from fleet.rollouts.answers import FOR_GOOD, ON_THE_WAY, PROGRESS
from fleet.store.tables_os import OsAction, OsImage
from fleet.store.tables_rollouts import Release

BASE = "https://fleet.example.org/default/controller/v1/cam-01"


def action(number: int, order: str = "a") -> OsAction:
    return OsAction(id=number, device="cam-01", action=order, release="r", made_ms=1, changed_ms=1)


def polled(**given: Any) -> dict[str, Any]:
    told = {"order": None, "cancel": None, "installed": None, "wants_attributes": False} | given
    return poll_answer(BASE, 300, **told).model_dump(by_alias=True, exclude_none=True)


@pytest.mark.parametrize(
    ("execution", "finished", "is_sent", "meaning"),
    [
        ("closed", "success", True, Meaning("succeeded", "committed")),
        ("closed", "success", False, Meaning("failed", "failed", f"{NEVER_SENT}: why")),
        ("closed", "failure", True, Meaning("failed", "rejected", "why")),
        ("closed", "failure", False, Meaning("failed", "failed", "why")),
        ("closed", "none", True, Meaning("failed", "rejected", "why")),
        ("closed", "none", False, Meaning("failed", "failed", "why")),
        ("canceled", "success", True, Meaning("cancelled", "cancelled", "why")),
        ("rejected", "none", False, Meaning("failed", "rejected", "why")),
        ("downloaded", "none", True, Meaning("", "verified")),
        *(
            (word, "success", True, Meaning("", "downloading"))
            for word in ("proceeding", "scheduled", "resumed", "download")
        ),
    ],
)
def test_what_feedback_means(execution: Any, finished: Any, is_sent: bool, meaning: Meaning) -> None:
    assert meaning_of(Feedback(execution, finished, "why"), is_sent=is_sent) == meaning


def test_every_meaning_is_a_word_that_rollouts_know() -> None:
    for execution in feedback.Execution.__args__:
        for finished in feedback.Finished.__args__:
            for is_sent in (True, False):
                word = meaning_of(Feedback(execution, finished), is_sent=is_sent).word
                assert word in FOR_GOOD | ON_THE_WAY | set(PROGRESS)


@pytest.mark.parametrize(
    ("execution", "finished", "state"),
    [
        ("closed", "success", "cancelled"),
        ("closed", "none", "cancelled"),
        ("canceled", "failure", "cancelled"),
        ("closed", "failure", "refused"),
        ("rejected", "success", "refused"),
        ("proceeding", "none", ""),
    ],
)
def test_what_feedback_on_a_wish_to_cancel_means(execution: Any, finished: Any, state: str) -> None:
    assert meaning_of_cancel(Feedback(execution, finished)).state == state


def test_the_last_sentences_of_a_client_are_kept_in_one_short_line() -> None:
    details = [f"line {n}" for n in range(100)]
    body = {"status": {"execution": "closed", "result": {"finished": "failure"}, "details": details}}
    said = FeedbackIn.model_validate(body).said()
    assert said.details.endswith("line 98; line 99")
    body["status"]["details"] = ["x" * 5000]  # type: ignore[index]
    long = FeedbackIn.model_validate(body).said()
    assert len(long.details) == 200
    assert len(as_said(long)) == 200


@pytest.mark.parametrize(
    ("body_id", "is_ours"), [(7, True), ("7", True), (None, True), (8, False), ("x", False), ("", False)]
)
def test_the_number_of_feedback_comes_as_number_text_or_not_at_all(body_id: Any, is_ours: bool) -> None:
    body = FeedbackIn.model_validate({"id": body_id, "status": {"execution": "closed"}})
    assert body.is_of(7) is is_ours


@pytest.mark.parametrize("data", [{"": "x"}, {"a": "x" * 1001}, {"a" * 129: "x"}, {"a": 1}, [], None])
def test_attributes_are_short_texts(data: Any) -> None:
    with pytest.raises(ValidationError):
        AttributesIn.model_validate({"data": data})


def test_attributes_are_merged_replaced_or_removed() -> None:
    assert combined({"a": "1"}, {"b": "2"}, "merge") == {"a": "1", "b": "2"}
    assert combined({"a": "1"}, {"b": "2"}, "replace") == {"b": "2"}
    assert combined({"a": "1", "b": "2"}, {"b": ""}, "remove") == {"a": "1"}


@pytest.mark.parametrize(("poll_s", "text"), [(1, "00:00:01"), (300, "00:05:00"), (86_399, "23:59:59")])
def test_the_time_to_sleep_is_hours_minutes_and_seconds(poll_s: int, text: str) -> None:
    assert sleep_text(poll_s) == text


def test_links_are_there_for_what_there_is_to_do_and_no_others() -> None:
    assert polled()["_links"] == {}
    assert set(polled(order=action(1), wants_attributes=True)["_links"]) == {"deploymentBase", "configData"}
    both = polled(order=action(2), cancel=action(1), installed=action(0))
    assert set(both["_links"]) == {"cancelAction", "installedBase"}
    assert re.fullmatch(
        rf"{re.escape(BASE)}/deploymentBase/1\?c=\d+",
        polled(order=action(1))["_links"]["deploymentBase"]["href"],
    )


@pytest.mark.parametrize(
    ("scheme", "names"), [("https", {"download", "md5sum"}), ("http", {"download-http", "md5sum-http"})]
)
def test_images_are_linked_the_way_the_client_came(scheme: str, names: set[str]) -> None:
    release = Release(
        id="r", kind="os", name="camera-os", version="1", sha256="a" * 64, mark="a" * 64, length=5, made_ms=1
    )
    image = OsImage(
        release="r", file="x.swu", sha256="a" * 64, sha1="b" * 40, md5="c" * 32, length=5, made_ms=1
    )
    base = BASE.replace("https", scheme)
    answer = deployment_answer(base, action(3), release, image, is_open=None)
    told = answer.model_dump(by_alias=True, exclude_none=True)
    assert told["id"] == "3", "a text, though a number is in it"
    assert "maintenanceWindow" not in told["deployment"]
    (artifact,) = told["deployment"]["chunks"][0]["artifacts"]
    assert set(artifact["_links"]) == names
    assert artifact["hashes"] == {"sha1": "b" * 40, "md5": "c" * 32, "sha256": "a" * 64}


def test_wrong_tokens_make_their_place_wait_longer_and_longer_and_a_good_one_forgets_them() -> None:
    guesses, now_ms = Guesses(), 1_800_000_000_000
    for _ in range(FREE_TRIES + 30):
        guesses.note("cam-01", "10.0.0.1", now_ms, is_good=False)
    with pytest.raises(TooManyTries) as refused:
        guesses.check("cam-01", "10.0.0.1", now_ms)
    assert refused.value.retry_after_s == DELAY_MAX_S
    guesses.check("cam-01", "10.0.0.2", now_ms)
    guesses.check("cam-02", "10.0.0.1", now_ms)
    guesses.check("cam-01", "10.0.0.1", now_ms + 1000 * DELAY_MAX_S)
    guesses.note("cam-01", "10.0.0.1", now_ms, is_good=True)
    guesses.check("cam-01", "10.0.0.1", now_ms)


def test_a_flood_of_names_fills_no_memory() -> None:
    guesses = Guesses()
    for number in range(PLACES_MAX + 500):
        guesses.note(f"cam-{number}", "10.0.0.1", 1_800_000_000_000, is_good=False)
    assert len(guesses._tries) == PLACES_MAX


def test_what_clients_are_told_is_made_without_clock_and_database() -> None:
    for module in (documents, feedback):
        source = inspect.getsource(module)
        assert not re.search(r"^(from|import) (time|sqlalchemy|sqlmodel|threading)\b", source, re.MULTILINE)

"""The limits of bodies, without a server: pieces that somebody sends, and what gets through."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from fleet.api.bodies import MEBIBYTE, BodyGuard, BodyLimits
from fleet.identity.claims import USES_MAX

SMALL = BodyLimits(body_bytes=100, all_bytes=150, larger_bytes={"/larger": 120}, slow_s=0.05)


class Sent:
    """Somebody who sends pieces, and what came of it."""

    def __init__(self, *pieces: bytes, declared: int | None = None, is_endless: bool = False) -> None:
        self.pieces = list(pieces)
        self.read = 0
        self.headers = [(b"transfer-encoding", b"chunked")]
        if declared is not None:
            self.headers = [(b"content-length", str(declared).encode())]
        self.is_endless = is_endless
        self.answer: list[Message] = []
        self.seen: bytes | None = None

    async def receive(self) -> Message:
        if self.read == len(self.pieces):
            await asyncio.Event().wait()
        piece = self.pieces[self.read]
        self.read += 1
        is_last = self.read == len(self.pieces) and not self.is_endless
        return {"type": "http.request", "body": piece, "more_body": not is_last}

    async def send(self, message: Message) -> None:
        self.answer.append(message)

    async def app(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        message = await receive()
        assert not message["more_body"]
        self.seen = message["body"]

    def go(self, limits: BodyLimits = SMALL, path: str = "/") -> Sent:
        scope = {"type": "http", "path": path, "headers": self.headers}
        asyncio.run(BodyGuard(self.app, limits)(scope, self.receive, self.send))
        return self

    @property
    def status(self) -> int:
        start, body = self.answer
        assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
        assert dict(start["headers"])[b"connection"] == b"close"
        problem: dict[str, Any] = json.loads(body["body"])
        assert problem["status"] == start["status"]
        return int(start["status"])


def test_a_body_in_pieces_arrives_whole() -> None:
    assert Sent(b"a" * 60, b"b" * 40).go().seen == b"a" * 60 + b"b" * 40


def test_a_body_that_says_that_it_is_too_large_is_refused_before_a_byte_is_read() -> None:
    sent = Sent(b"a", declared=101).go()
    assert (sent.status, sent.read, sent.seen) == (413, 0, None)


@pytest.mark.parametrize("declared", [None, 10])
def test_a_body_is_refused_at_the_first_byte_too_many_whatever_it_says(declared: int | None) -> None:
    sent = Sent(b"a" * 60, b"b" * 41, b"c", declared=declared).go()
    assert (sent.status, sent.read, sent.seen) == (413, 2, None)


def test_a_path_may_take_more_than_others() -> None:
    assert Sent(b"a" * 120).go(path="/larger").seen == b"a" * 120
    assert Sent(b"a" * 121).go(path="/larger").status == 413


def test_a_body_that_dribbles_is_given_up() -> None:
    assert Sent(b"a", b"b", is_endless=True).go().status == 408


def test_a_client_that_goes_away_in_its_body_is_no_request() -> None:
    sent = Sent(b"a")

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    sent.receive = gone  # type: ignore[method-assign]
    assert (sent.go().seen, sent.answer) == (None, [])


def test_many_bodies_at_once_hold_no_more_than_all_may_and_what_is_done_makes_room() -> None:
    async def both() -> tuple[Sent, Sent, Sent]:
        waits, late, after = Sent(b"a" * 100, is_endless=True), Sent(b"b" * 60), Sent(b"b" * 60)
        guard = BodyGuard(late.app, SMALL)

        def ask(one: Sent) -> Any:
            return guard({"type": "http", "path": "/", "headers": one.headers}, one.receive, one.send)

        first = asyncio.create_task(ask(waits))
        await asyncio.sleep(0)
        await ask(late)
        await first
        await ask(after)
        return waits, late, after

    waits, late, after = asyncio.run(both())
    assert (waits.status, late.status, after.answer) == (408, 503, [])


def test_the_longest_list_of_boards_fits_and_other_bodies_are_one_mebibyte() -> None:
    board = {"serial": "s" * 64, "id": "d" * 40, "site": "p" * 200}
    claim = {"site": "p" * 200, "timezone": "t" * 60, "boards": [board] * USES_MAX}
    assert len(json.dumps(claim)) < BodyLimits().of_path("/api/v1/claims")
    assert BodyLimits().of_path("/api/v1/sessions") == MEBIBYTE

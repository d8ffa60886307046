"""What a board and a laptop say to each other over a cable (docs/cable.md): JSON in frames.

The laptop asks, the board answers: some news, perhaps, then one answer; pictures go beside, as raw bytes. No
request asks for a key, a password or a shell, and no answer has a field for one. `Hello`, `Welcome` and
`Refused` stay as they are in all versions.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from ota.enrolment import MAX_TICKET_BYTES
from ota.errors import BadMessage

VERSION: Final = 1
OLDEST: Final = 1
"""The oldest version that is still spoken."""
MAX_LOG_LINES: Final = 500
MAX_SSID_BYTES: Final = 32
MIN_PASSWORD_BYTES, MAX_PASSWORD_BYTES = 8, 63
MAX_PICTURE_BYTES: Final = 64 * 1024
PICTURE_SIDE: Final = 320
"""Pixels across or down, at most, of a picture that is sent."""
GREETING: Final = (
    b"Pehra camera: this is no terminal. On your laptop close this program, then run: pehra provision\r\n"
)
"""What a person sees who connects with a plain terminal and presses Enter."""

_Message = TypeVar("_Message")
Line = Annotated[str, Meta(max_length=400)]
Word = Annotated[str, Meta(max_length=100)]


class _Says(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message; unknown fields of a later version are passed over."""


class Hello(_Says, frozen=True, tag="hello"):
    """The first thing that a laptop says.

    Attributes:
        version: of this protocol.
        program: its name and version, for the log.
    """

    version: Annotated[int, Meta(ge=0, le=65_535)]
    program: Word = ""


class Identify(_Says, frozen=True, tag="identify"):
    """Who are you?"""


class SetWifi(_Says, frozen=True, tag="wifi"):
    """Join this network, and again after each start.

    Attributes:
        ssid: its name.
        password: empty for an open network; never said back.
        hidden: whether it does not say its name.
    """

    ssid: Annotated[str, Meta(max_length=100)]
    password: Annotated[str, Meta(max_length=200)] = ""
    hidden: bool = False


class GiveClaim(_Says, frozen=True, tag="claim"):
    """Enrol with this ticket, a `claim.json` or its line."""

    ticket: Annotated[str, Meta(max_length=MAX_TICKET_BYTES)]


class RunCheck(_Says, frozen=True, tag="check"):
    """Look whether you can do your work; `quick` leaves the cameras out."""

    quick: bool = False


class ReadLog(_Says, frozen=True, tag="log"):
    """Tell the last lines of the log."""

    lines: Annotated[int, Meta(ge=1, le=MAX_LOG_LINES)] = 50


class TakePicture(_Says, frozen=True, tag="picture"):
    """Show what a camera sees now; the first one where none is named."""

    camera: Annotated[str, Meta(max_length=40)] = ""


class Restart(_Says, frozen=True, tag="restart"):
    """Start the camera's service anew."""


Request = Hello | Identify | SetWifi | GiveClaim | RunCheck | ReadLog | TakePicture | Restart


class Welcome(_Says, frozen=True, tag="welcome"):
    """The board speaks the laptop's version.

    Attributes:
        version: newest that it speaks.
        oldest: oldest that it speaks.
        program: its name and version.
    """

    version: int
    oldest: int
    program: Word = ""


class Identity(_Says, frozen=True, tag="identity"):
    """Who a board is.

    Attributes:
        board: model.
        serial: of the board; empty where it has none.
        firmware: version of Pehra.
        enrolled: whether it has a certificate, as far as it knows one that its fleet trusts.
        has_claim: whether a claim waits to be spent.
        refusal: why the fleet refused that claim.
        standing: why the fleet trusts its certificate no longer.
        device: its id; empty where it has none yet.
        site: where it hangs.
        customisation: SHA-256 of what was written onto the card for it; empty where nothing was.
        is_running: whether the camera's service watches; one that waits to be let in does not.
        network: how it is connected, in words.
        cameras: their ids.
        fault: what is wrong with its configuration.
    """

    board: Word
    firmware: Word
    enrolled: bool
    serial: Word = ""
    has_claim: bool = False
    refusal: Line = ""
    standing: Line = ""
    device: Word = ""
    site: Annotated[str, Meta(max_length=200)] = ""
    customisation: Word = ""
    is_running: bool = False
    network: Annotated[str, Meta(max_length=200)] = ""
    cameras: Annotated[list[str], Meta(max_length=16)] = []
    fault: Line = ""


class Done(_Says, frozen=True, tag="done"):
    """It is done.

    Attributes:
        note: what follows from it.
    """

    note: Line = ""


class Refused(_Says, frozen=True, tag="refused"):
    """It is not done.

    Attributes:
        code: a word for programs, such as `enrolled`, `busy`, `version`.
        reason: why, for people.
        todo: what to do next.
    """

    code: Word
    reason: Line
    todo: Line = ""


class Checked(_Says, frozen=True, tag="checked"):
    """One line of `device check`; see `device.check.finding.Finding`."""

    check: Word
    result: Literal["ok", "warn", "fail"]
    found: Line
    todo: Line = ""


class Looking(_Says, frozen=True, tag="looking"):
    """A check that begins."""

    check: Word


class LogLine(_Says, frozen=True, tag="log-line"):
    """A line of the log, its secrets hidden."""

    text: Line


class Picture(_Says, frozen=True, tag="picture-sent"):
    """The end of a picture, whose bytes went before it in pieces: a JPEG, masks painted.

    Attributes:
        camera: of which camera.
        width: pixels.
        height: pixels.
        bytes: of the JPEG.
        focus: number that is largest where the lens is sharp.
    """

    camera: Word
    width: Annotated[int, Meta(ge=1, le=PICTURE_SIDE)]
    height: Annotated[int, Meta(ge=1, le=PICTURE_SIDE)]
    bytes: Annotated[int, Meta(ge=1, le=MAX_PICTURE_BYTES)]
    focus: Annotated[float, Meta(ge=0)] = 0.0


News = Checked | Looking | LogLine
Answer = Welcome | Identity | Done | Refused | Picture

_requests: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)
_news: Final[msgspec.json.Decoder[News]] = msgspec.json.Decoder(News)
_answers: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def encoded(message: Request | News | Answer) -> bytes:
    """Return a message as it stands in a frame."""
    return msgspec.json.encode(message)


def request_of(data: bytes) -> Request:
    """Read a request.

    Raises:
        BadMessage: none that is known, or a part of it is not allowed.
    """
    return _read(_requests, data)


def news_of(data: bytes) -> News:
    """Read what comes before an answer.

    Raises:
        BadMessage: as above.
    """
    return _read(_news, data)


def answer_of(data: bytes) -> Answer:
    """Read an answer.

    Raises:
        BadMessage: as above.
    """
    return _read(_answers, data)


def wifi_fault(ssid: str, password: str) -> str:
    """Say what is wrong with the name or password of a network; empty where nothing is.

    A name is 1 to 32 bytes (IEEE 802.11, 9.4.2.2), a passphrase 8 to 63, or the key itself as 64 hexadecimal
    digits. Control characters are allowed by neither, or come from a mistake.
    """
    name_bytes, word_bytes = len(_utf8(ssid)), len(_utf8(password))
    if not 1 <= name_bytes <= MAX_SSID_BYTES:
        return f"a network's name has 1 to {MAX_SSID_BYTES} bytes, this one {name_bytes}"
    if _CONTROL.search(ssid):
        return "a network's name has no line break or other control character"
    if not password or re.fullmatch(r"[0-9A-Fa-f]{64}", password):
        return ""
    if not MIN_PASSWORD_BYTES <= word_bytes <= MAX_PASSWORD_BYTES:
        return (
            f"a Wi-Fi password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes, this one {word_bytes}"
        )
    return "a Wi-Fi password has no line break or control character" if _CONTROL.search(password) else ""


def cut(text: str, chars: int = 400) -> str:
    """Return a text for people that fits into a field and moves no cursor."""
    plain = _CONTROL.sub(" ", text)
    return plain if len(plain) <= chars else plain[: chars - 3] + "..."


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _read(decoder: msgspec.json.Decoder[_Message], data: bytes) -> _Message:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage("cable", str(error)) from error

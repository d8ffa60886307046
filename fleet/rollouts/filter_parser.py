r"""Reads filters; what is wrong is said with its place marked.

    filter = either
    either = both { "or" both }
    both   = single { ["and"] single }
    single = "not" single | "(" either ")" | "all" | term
    term   = field operator value { "," value }
    value  = letters without space ( ) " , : = < > !  |  "..." without a quote inside

`*` in a value stands for any letters. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, cast

from fleet.errors import BadInput
from fleet.rollouts.filter import (
    FIELDS,
    STANDINGS,
    VERSIONED,
    All,
    And,
    Field,
    Filter,
    Not,
    Operator,
    Or,
    Term,
)
from fleet.rollouts.versions import version_key

FILTER_CHARS: Final = 1000
DEPTH_MAX: Final = 20
_WORDS: Final = ("and", "or", "not", "all")
_TOKEN: Final = re.compile(
    r'\s*(?:(?P<sign>[(),]|<=|>=|!=|[:=<>])|"(?P<quoted>[^"]*)"|(?P<word>[^\s()",:=<>!]+)|(?P<odd>.))',
    re.DOTALL,
)


class BadFilter(BadInput):
    """A filter that cannot be read.

    Attributes:
        at: where in the text, in letters from 0.
        length: of what is wrong there, at least 1.
        reason: what is wrong, and what would be right.
    """

    def __init__(self, text: str, at: int, length: int, reason: str) -> None:
        shown = re.sub(r"\s", " ", text)
        super().__init__(f"{reason}\n  {shown}\n  {' ' * at}{'^' * max(1, length)}")
        self.at = at
        self.length = max(1, length)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    at: int
    kind: str

    @property
    def length(self) -> int:
        return len(self.text) + (2 if self.kind == "quoted" else 0)

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.lower() == word


def parse_filter(text: str) -> Filter:
    """Return the filter that a text means.

    Raises:
        BadFilter: with the place marked.
    """
    if len(text) > FILTER_CHARS:
        raise BadFilter(
            text[:60], 60, 1, f"a filter has at most {FILTER_CHARS} letters: tag the devices instead"
        )
    if not text.strip():
        raise BadFilter(text, 0, 1, "an empty filter: write `all` for every device")
    reader = _Reader(text, _tokens(text))
    wanted = reader.either(0)
    if reader.ahead is not None:
        raise reader.wrong(
            reader.ahead, "this closes nothing" if reader.ahead.text == ")" else "not expected here"
        )
    return wanted


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while found := _TOKEN.match(text, place):
        kind = cast(str, found.lastgroup)
        at = found.start(kind) - (1 if kind == "quoted" else 0)
        if kind == "odd":
            reason = (
                "this quote is never closed" if found["odd"] == '"' else "this letter belongs into no filter"
            )
            raise BadFilter(text, at, 1, reason)
        if not found[kind].isprintable():
            raise BadFilter(text, at, 1, "a letter here cannot be shown")
        tokens.append(_Token(found[kind], at, kind))
        place = found.end()
    return tokens


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0

    @property
    def ahead(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def either(self, depth: int) -> Filter:
        parts = [self.both(depth)]
        while self.ahead is not None and self.ahead.is_word("or"):
            self._next += 1
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def both(self, depth: int) -> Filter:
        parts = [self.single(depth)]
        while (ahead := self.ahead) is not None and ahead.text != ")" and not ahead.is_word("or"):
            if ahead.is_word("and"):
                self._next += 1
            parts.append(self.single(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def single(self, depth: int) -> Filter:
        token = self._take("a condition such as site:lahore")
        if depth > DEPTH_MAX:
            raise self.wrong(token, f"nested more than {DEPTH_MAX} deep")
        if token.is_word("not"):
            return Not(self.single(depth + 1))
        if token.kind == "sign" and token.text == "(":
            return self._parenthesis(token, depth + 1)
        if token.is_word("all") and (
            self.ahead is None or self.ahead.kind != "sign" or self.ahead.text in "()"
        ):
            return All()
        if token.kind != "word" or token.text.lower() in _WORDS:
            raise self.wrong(token, "here a condition such as site:lahore is expected")
        return self._term(token)

    def wrong(self, token: _Token, reason: str) -> BadFilter:
        return BadFilter(self._text, token.at, token.length, reason)

    def _parenthesis(self, opened: _Token, depth: int) -> Filter:
        inner = self.either(depth)
        if self.ahead is None or self.ahead.text != ")":
            raise self.wrong(opened, "this parenthesis is never closed")
        self._next += 1
        return inner

    def _term(self, name: _Token) -> Term:
        field = name.text.lower()
        if field not in FIELDS:
            raise self.wrong(name, f"there is no field {name.text!r}: {_nearest(field)}")
        sign = self._take(f"an operator after {field}, for example {field}:...")
        if sign.kind != "sign" or sign.text in "(),":
            raise self.wrong(sign, f"after {field} an operator is expected: {_allowed(field)}")
        if sign.text not in _allowed(field).split():
            raise self.wrong(sign, f"{field} is not ordered: only {_allowed(field)} can be asked of it")
        values = [self._value(field, sign.text)]
        while self.ahead is not None and self.ahead.kind == "sign" and self.ahead.text == ",":
            self._next += 1
            values.append(self._value(field, sign.text))
        return Term(cast(Field, field), cast(Operator, sign.text), tuple(values))

    def _value(self, field: str, sign: str) -> str:
        token = self._take(f"a value after {field}{sign}")
        if token.kind == "sign" or not token.text:
            raise self.wrong(token, f"a value is expected here ({FIELDS[field]})")
        if sign != ":" and version_key(token.text) is None:
            raise self.wrong(token, f"{token.text!r} is no version such as 1.4 or 1.4.2rc1")
        if field == "is" and token.text.lower() not in STANDINGS:
            raise self.wrong(token, f"a device is {' or '.join(STANDINGS)}")
        return token.text.lower() if field == "is" else token.text

    def _take(self, what: str) -> _Token:
        token = self.ahead
        if token is None:
            raise BadFilter(self._text, len(self._text), 1, f"the filter ends here, where {what} is expected")
        self._next += 1
        return token


def _allowed(field: str) -> str:
    return ": = != < <= > >=" if field in VERSIONED else ":"


def _nearest(word: str) -> str:
    near = get_close_matches(word, FIELDS, n=1)
    return f"did you mean {near[0]}?" if near else f"choose among {', '.join(FIELDS)}"

"""What clients of hawkBit's device API send; loose where clients differ, and never more than is needed."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from fleet.hawkbit.attributes import Mode
from fleet.hawkbit.feedback import SAID_CHARS, Execution, Feedback, Finished
from fleet.queries.paging import Storable

Sentence = Annotated[Storable, Field(max_length=10_000)]
Name = Annotated[Storable, Field(min_length=1, max_length=128)]


class Result(BaseModel):
    """How it went."""

    finished: Finished = "none"


class Status(BaseModel):
    """How far it is."""

    execution: Execution
    result: Result = Result()
    details: Annotated[list[Sentence], Field(max_length=200)] | None = None


class FeedbackIn(BaseModel):
    """Feedback; `id` is a number with one client, a text with another, and missing with a third."""

    id: Annotated[int | Annotated[str, Field(max_length=40)] | None, Field(examples=["12", 12])] = None
    status: Status

    def said(self) -> Feedback:
        """Return what was said; the last sentences are those that say why."""
        words = [one.strip() for one in (self.status.details or [])[-8:] if one.strip()]
        return Feedback(self.status.execution, self.status.result.finished, _tail("; ".join(words)))

    def is_of(self, number: int) -> bool:
        """Whether it speaks of the action to whose address it was sent."""
        return self.id is None or str(self.id).strip() == str(number)


class AttributesIn(BaseModel):
    """What a client says of itself."""

    mode: Mode = "replace"
    data: Annotated[dict[Name, Annotated[Storable, Field(max_length=1000)]], Field(max_length=200)]


def _tail(text: str) -> str:
    return text if len(text) <= SAID_CHARS else "…" + text[1 - SAID_CHARS :]

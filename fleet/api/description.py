"""What FastAPI cannot say of the API by itself: problem documents, and bodies of devices (structs)."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI
from pydantic import BaseModel

JSON: Final = "application/json"
PROBLEM_TYPE: Final = "application/problem+json"


class Problem(BaseModel):
    """What went wrong (RFC 9457); `errors` names the arguments, `reason` is one word for a machine."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None
    reason: str | None = None


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": text,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
    }
    for status, text in (
        (400, "the body cannot be read, or a token is in the URL"),
        (401, "nobody has logged in, or the token is no good"),
        (403, "no role of the caller has the permission, or the request comes from another site's page"),
        (404, "there is no such thing"),
        (408, "the body came too slowly"),
        (409, "it does not go with what is there"),
        (410, "it has ended"),
        (413, "the body is too large"),
        (421, "a fleet without log-in answers to this machine's own names only"),
        (422, "an argument makes no sense"),
        (429, "too many wrong log-ins: `Retry-After` says when"),
        (503, "the database does not answer, or a part of the fleet manager does not do its work"),
    )
}


class DescribedApi(FastAPI):
    """An application whose description holds what its problem documents are."""

    def openapi(self) -> dict[str, Any]:
        """Return the description (OpenAPI); made once."""
        if self.openapi_schema is None:
            schemas = super().openapi().setdefault("components", {}).setdefault("schemas", {})
            schemas[Problem.__name__] = Problem.model_json_schema()
        assert self.openapi_schema is not None
        return self.openapi_schema


def takes(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return what a route adds that reads its body as a struct."""
    return {"requestBody": {"required": True, "content": {JSON: {"schema": _schema(kind)}}}}


def gives(kind: type[msgspec.Struct]) -> dict[int | str, dict[str, Any]]:
    """Return the answer of a route that gives a struct."""
    return {200: {"description": kind.__name__, "content": {JSON: {"schema": _schema(kind)}}}}


def gives_file(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return the answer of a route that gives text of another kind."""
    return {200: {"description": "the file", "content": {media_type: {"schema": {"type": "string"}}}}}


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a struct's schema in one piece; ours hold no other structs."""
    found = msgspec.json.schema(kind)
    inner: dict[str, Any] = found["$defs"][kind.__name__]
    return inner

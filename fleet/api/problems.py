"""Errors as problem details (RFC 9457), in one place."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from fleet.api.description import PROBLEM_TYPE, Problem
from fleet.errors import (
    BadClaim,
    BadInput,
    BadOverlay,
    BadQuery,
    Conflict,
    DiskRefuses,
    EnrolmentRefused,
    Forbidden,
    Gone,
    NotFound,
    NotLoggedIn,
    NotWell,
    TooLarge,
    TooManyTries,
    first_line,
)

log = logging.getLogger(__name__)


def install_problems(app: FastAPI) -> None:
    """Make every error of the API a problem document."""
    app.add_exception_handler(NotFound, _on_not_found)
    for refused in (BadQuery, BadOverlay, BadInput, BadClaim):
        app.add_exception_handler(refused, _on_bad_query)
    app.add_exception_handler(NotLoggedIn, _on_not_logged_in)
    app.add_exception_handler(Forbidden, _on_forbidden)
    app.add_exception_handler(Conflict, _on_conflict)
    app.add_exception_handler(Gone, _on_gone)
    app.add_exception_handler(TooLarge, _on_too_large)
    app.add_exception_handler(DiskRefuses, _on_disk)
    app.add_exception_handler(TooManyTries, _on_too_many_tries)
    app.add_exception_handler(EnrolmentRefused, _on_not_enrolled)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(NotWell, _on_not_well)
    app.add_exception_handler(DBAPIError, _on_database)
    app.add_exception_handler(PoolTimeout, _on_database)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)


def problem(
    status: int, detail: str, errors: list[dict[str, str]] | None = None, reason: str | None = None
) -> JSONResponse:
    """Return a problem document."""
    body = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors, reason=reason
    )
    return JSONResponse(body.model_dump(exclude_none=True), status_code=status, media_type=PROBLEM_TYPE)


def _on_not_found(_request: Request, error: Exception) -> JSONResponse:
    return problem(404, str(error))


def _on_bad_query(_request: Request, error: Exception) -> JSONResponse:
    return problem(422, str(error))


def _on_not_enrolled(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EnrolmentRefused)
    log.warning("board refused reason=%s detail=%r", error.reason, str(error))
    return problem(403, str(error), reason=error.reason)


def _on_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"path": ".".join(str(part) for part in one["loc"]), "message": str(one["msg"])}
        for one in error.errors()
    ]
    return problem(422, "; ".join(f"{one['path']}: {one['message']}" for one in errors), errors)


def _on_not_logged_in(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, NotLoggedIn)
    answer = problem(401, str(error))
    answer.headers["WWW-Authenticate"] = error.scheme
    return answer


def _on_forbidden(_request: Request, error: Exception) -> JSONResponse:
    return problem(403, str(error))


def _on_conflict(_request: Request, error: Exception) -> JSONResponse:
    return problem(409, str(error))


def _on_gone(_request: Request, error: Exception) -> JSONResponse:
    return problem(410, str(error))


def _on_too_large(_request: Request, error: Exception) -> JSONResponse:
    return problem(413, str(error))


def _on_disk(_request: Request, error: Exception) -> JSONResponse:
    log.error("disk refuses reason=%r", str(error))
    return problem(507, str(error))


def _on_too_many_tries(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TooManyTries)
    answer = problem(429, str(error))
    answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def _on_not_well(_request: Request, error: Exception) -> JSONResponse:
    return problem(503, str(error))


def _on_fault(_request: Request, _error: Exception) -> JSONResponse:
    """Answer for a fault of ours; Starlette raises it again, and the web server logs it."""
    return problem(500, "a fault of the fleet manager's own: its log says more")


def _on_database(_request: Request, error: Exception) -> JSONResponse:
    log.error("database does not answer the API reason=%r", first_line(error))
    return problem(503, "the database does not answer: try again; devices keep their messages meanwhile")


def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = f"there is nothing at {request.url.path}" if error.status_code == 404 else str(error.detail)
    answer = problem(error.status_code, detail)
    answer.headers.update(error.headers or {})
    return answer

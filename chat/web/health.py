"""Health checks for process managers and load balancers. They answer with JSON, also for errors."""

from flask import Blueprint, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from chat import engine, wire
from chat.errors import BadRequest, Busy, Draining, NotFound, Refusal, ServerError
from chat.storage.readiness import NO_ANSWER, readiness_of

PATHS = ("/healthz", "/readyz")

READY_TIMEOUT_SECONDS = 2.0
"""The longest that /readyz waits for the database, under eventlet."""

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Report that this process answers; the database is not asked."""
    return _answer(wire.ok(), 200)


@blueprint.get("/readyz")
def readyz() -> Response:
    """Report whether this process can store messages. Raises Draining, Busy."""
    if engine.is_draining():
        raise Draining
    try:
        with engine.time_limit(READY_TIMEOUT_SECONDS):
            readiness_of(current_app).require()
    except TimeoutError:
        raise Busy(NO_ANSWER) from None
    return _answer(wire.ok(), 200)


def is_health_check() -> bool:
    """Return whether the current request is for a health check."""
    return request.path.rstrip("/") in PATHS


def refusal_response(refusal: Refusal) -> Response:
    """Return the answer to a health check that failed."""
    return _answer(wire.refused(refusal), refusal.status)


def http_error_response(error: HTTPException) -> Response:
    """Return the answer to a health check that HTTP refuses."""
    status = error.code or 500
    response = _answer(wire.refused(_refusal_for(error, status)), status)
    if isinstance(error, MethodNotAllowed):
        response.allow.update(error.valid_methods or ())
    return response


def _refusal_for(error: HTTPException, status: int) -> Refusal:
    if status >= 500:
        return ServerError()
    if status == 404:
        return NotFound("There is no such page.")
    return BadRequest(error.description)


def _answer(payload: wire.JSON, status: int) -> Response:
    response = jsonify(payload)
    response.status_code = status
    response.cache_control.no_store = True
    return response

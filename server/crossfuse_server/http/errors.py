"""Errors as HTTP answers: the same codes and messages as over gRPC, as JSON."""

from __future__ import annotations

import math
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from google.rpc.error_details_pb2 import RetryInfo
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from crossfuse.errors import CrossFuseError, DeadlineExceeded, InvalidInput
from crossfuse_server.logs import log_call
from crossfuse_server.statuses import name_of, to_status

HTTP_STATUSES = {
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "FAILED_PRECONDITION": HTTPStatus.BAD_REQUEST,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "UNIMPLEMENTED": HTTPStatus.NOT_IMPLEMENTED,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
    "DEADLINE_EXCEEDED": HTTPStatus.GATEWAY_TIMEOUT,
}

CLIENT_CLOSED = 499


class BodyTooLarge(InvalidInput):
    """More bytes than the server takes."""


class WrongBody(InvalidInput):
    """A body that is no form."""


class BodyTooSlow(DeadlineExceeded):
    """The body did not arrive in time."""


class NotFound(CrossFuseError):
    """No such page, sample or stream."""

    grpc_status = "NOT_FOUND"


class Forbidden(CrossFuseError):
    """Not for this caller."""

    grpc_status = "PERMISSION_DENIED"


OWN_STATUSES: dict[type[CrossFuseError], HTTPStatus] = {
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    WrongBody: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
}


def code_of(error: BaseException) -> str:
    """The name of the status an error becomes."""
    return error.grpc_status if isinstance(error, CrossFuseError) else "INTERNAL"


def error_answer(error: Exception, where: str, request_id: str) -> JSONResponse:
    """The answer to a request that failed; `where` is for the log."""
    status = to_status(error, f"{where} {request_id!r}")
    code = name_of(status.code)
    log_call(where, request_id, code, status.message)
    known = HTTP_STATUSES.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
    answer = JSONResponse(
        {"error": {"code": code, "message": status.message, "request_id": request_id}},
        OWN_STATUSES.get(type(error), known) if isinstance(error, CrossFuseError) else known,
    )
    if code == "UNAUTHENTICATED":
        answer.headers["WWW-Authenticate"] = "Bearer"
    for detail in status.details:
        wait = RetryInfo()
        if detail.Unpack(wait):
            seconds = wait.retry_delay.seconds + wait.retry_delay.nanos / 1e9
            answer.headers["Retry-After"] = str(math.ceil(seconds))
    return answer


async def answer_error(request: Request, error: Exception) -> Response:
    """What the framework does with an error that leaves a route."""
    if isinstance(error, ClientDisconnect):  # nobody hears it
        return Response(status_code=CLIENT_CLOSED)
    if isinstance(error, HTTPException):
        return _answer_of_framework(request, error)
    if isinstance(error, RequestValidationError):
        wrong = error.errors()[0]
        field, given = str(wrong["loc"][-1]), repr(str(wrong["input"])[:100])
        error = InvalidInput(field, given, str(wrong["msg"]))
    return error_answer(error, route_of(request), request.state.request_id)


def _answer_of_framework(request: Request, error: HTTPException) -> JSONResponse:
    """No such path, or not this method."""
    code = "NOT_FOUND" if error.status_code == HTTPStatus.NOT_FOUND else "INVALID_ARGUMENT"
    message = f"{request.method}: got {error.detail}; valid: what /openapi.json lists"
    content = {"code": code, "message": message, "request_id": request.state.request_id}
    return JSONResponse({"error": content}, error.status_code, error.headers)


def route_of(request: Request) -> str:
    """Method and pattern of the route, for the log: never what the caller wrote."""
    route = request.scope.get("route")
    return f"{request.method} {getattr(route, 'path', 'unknown path')}"

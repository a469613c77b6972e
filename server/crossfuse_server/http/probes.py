"""What orchestrators ask: whether the process lives, and whether it takes work."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from crossfuse_server.models import State

router = APIRouter()


@router.get(
    "/healthz",
    response_class=PlainTextResponse,
    summary="Whether the process lives",
    response_description="It lives",
)
async def healthz() -> str:
    """Answers as long as the server runs, also while it loads or drains. Needs no token."""
    return "ok\n"


@router.get(
    "/readyz",
    response_class=PlainTextResponse,
    summary="Whether the default model serves",
    response_description="It serves",
    responses={503: {"description": "Loading or draining", "content": {"text/plain": {}}}},
)
async def readyz(request: Request) -> PlainTextResponse:
    """200 while the server takes work; 503 while it loads or drains. Needs no token."""
    state: State = request.app.state.server.state
    status = HTTPStatus.OK if state is State.SERVING else HTTPStatus.SERVICE_UNAVAILABLE
    return PlainTextResponse(f"{state.value}\n", status)

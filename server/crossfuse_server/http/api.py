"""The application: its routes, its errors, and what runs beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from crossfuse._version import __version__
from crossfuse.errors import CrossFuseError
from crossfuse_server.http import fuse, information, live, probes, samples
from crossfuse_server.http.errors import answer_error
from crossfuse_server.http.history import SECONDS, LatencyHistory
from crossfuse_server.http.page_files import page_files, page_routes
from crossfuse_server.http.schemas import refused
from crossfuse_server.http.shell import Shell

if TYPE_CHECKING:
    from crossfuse_server.app import FusionServer

# Probes of orchestrators carry no token, and learn nothing but whether the server is up.
PROBES = ("/healthz", "/readyz")


def create_app(server: FusionServer) -> ASGIApp:
    """The application of one server."""
    history = LatencyHistory(server.observations)
    app = FastAPI(
        title="CrossFuse",
        version=__version__,
        description="Fuse an infrared and a visible picture of one scene.",
        docs_url=None,  # they load scripts from another host; ours are in page/
        redoc_url=None,
        lifespan=_looking(history),
        # They would hold what callers wrote; ours are made from the timelines.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.server = server
    app.state.history = history
    for kind in (
        CrossFuseError,
        HTTPException,
        RequestValidationError,
        ClientDisconnect,
        Exception,
    ):
        app.add_exception_handler(kind, answer_error)
    app.include_router(probes.router)
    for part in (fuse, information, live, samples):
        app.include_router(
            part.router,
            dependencies=[Depends(HTTPBearer(auto_error=False))],  # for /openapi.json
            responses={401: refused("No token, or a wrong one")},
        )
    contents = page_files()
    app.include_router(page_routes(contents))
    return Shell(app, {*PROBES, *contents}, server.tokens)


def _looking(
    history: LatencyHistory,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_look_regularly(history))
        yield
        task.cancel()

    return lifespan


async def _look_regularly(history: LatencyHistory) -> None:
    while True:
        await asyncio.sleep(SECONDS)
        history.look()

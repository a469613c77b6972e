"""The files of the web page, read once: no request reaches a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
PAGES = {"/": "index.html", "/docs": "docs.html"}


def page_files() -> dict[str, tuple[bytes, str]]:
    """Path of the address -> content and type."""
    folder = files("crossfuse_server.http") / "page"
    found = {
        entry.name: (entry.read_bytes(), KINDS[entry.name.rpartition(".")[2]])
        for entry in folder.iterdir()
        if entry.name.rpartition(".")[2] in KINDS
    }
    pages = {path: found.pop(name) for path, name in PAGES.items()}
    return {**pages, **{f"/page/{name}": content for name, content in found.items()}}


def page_routes(contents: dict[str, tuple[bytes, str]]) -> APIRouter:
    """One route for each file."""
    router = APIRouter(include_in_schema=False)
    for path, (content, kind) in contents.items():
        router.add_api_route(path, _answer(content, kind), methods=["GET", "HEAD"])
    return router


def _answer(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return answer

"""The live view: the fused frames of a running stream, for who may watch."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from crossfuse.errors import Overloaded
from crossfuse_server.http.errors import Forbidden, NotFound
from crossfuse_server.http.schemas import Stream, Streams, refused
from crossfuse_server.models import State
from crossfuse_server.views import LiveView, picture_file

if TYPE_CHECKING:
    from crossfuse_server.app import FusionServer

BOUNDARY = "frame"

# How often a view looks for a new frame, and how many may look.
LOOKS_PER_SECOND = 20
MOST_VIEWERS = 8

# A proxy hides who asks behind its own address.
PROXY_HEADERS = ("forwarded", "x-forwarded-for")

router = APIRouter()


@router.get("/v1/streams", summary="The running streams", response_description="The streams")
def streams(request: Request) -> Streams:
    """Every FuseStream call that is under way; without pictures."""
    server: FusionServer = request.app.state.server
    now = time.monotonic()
    return Streams(
        streams=[
            Stream(
                id=stream.view.number,
                model=stream.view.model,
                received=stream.counters.received,
                fused=stream.counters.fused,
                dropped=stream.counters.dropped.total(),
                failed=stream.counters.failed,
                seconds=now - stream.view.began,
                view=f"/v1/streams/{stream.view.number}/view",
            )
            for stream in server.open_streams.frame_streams
        ]
    )


@router.get(
    "/v1/streams/{number}/view",
    summary="Watch a running stream",
    response_description="Pictures, one part each",
    response_class=StreamingResponse,
    responses={
        200: {"content": {f"multipart/x-mixed-replace; boundary={BOUNDARY}": {}}},
        "4XX": refused("No such stream; or no token file, and the caller is on another machine"),
    },
)
async def view(number: int, request: Request) -> StreamingResponse:
    """The newest fused frames as pictures, one after the other, until the stream ends.

    A part is skipped when a newer frame is there. Frames are kept only while somebody watches.
    """
    server: FusionServer = request.app.state.server
    if server.settings.token_file is None and not is_local(request):
        raise Forbidden(
            "live view: got a caller from another machine, and this server has no token_file; "
            "valid: a server with tokens, or a caller on its machine"
        )
    watched = next(
        (s.view for s in server.open_streams.frame_streams if s.view.number == number), None
    )
    if watched is None:
        raise NotFound(f"stream: got {number}, which is not running; valid: those of /v1/streams")
    if sum(stream.view.viewers for stream in server.open_streams.frame_streams) >= MOST_VIEWERS:
        raise Overloaded(
            f"viewers: got one more than the {MOST_VIEWERS} that may watch at once; "
            "valid: a retry when one has gone",
            retry_after=5.0,
        )
    return StreamingResponse(
        _parts(watched, server),
        media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}",
        headers={"Cache-Control": "no-store"},
    )


async def _parts(watched: LiveView, server: FusionServer) -> AsyncIterator[bytes]:
    shown = None
    with watched.watching():
        while not watched.ended and server.state is not State.DRAINING:
            frame = watched.latest
            if frame is not None and frame is not shown:
                shown = frame
                kind, data = await asyncio.to_thread(picture_file, frame.image)
                head = (
                    f"--{BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
                    f"X-Frame-Id: {frame.frame_id}\r\n\r\n"
                )
                yield head.encode() + data + b"\r\n"
            await asyncio.sleep(1 / LOOKS_PER_SECOND)
    yield f"--{BOUNDARY}--\r\n".encode()


def is_local(request: Request) -> bool:
    """Whether the caller is on this machine, as far as can be seen."""
    if request.client is None or any(name in request.headers for name in PROXY_HEADERS):
        return False
    address = ipaddress.ip_address(request.client.host)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback

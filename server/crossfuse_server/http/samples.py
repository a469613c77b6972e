"""The bundled pairs, for who wants to try the server without pictures at hand."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from crossfuse_server.http.errors import NotFound
from crossfuse_server.http.schemas import Sample, Samples, refused

# name: (title, folder in crossfuse/assets)
PAIRS = {"street": ("A street at night", "sample")}

router = APIRouter()


@router.get("/v1/samples", summary="The bundled pairs", response_description="The pairs")
def samples() -> Samples:
    """Pairs of pictures that can be fused to try the server."""
    return Samples(
        samples=[
            Sample(
                name=name, title=title, ir=f"/v1/samples/{name}/ir", vis=f"/v1/samples/{name}/vis"
            )
            for name, (title, _) in PAIRS.items()
        ]
    )


@router.get(
    "/v1/samples/{name}/{picture}",
    summary="One picture of a bundled pair",
    response_description="The file",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, "4XX": refused("No such pair, or picture")},
)
def sample(name: str, picture: Literal["ir", "vis"]) -> Response:
    """A PNG file."""
    if name not in PAIRS:
        raise NotFound(f"sample: got {name!r}; valid: {', '.join(PAIRS)}")
    folder = files("crossfuse") / "assets" / PAIRS[name][1]
    return Response((folder / f"{picture}.png").read_bytes(), media_type="image/png")

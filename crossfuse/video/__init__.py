"""Two video streams into one fused stream; `crossfuse video` is a thin layer over it.

sources.py, *_source.py   files, folders, cameras, network streams, the synthetic street
hardware.py               which decoder a source gets where hardware is asked for
reader.py                 a thread per source; opens it again when it is lost
pairing.py                frames of both sources into pairs
rig.py, rig.schema.json   cameras that do not line up: the rig file, and how it is applied
plan.py                   how two opened sources go together: sizes, rates, offset
fusing.py                 pairs through a model, a few of them under way
local_backend.py, remote_backend.py   a model of this process, or of a server
turns.py                  streams that share a model get it in turns
layout.py                 how an output frame is composed
sinks.py, *_sink.py       MP4, folders, HTTP, RTSP, a window
sound.py                  the visible file's sound, copied
address.py                addresses as they may be shown, without password
mp4_file.py               an MP4 that can be played while it grows
mp4_boxes.py, mp4_fragment.py, mp4_index.py   its parts, and its index in the end
session.py, summary.py    one run, and its account
latest.py, heap.py        memory that stays, however long a stream runs
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossfuse.bundles import DEFAULT_MODEL
from crossfuse.fuser import Fuser, load
from crossfuse.video.fusing import Backend, FusedPair
from crossfuse.video.heap import share_one_heap
from crossfuse.video.local_backend import LocalBackend
from crossfuse.video.options import VideoOptions
from crossfuse.video.outputs import Outputs
from crossfuse.video.remote_backend import RemoteBackend
from crossfuse.video.rig import Rig, RigAligner, RigQuality, read_rig
from crossfuse.video.session import Session
from crossfuse.video.sinks import SinkOptions
from crossfuse.video.summary import SourceSummary, Spread, VideoSummary

if TYPE_CHECKING:
    from crossfuse.client import FusionClient

__all__ = [
    "FusedPair",
    "Rig",
    "RigAligner",
    "RigQuality",
    "SourceSummary",
    "Spread",
    "VideoOptions",
    "VideoSummary",
    "fuse_streams",
    "read_rig",
    "share_one_heap",
]


def fuse_streams(
    ir: str | Path,
    vis: str | Path,
    output: str | Path | Sequence[str | Path] = (),
    *,
    fuser: Fuser | None = None,
    client: FusionClient | None = None,
    model: str | None = None,
    rig: Rig | str | Path | None = None,
    options: VideoOptions | None = None,
    on_frame: Callable[[FusedPair], None] | None = None,
    on_start: Callable[[int | None], None] | None = None,
    stop: threading.Event | None = None,
) -> VideoSummary:
    """Fuse two videos, folders of pictures, cameras or network streams; returns the account.

    ir, vis: a video file, a folder of pictures, a camera index like "0", an rtsp:// or http://
    address, synthetic[:SEED]. output: .mp4 files, folders, http://HOST:PORT to serve at, rtsp://
    of a server; none is fine with `on_frame`. fuser: a loaded model; client: a server in its
    place; model: a name for either. rig: what `crossfuse calibrate` wrote, for cameras that do not
    line up. on_start: called with the number of pairs to come, where it is known; on_frame: with
    each fused pair, in order. stop: set it to end early; what was taken in is finished.

    What cannot work at all raises; what went wrong on the way is in the summary's `problems`.
    """
    settings = options or VideoOptions()
    stop = stop or threading.Event()
    targets = [str(target) for target in ([output] if isinstance(output, str | Path) else output)]
    own = None
    if client is None and fuser is None:
        own = fuser = load(model or DEFAULT_MODEL)

    def backend(live: bool) -> Backend:
        if client is not None:
            return RemoteBackend(client, model=model, live=live, patience=settings.reconnect)
        assert fuser is not None
        return LocalBackend(fuser)

    def outputs(fps: float, sound_of: str | None) -> Outputs:
        sink_options = SinkOptions(
            encoder=settings.encoder,
            overwrite=settings.overwrite,
            sound_of=sound_of if settings.sound else None,
        )
        preview = stop.set if settings.preview else None
        return Outputs(targets, (str(ir), str(vis)), sink_options, fps=fps, preview=preview)

    try:
        session = Session(
            str(ir),
            str(vis),
            backend=backend,
            model=_model_name(fuser, client, model),
            outputs=outputs,
            rig=read_rig(Path(rig)) if isinstance(rig, str | Path) else rig,
            options=settings,
            stop=stop,
        )
        if on_start is not None:
            on_start(session.expected)
        return session.run(on_frame or (lambda pair: None))
    finally:
        if own is not None:
            own.close()


def _model_name(fuser: Fuser | None, client: FusionClient | None, model: str | None) -> str:
    if client is not None or fuser is None:
        return model or "the server's default model"
    description = fuser.engine.describe()
    return f"{description.name}:{description.version}"

"""Hardware decoders: what PyAV's FFmpeg knows of, this machine has, and a stream really uses."""

from __future__ import annotations

import logging

import cv2

_log = logging.getLogger(__name__)

# By the number OpenCV gives the one in use.
OPENCV_KINDS = {
    cv2.VIDEO_ACCELERATION_D3D11: "d3d11",
    cv2.VIDEO_ACCELERATION_VAAPI: "vaapi",
    cv2.VIDEO_ACCELERATION_MFX: "mfx",
}


def first_device() -> str | None:
    """The first kind of device that H.264 can be decoded on here, such as cuda; None: none."""
    from av import FFmpegError
    from av.codec import Codec
    from av.codec.hwaccel import HWAccel, hwdevices_available

    for kind in hwdevices_available():
        try:
            HWAccel(device_type=kind).create(Codec("h264", "r"))
        except (FFmpegError, NotImplementedError):  # FFmpeg knows it, the machine has none
            continue
        return kind
    return None


def decoder_name(library: str, kind: str | None, *, asked: bool, source: str) -> str:
    """For the summary; warns where hardware was asked for and there is none for this stream."""
    if kind is not None:
        return f"{library}, {kind}"
    if asked:
        _log.warning("%s: no hardware decoder takes it; decoding in software", source)
    return library

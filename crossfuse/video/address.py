"""Addresses of cameras and servers as they may be shown: their passwords are nobody's business."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)[^/?#]*@")


def shown(address: str) -> str:
    """An address for messages, logs and summaries, without name and password."""
    return _LOGIN.sub("***@", address)

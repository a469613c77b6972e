"""Fuse infrared and visible pictures with learned models.

    import crossfuse

    fuser = crossfuse.load("crossfuse-rt")
    fused = fuser.fuse(ir, vis)

Names are imported when they are first used, so that `import crossfuse` costs next to nothing and
a program that only talks to a server never loads a runtime.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from crossfuse import errors
from crossfuse._version import __version__

if TYPE_CHECKING:
    from crossfuse import aio, client, synthetic
    from crossfuse.client import FusionClient
    from crossfuse.fuser import Fuser, load

_HOME = {
    "Fuser": "crossfuse.fuser",
    "FusionClient": "crossfuse.client",
    "aio": "crossfuse.aio",
    "client": "crossfuse.client",
    "load": "crossfuse.fuser",
    "synthetic": "crossfuse.synthetic",
}

# onnxruntime has telemetry since 1.31, and reads this when it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["Fuser", "FusionClient", "__version__", "aio", "client", "errors", "load", "synthetic"]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'crossfuse' has no attribute {name!r}")
    module = importlib.import_module(home)
    return module if home == f"crossfuse.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__

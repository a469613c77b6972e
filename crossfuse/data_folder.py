"""Where real pairs lie: they are no part of this project."""

from __future__ import annotations

import os
from pathlib import Path

from crossfuse.errors import InvalidInput

BESIDE_THE_CHECKOUT = Path("../shared/data")


def data_folder() -> Path | None:
    """What CROSSFUSE_DATA names, or else what lies beside the checkout; None where nothing does."""
    named = os.environ.get("CROSSFUSE_DATA")
    if named and not Path(named).is_dir():
        raise InvalidInput("CROSSFUSE_DATA", named, "a folder of data sets, each with ir and vis")
    if named:
        return Path(named)
    return BESIDE_THE_CHECKOUT if BESIDE_THE_CHECKOUT.is_dir() else None

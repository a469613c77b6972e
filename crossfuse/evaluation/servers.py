"""One model of a running server, as something that fuses pairs."""

from __future__ import annotations

from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from crossfuse.client import FusionClient
from crossfuse.errors import UnknownName
from crossfuse.images import IrMapping, Pixels

# A large picture on a slow server, behind the pictures of other users.
TIMEOUT_SECONDS = 120.0


class ServedModel:
    """The model a server is asked for, or the one it has as default.

    Pictures travel uncompressed, so that what is scored is what the model made.
    """

    def __init__(self, target: str, model: str, *, max_pixels: int) -> None:
        self._client = FusionClient(target, timeout=TIMEOUT_SECONDS, max_pixels=max_pixels)
        try:
            offered = self._client.models()
            known = {name for each in offered for name in (each.name, each.reference)}
            if model and model not in known:
                raise UnknownName(f"model of {target}", model, known)
        except BaseException:
            self._client.close()
            raise
        self.reference = model or offered[0].reference
        """The model as the server is asked for it."""

    def fuse(
        self,
        ir: Pixels,
        vis: NDArray[np.uint8],
        *,
        ir_mapping: str | IrMapping,
        ir_polarity: str,
    ) -> NDArray[np.uint8]:
        """As `FusionClient.fuse`."""
        return self._client.fuse(
            ir, vis, model=self.reference, ir_mapping=ir_mapping, ir_polarity=ir_polarity
        )

    def __enter__(self) -> ServedModel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()

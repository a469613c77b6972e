"""A training checkpoint as a method of `crossfuse evaluate`: PyTorch, before anything is exported.

Networks fuse luma, and the metrics look at grey levels alone: the colour of the visible picture is
not put back. An exported model puts it back and rounds in RGB, so its grey levels may differ from
these by one.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from crossfuse.errors import EngineError, InvalidInput
from crossfuse.evaluation import Method, Scene
from crossfuse_training.checkpoint import load
from crossfuse_training.tensors import as_tensor, grey_levels


def checkpoint_method(name: str, folder: Path, *, threads: int | None) -> Method:
    """The network of a checkpoint folder."""
    network = load(folder)
    if "vis" not in inspect.signature(network.forward).parameters:
        kind = type(network).__name__
        raise InvalidInput("--checkpoint", f"{folder}, a {kind}", "a network that fuses ir and vis")
    if threads is not None:
        torch.set_num_threads(threads)

    def fuse(scene: Scene) -> NDArray[np.uint8]:
        luma = scene.vis.astype(np.float32)
        if luma.ndim == 3:
            luma = np.asarray(cv2.cvtColor(luma, cv2.COLOR_RGB2GRAY), np.float32)
        try:
            with torch.inference_mode():
                return grey_levels(network(as_tensor([scene.ir]), as_tensor([luma])))
        except RuntimeError as error:
            raise EngineError(f"{folder}: {error}") from error

    return Method(name, "checkpoint", f"{folder} (luma only)", fuse)

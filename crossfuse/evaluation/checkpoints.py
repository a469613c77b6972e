"""Scores a training checkpoint: the PyTorch network itself, before anything is exported."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import EngineError, InvalidInput, MissingDependency
from crossfuse.evaluation.methods import Method
from crossfuse.evaluation.scenes import Scene


def checkpoint_method(name: str, folder: Path, *, threads: int | None) -> Method:
    """The network of a checkpoint folder.

    Networks fuse luma, and the metrics look at grey levels alone: the colour of the visible
    picture is not put back. An exported model puts it back and rounds in RGB, so its grey levels
    may differ from these by one.
    """
    try:
        torch = importlib.import_module("torch")
        checkpoint = importlib.import_module("crossfuse_training.checkpoint")
    except ImportError as error:
        raise MissingDependency(error.name or "torch", "--checkpoint", "train") from None
    network = checkpoint.load(folder)
    if "vis" not in inspect.signature(network.forward).parameters:
        kind = type(network).__name__
        raise InvalidInput("--checkpoint", f"{folder}, a {kind}", "a network that fuses ir and vis")
    if threads is not None:
        torch.set_num_threads(threads)

    def fuse(scene: Scene) -> NDArray[np.uint8]:
        luma = scene.vis.astype(np.float32)
        if luma.ndim == 3:
            luma = np.asarray(cv2.cvtColor(luma, cv2.COLOR_RGB2GRAY), np.float32)
        ir = torch.from_numpy(scene.ir.astype(np.float32))[None, None]
        vis = torch.from_numpy(luma)[None, None]
        try:
            with torch.inference_mode():
                fused = network(ir, vis)[0, 0].numpy()
        except RuntimeError as error:
            raise EngineError(f"{folder}: {error}") from error
        return np.asarray(np.rint(np.clip(fused, 0, 255)), np.uint8)

    return Method(name, "checkpoint", f"{folder} (luma only)", fuse)

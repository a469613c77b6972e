"""Synthetic pairs: a street that an infrared and a visible camera see from the same point.

The visible picture has the texture, the colours and the lamps; the infrared picture has the warm
bodies, through darkness and smoke. Made from a seed, for demos, tests and smoke runs of training;
not a model of any real camera.
"""

from __future__ import annotations

from crossfuse.synthetic.scene import Bytes, Scene

__all__ = ["Scene", "pair"]


def pair(seed: int = 0, height: int = 480, width: int = 640) -> tuple[Bytes, Bytes]:
    """One night pair: infrared uint8 HxW and visible uint8 HxWx3 RGB."""
    return Scene(seed, height, width).frame(0.0)

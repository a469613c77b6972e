"""What every network takes: float pictures [B,1,H,W] in 0..255, at least 32 pixels a side."""

from __future__ import annotations

import torch
from torch import Tensor

from crossfuse.errors import InvalidInput

SMALLEST_SIDE = 32
_SLACK = 1e-3
_CONTRACT = f"a float tensor [batch,1,height,width] in 0..255, sides {SMALLEST_SIDE} or more"


def check_image(field: str, image: Tensor) -> None:
    """Refuse a picture that breaks the contract.

    Exporters and compilers trace with made-up sizes and values, so nothing is checked there. Nor
    are values where a CUDA graph is captured: nobody can read them then.
    """
    if torch.compiler.is_compiling():
        return
    shape = tuple(image.shape)
    if image.ndim != 4 or shape[0] == 0 or shape[1] != 1 or min(shape[2:]) < SMALLEST_SIDE:
        raise InvalidInput(field, f"a tensor of shape {shape}", _CONTRACT)
    if not image.is_floating_point():
        raise InvalidInput(field, f"a tensor of {image.dtype}", _CONTRACT)
    if image.is_meta or (image.is_cuda and torch.cuda.is_current_stream_capturing()):
        return
    low, high = (float(value) for value in torch.stack(torch.aminmax(image.detach())))
    if not (low >= -_SLACK and high <= 255 + _SLACK):
        raise InvalidInput(field, f"values from {low:g} to {high:g}", _CONTRACT)


def check_pair(ir: Tensor, vis: Tensor) -> None:
    """Refuse two pictures that break the contract or differ in shape."""
    check_image("ir", ir)
    check_image("vis", vis)
    if not torch.compiler.is_compiling() and ir.shape != vis.shape:
        raise InvalidInput(
            "vis", f"a tensor of shape {tuple(vis.shape)}", f"the shape of ir, {tuple(ir.shape)}"
        )

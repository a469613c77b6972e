"""Frozen networks whose features the perceptual term compares.

An extractor takes float pictures [B,1,H,W] in 0..255 and gives a tuple of features [B,C,h,w].
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.checkpoint import load
from crossfuse_training.losses.terms import PerceptualTerm
from crossfuse_training.losses.vgg16 import USUAL_LAYERS, load_vgg16
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.encoder import Encoder
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder

_SCALES = ("shallow", "half", "quarter", "deep")
_USUAL_SCALES = ("shallow", "deep")


class EncoderExtractor(nn.Module):
    """The named features of one or more encoders, encoder by encoder."""

    def __init__(self, encoders: tuple[Encoder, ...], layers: tuple[str, ...]) -> None:
        super().__init__()
        for name in layers:
            if name not in _SCALES:
                raise UnknownName(f"{PerceptualTerm.key}.layers", name, _SCALES)
        self.encoders = nn.ModuleList(encoders)
        self.layers = layers

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        encoded = [encoder(picture) for encoder in self.encoders]
        return tuple(getattr(features, name) for features in encoded for name in self.layers)


def open_extractor(term: PerceptualTerm | None) -> nn.Module | None:
    """The term's network, frozen and in evaluation mode; nothing where there is no such term."""
    if term is None:
        return None
    path = Path(term.weights)
    if term.extractor == "vgg16":
        return frozen(load_vgg16(path, term.layers or USUAL_LAYERS))
    return frozen(EncoderExtractor(_encoders(path), term.layers or _USUAL_SCALES))


def frozen(network: nn.Module) -> nn.Module:
    """The network itself, in evaluation mode and without gradients for its weights."""
    return network.eval().requires_grad_(False)


def _encoders(folder: Path) -> tuple[Encoder, ...]:
    network = load(folder)
    if isinstance(network, AutoEncoder):
        return (network.encoder,)
    if isinstance(network, CrossFuse):
        return (network.ir_encoder, network.vis_encoder)
    raise InvalidInput(
        f"{PerceptualTerm.key}.weights",
        f"a checkpoint of {type(network).__name__}",
        "a checkpoint of an autoencoder or of the crossfuse family",
    )

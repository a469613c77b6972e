"""The reconstruction term beside fusion: each encoder is asked to keep what its picture shows."""

from __future__ import annotations

from torch import Tensor, nn

from crossfuse_training.data import Batch
from crossfuse_training.losses import LossValue, ReconstructionLosses, ReconstructionTerm
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.encoder import EncoderFeatures
from crossfuse_training.networks.reconstruction_decoder import ReconstructionDecoder

ENCODERS = ("ir_encoder", "vis_encoder")


class Rebuilding:
    """A decoder for each encoder, which learns with the network and is thrown away."""

    def __init__(self, term: ReconstructionTerm, network: CrossFuse) -> None:
        config = network.config.autoencoder()
        self.decoders = nn.ModuleDict({name: ReconstructionDecoder(config) for name in ENCODERS})
        self._scale = config.output_scale
        self._losses = ReconstructionLosses(term)
        self._term = term

    def added_to(
        self,
        value: LossValue,
        features: dict[str, EncoderFeatures],
        batch: Batch,
        progress: float,
    ) -> LossValue:
        """The loss with the mean of both reconstructions as one more part."""
        weight = self._term.weight_at(progress)
        pictures = {"ir_encoder": batch.ir, "vis_encoder": batch.vis}
        totals = [
            self._losses(self._rebuilt(name, features[name], picture), picture, progress).total
            for name, picture in pictures.items()
        ]
        total = (totals[0] + totals[1]) / 2
        parts = dict(value.parts)
        if weight > 0:
            parts["reconstruction"] = total / weight
        weights = {**value.weights, "reconstruction": weight}
        return LossValue(value.total + total, parts, weights)

    def _rebuilt(self, name: str, features: EncoderFeatures, picture: Tensor) -> Tensor:
        height, width = picture.shape[2:]
        decoded: Tensor = self._scale * self.decoders[name](features)
        return decoded[:, :, :height, :width]

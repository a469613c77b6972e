"""The blocks of MobileNetV3: a convolution with its norm, and the inverted residual.

Batch norms are affine once trained, so exporters and runtimes fold them into the convolutions.
"""

from __future__ import annotations

from torch import Tensor, nn

from crossfuse_training.networks.convolution import activation
from crossfuse_training.networks.gaff import SqueezeExcite


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, activation; keeps the size at stride 1."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        act: str = "none",
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            activation(act),
        )


class InvertedResidual(nn.Module):
    """Widen, filter each channel for itself, weigh the channels, narrow without an activation.

    The input is added where the shape stays. `excite_reduction` 0 leaves out squeeze-excite.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        expansion: int,
        kernel: int,
        act: str,
        stride: int = 1,
        excite_reduction: int = 0,
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        self.adds_input = stride == 1 and inputs == outputs
        self.widen = ConvNorm(inputs, wide, 1, act=act) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride=stride, groups=wide, act=act)
        self.excite = SqueezeExcite(wide, excite_reduction) if excite_reduction else nn.Identity()
        self.narrow = ConvNorm(wide, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.narrow(self.excite(self.depthwise(self.widen(features))))
        return features + result if self.adds_input else result

"""Numbers and switches of what joins the two modalities, and where."""

from __future__ import annotations

from dataclasses import dataclass

from crossfuse_training.networks.config import EncoderConfig
from crossfuse_training.rules import require, require_name

FUSION_BLOCKS = ("cam", "cnn", "gaff", "cssa")


@dataclass(frozen=True)
class FusionBlockConfig(EncoderConfig):
    """Two encoders, and the blocks between them; the published network has the cam alone."""

    fusion_block: str = "cam"
    """What joins the two modalities: cam (cross-attention), cnn, gaff or cssa."""
    fusion_stages: str = "4"
    """Where it does: 1 shallow, 2 at 1/2, 3 at 1/4, 4 deep. Without 4 the deep block is the cam."""
    gaff_reduction: int = 4
    """Squeeze-excite reduction of gaff."""
    gaff_shared: bool = False
    """One inter-modality convolution in place of one for each modality; the same function."""
    gaff_bottleneck: bool = False
    """Merge by two convolutions with a ReLU between in place of one."""
    cssa_kernel: int = 3
    """Neighbouring channels that the channel attention of cssa sees; odd."""
    cssa_threshold: float = 0.5
    """A channel whose attention is below this is taken from the other modality."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name("fusion_block", self.fusion_block, FUSION_BLOCKS)
        stages = self.fusion_stages
        require(
            stages != "" and stages == "".join(sorted(set(stages))) and set(stages) <= set("1234"),
            "fusion_stages",
            stages,
            "some of the digits 1234 in rising order, such as 4, 14 or 1234",
        )
        require(
            self.fusion_block in ("gaff", "cssa") or stages == "4",
            "fusion_stages",
            stages,
            f"4 with fusion_block={self.fusion_block}; gaff and cssa go to any stage",
        )
        require(self.gaff_reduction >= 1, "gaff_reduction", self.gaff_reduction, "1 or more")
        require(
            self.cssa_kernel >= 1 and self.cssa_kernel % 2 == 1,
            "cssa_kernel",
            self.cssa_kernel,
            "an odd number, such as 3",
        )
        require(
            0 < self.cssa_threshold < 1, "cssa_threshold", self.cssa_threshold, "above 0, below 1"
        )

    @property
    def has_deep_cam(self) -> bool:
        """Whether the cross-attention module joins the deep features."""
        return self.fusion_block == "cam" or "4" not in self.fusion_stages

    @property
    def has_shallow_skip(self) -> bool:
        """Whether the computed shallow weights are used (no block takes their place)."""
        return "1" not in self.fusion_stages

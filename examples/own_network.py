"""A network of your own through the whole chain: train, export to ONNX, fuse.

python examples/own_network.py FOLDER

It is registered under a name, like those that ship; from there on the trainer, the parity check and
the exporter treat it like one of them. Here it learns from made-up scenes for half a minute.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import crossfuse
from crossfuse import synthetic
from crossfuse_export.onnx_export import export_onnx
from crossfuse_training.networks.contract import check_pair
from crossfuse_training.networks.registry import ARCHITECTURES, VARIANTS, Architecture, Variant
from crossfuse_training.recipe import read_recipe
from crossfuse_training.stages import train


@dataclass(frozen=True)
class ShareConfig:
    """Every number of the network."""

    channels: int
    head: str = "bounded"


class ShareNetwork(nn.Module):
    """Decides at every pixel how much of each picture to take; float [B,1,H,W] in 0..255."""

    def __init__(self, config: ShareConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.Sequential(
            nn.Conv2d(2, config.channels, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(config.channels, 1, 5, padding=2),
        )

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        check_pair(ir, vis)
        share = torch.sigmoid(self.layers(torch.cat([ir, vis], dim=1) / 255))
        return share * ir + (1 - share) * vis


ARCHITECTURES["share"] = Architecture(ShareConfig, ShareNetwork)
VARIANTS["share"] = Variant("share", ShareConfig(channels=8))

folder = Path(sys.argv[1])

recipe = read_recipe(Path(__file__).with_name("own-network.toml"))
result = train(recipe, folder / "run", data_root=None)
print(f"held-out loss {result.held_out_before:.1f} -> {result.held_out_after:.1f}")

bundle = folder / "share" / "1"
exported = export_onnx(result.folder / "checkpoints" / "best", bundle, precisions=["fp32"])
print(f"{bundle}: {', '.join(exported.manifest.files)}")

ir, vis = synthetic.pair(height=240, width=320)
print("fused:", crossfuse.load(bundle).fuse(ir, vis).shape)

"""The cross-attention module (CAM): deep features of both modalities to fused deep features."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from crossfuse_training.networks.attention import NORM_EPSILON, CrossBlock, SelfBlock
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.tiling import Tiling


class TokenPair(NamedTuple):
    """Tokens of the infrared and of the visible picture, each [N,T,D]."""

    ir: Tensor
    vis: Tensor


class SelfLayer(nn.Module):
    """One self-attention block for each modality."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.ir = SelfBlock(width, heads, hidden)
        self.vis = SelfBlock(width, heads, hidden)

    def forward(self, pair: TokenPair) -> TokenPair:
        return TokenPair(self.ir(pair.ir), self.vis(pair.vis))


class CrossStack(nn.Module):
    """Cross-attention of one direction, and the norm of its result."""

    def __init__(self, config: CrossFuseConfig, hidden: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            CrossBlock(
                config.token_width,
                config.heads,
                hidden,
                normaliser=config.attention,
                temperature=config.temperature,
            )
            for _ in range(config.cross_layers)
        )
        self.norm = nn.LayerNorm(config.token_width, NORM_EPSILON)

    def forward(self, other: Tensor, own: Tensor) -> Tensor:
        for block in self.blocks:
            own = block(other, own)
        result: Tensor = self.norm(own)
        return result


class CrossLayer(nn.Module):
    """Cross-attention of both directions; the results are added."""

    def __init__(self, config: CrossFuseConfig, hidden: int) -> None:
        super().__init__()
        self.ir_to_vis = CrossStack(config, hidden)
        self.vis_to_ir = CrossStack(config, hidden)

    def forward(self, pair: TokenPair) -> Tensor:
        fused: Tensor = self.ir_to_vis(pair.ir, pair.vis) + self.vis_to_ir(pair.vis, pair.ir)
        return fused


class SumLayer(nn.Module):
    """What stands for cross-attention when it is left out: the modalities are added."""

    def forward(self, pair: TokenPair) -> Tensor:
        return pair.ir + pair.vis


class CrossAttentionModule(nn.Module):
    """Self-attention within each modality, then cross-attention, tile by tile in one batch.

    The half-tile shift of the published network is left out: it moves by whole tokens, and
    attention over all tokens of a tile does not know their order, so it changes nothing.
    """

    def __init__(self, config: CrossFuseConfig) -> None:
        super().__init__()
        self.tiling = Tiling(config.tile, config.tile_overlap)
        self.patch = config.patch
        hidden = round(config.token_width * config.mlp_ratio)
        self.self_layers = nn.ModuleList(
            SelfLayer(config.token_width, config.heads, hidden) for _ in range(config.self_layers)
        )
        self.cross = CrossLayer(config, hidden) if config.cross_layers else SumLayer()

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse deep features, each [B,C,h,w], to one map of the same shape."""
        grid = self.tiling.grid(ir.shape[2], ir.shape[3])
        pair = TokenPair(
            self._tokens(self.tiling.split(ir, grid)), self._tokens(self.tiling.split(vis, grid))
        )
        for layer in self.self_layers:
            pair = layer(pair)
        return self.tiling.merge(self._tiles(self.cross(pair)), grid)

    def _tokens(self, tiles: Tensor) -> Tensor:
        """Tiles [N,C,t,t] to tokens [N,T,C*p*p], row-major; channels vary slowest in a token."""
        side, patch = self.tiling.tile // self.patch, self.patch
        cells = tiles.reshape(-1, tiles.shape[1], side, patch, side, patch)
        return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def _tiles(self, tokens: Tensor) -> Tensor:
        side, patch = self.tiling.tile // self.patch, self.patch
        channels = tokens.shape[2] // (patch * patch)
        cells = tokens.reshape(-1, side, side, channels, patch, patch)
        return cells.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, side * patch, side * patch)

    def fold_temperatures(self) -> None:
        """Move the learned temperatures into the query weights, for export."""
        for block in self.modules():
            if isinstance(block, CrossBlock):
                block.attention.fold_temperature()

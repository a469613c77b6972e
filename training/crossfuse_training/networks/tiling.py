"""Cutting feature maps into tiles that fold into the batch, and putting them together again.

Sizes may be symbolic (an export with dynamic height and width), so everything is index
arithmetic, gathers and reshapes: no branch and no loop depends on a size.

Maps that the tiles do not fit are extended to the right and below by reflection. Where a map is
too small for one reflection (pictures below 136 pixels with tiles of 32), the reflection goes
back and forth: rows 0 1 2 3 continue as 2 1 0 1 2 3 2 ... Where one reflection is enough this is
the ordinary one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def reflected(positions: Tensor, size: int) -> Tensor:
    """Where positions before, in or after a row of `size` elements lie when it is reflected."""
    last = size - 1
    # A tensor, because the exporter takes no symbolic number as the divisor.
    period = torch.full((), 2 * last, dtype=positions.dtype, device=positions.device)
    return (torch.remainder(positions + last, period) - last).abs()


def centre_in(features: Tensor, height: int, width: int) -> Tensor:
    """Extend maps of [B,C,h,w] to height x width by reflection, the smaller half left and above."""
    above = (height - features.shape[2]) // 2
    left = (width - features.shape[3]) // 2
    rows = torch.arange(height, device=features.device) - above
    columns = torch.arange(width, device=features.device) - left
    return _take(features, rows, columns)


def extend_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Extend [B,C,H,W] below and to the right by reflection until both sides are multiples."""
    height, width = image.shape[2:]
    rows = torch.arange((height + multiple - 1) // multiple * multiple, device=image.device)
    columns = torch.arange((width + multiple - 1) // multiple * multiple, device=image.device)
    return _take(image, rows, columns)


class Grid(NamedTuple):
    """How a map was cut: rows and columns of tiles, and the size to crop to."""

    rows: int
    columns: int
    height: int
    width: int


class Tiling:
    """Square tiles of side `tile` that share `overlap` positions with each neighbour."""

    def __init__(self, tile: int, overlap: int) -> None:
        self.tile = tile
        self.overlap = overlap
        self.stride = tile - overlap

    def grid(self, height: int, width: int) -> Grid:
        """The tiles that cover a map of this size."""
        return Grid(self._count(height), self._count(width), height, width)

    def split(self, features: Tensor, grid: Grid) -> Tensor:
        """Maps [B,C,h,w] to tiles [B*rows*columns,C,tile,tile], row-major within each picture."""
        channels, tile = features.shape[1], self.tile
        gathered = _take(
            features,
            self._positions(grid.rows, features.device),
            self._positions(grid.columns, features.device),
        )
        blocks = gathered.reshape(-1, channels, grid.rows, tile, grid.columns, tile)
        return blocks.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, tile, tile)

    def merge(self, tiles: Tensor, grid: Grid) -> Tensor:
        """Tiles back to maps; what overlaps is blended linearly, what was added is cropped."""
        channels, tile = tiles.shape[1], self.tile
        blocks = tiles.reshape(-1, grid.rows, grid.columns, channels, tile, tile)
        maps = blocks.permute(0, 3, 1, 4, 2, 5).reshape(
            -1, channels, grid.rows * tile, grid.columns * tile
        )
        if self.overlap:
            maps = self._blend(maps, 2, grid.rows, grid.height)
            return self._blend(maps, 3, grid.columns, grid.width)
        return maps[:, :, : grid.height, : grid.width]

    def _count(self, size: int) -> int:
        if not self.overlap:
            return (size + self.tile - 1) // self.tile
        beyond_first: int = torch.sym_max(size - self.tile, 0)  # type: ignore[no-untyped-call]
        return (beyond_first + self.stride - 1) // self.stride + 1

    def _positions(self, count: int, device: torch.device) -> Tensor:
        """Positions along one side that `count` tiles take, tile after tile."""
        if not self.overlap:
            return torch.arange(count * self.tile, device=device)
        starts = torch.arange(count, device=device) * self.stride
        return (starts[:, None] + torch.arange(self.tile, device=device)).flatten()

    def _blend(self, maps: Tensor, dim: int, count: int, size: int) -> Tensor:
        """One direction of the blending: each position is in at most two neighbouring tiles."""
        positions = torch.arange(size, device=maps.device)
        later = torch.clamp(positions // self.stride, max=count - 1)
        offset = positions - later * self.stride
        earlier = torch.clamp(later - 1, min=0)
        shared = (offset < self.overlap) & (later > 0)
        ramp = (offset.to(maps.dtype) + 0.5) / self.overlap
        share = torch.where(shared, ramp, torch.ones_like(ramp))
        share = share[:, None] if dim == 2 else share
        # Outside the overlap the earlier tile has no such position; its share there is 0.
        reach = torch.clamp(offset + (later - earlier) * self.stride, max=self.tile - 1)
        from_later = maps.index_select(dim, later * self.tile + offset)
        from_earlier = maps.index_select(dim, earlier * self.tile + reach)
        return share * from_later + (1 - share) * from_earlier


def _take(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    height, width = features.shape[2:]
    rows, columns = reflected(rows, height), reflected(columns, width)
    return features.index_select(2, rows).index_select(3, columns)

"""Reflection, cutting into tiles and blending them back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfuse_training.networks.tiling import Tiling, centre_in, reflected


def test_reflection_is_the_ordinary_one_where_that_exists() -> None:
    row = torch.arange(7.0)[None, None, None]
    expected = F.pad(row, (6, 6, 0, 0), mode="reflect")[0, 0, 0]
    assert torch.equal(reflected(torch.arange(-6, 13), 7).float(), expected)


def test_reflection_goes_back_and_forth_on_short_rows() -> None:
    assert reflected(torch.arange(-4, 10), 4).tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3]


def test_centre_in_puts_the_smaller_half_first() -> None:
    maps = torch.randn(1, 2, 8, 8)
    assert torch.equal(centre_in(maps, 11, 8), F.pad(maps, (0, 0, 1, 2), mode="reflect"))
    assert torch.equal(centre_in(maps, 8, 14), F.pad(maps, (3, 3, 0, 0), mode="reflect"))
    assert torch.equal(centre_in(maps, 8, 8), maps)


@given(
    height=st.integers(4, 40),
    width=st.integers(4, 40),
    tile=st.sampled_from([4, 8, 12]),
    quarter_overlaps=st.integers(0, 2),
)
@settings(max_examples=60)
def test_cutting_and_joining_gives_back_the_map(
    height: int, width: int, tile: int, quarter_overlaps: int
) -> None:
    tiling = Tiling(tile, quarter_overlaps * tile // 4)
    maps = torch.randn(2, 3, height, width, dtype=torch.float64)
    grid = tiling.grid(height, width)
    tiles = tiling.split(maps, grid)
    assert tiles.shape == (2 * grid.rows * grid.columns, 3, tile, tile)
    assert torch.allclose(tiling.merge(tiles, grid), maps)


def test_tiles_are_row_major_within_each_picture() -> None:
    tiling = Tiling(4, 0)
    maps = torch.arange(2 * 8 * 12.0).reshape(2, 1, 8, 12)
    tiles = tiling.split(maps, tiling.grid(8, 12))
    assert torch.equal(tiles[4, 0], maps[0, 0, 4:, 4:8])
    assert torch.equal(tiles[6, 0], maps[1, 0, :4, :4])


def test_overlap_weighs_neighbours_linearly() -> None:
    tiling = Tiling(8, 4)
    grid = tiling.grid(8, 12)
    tiles = torch.cat([torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)])
    row = tiling.merge(tiles, grid)[0, 0, 0]
    assert row.tolist() == pytest.approx([0, 0, 0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1, 1, 1])


def test_overlap_lowers_the_seam_of_tiles_that_disagree() -> None:
    """Each tile adds its own mean, as attention does; on a ramp that makes steps at borders."""
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 16, 64)

    def largest_step(overlap: int) -> float:
        tiling = Tiling(16, overlap)
        grid = tiling.grid(16, 64)
        tiles = tiling.split(ramp, grid)
        joined = tiling.merge(tiles + tiles.mean(dim=(2, 3), keepdim=True), grid)
        return float(joined.diff(dim=3).max())

    assert largest_step(8) < largest_step(0) / 3

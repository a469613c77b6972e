"""The raise of local contrast, against what it must mean."""

from __future__ import annotations

import pytest
import torch

from crossfuse_training.networks.local_contrast import LocalContrast, local_contrast

SHARE = 0.5
RAISE = LocalContrast(SHARE).eval()
COLUMNS = torch.sign(torch.sin(torch.arange(192.0) * 0.8)).expand(1, 1, 192, 192)
MIDDLE = (slice(None), slice(None), slice(80, 112), slice(80, 112))


def test_weak_texture_in_light_is_raised_by_the_share() -> None:
    raised = RAISE(130 + 4 * COLUMNS)
    assert (raised - 130)[MIDDLE].abs().mean() == pytest.approx(4 * (1 + SHARE), abs=0.1)


def test_the_dark_keeps_its_noise() -> None:
    assert torch.allclose(RAISE(20 + 4 * COLUMNS), 20 + 4 * COLUMNS, atol=1e-3)


def test_strong_contrast_is_not_raised_much_further() -> None:
    half = torch.full((1, 1, 192, 192), 60.0)
    half[..., 96:] = 200
    assert (RAISE(half) - half).abs().mean() < 0.06 * 70


def test_a_hot_spot_changes_nothing_far_away() -> None:
    picture = 120 + 10 * torch.sin(torch.arange(320.0) / 9).expand(1, 1, 160, 320)
    spot = picture.clone()
    spot[..., 70:90, :20] = 255
    far = (slice(None), slice(None), slice(None), slice(200, None))
    assert torch.allclose(RAISE(picture)[far], RAISE(spot)[far], atol=0.05)


def test_training_asks_of_the_picture_before_the_raise() -> None:
    picture = 130 + 4 * COLUMNS
    assert LocalContrast(SHARE).train()(picture) is picture
    assert not list(LocalContrast(SHARE).state_dict())


def test_no_share_is_no_work() -> None:
    picture = 130 + 4 * COLUMNS
    assert local_contrast(0.0)(picture) is picture


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (95, 40)])
def test_any_size_stays_in_range(height: int, width: int) -> None:
    picture = torch.rand(2, 1, height, width) * 255
    raised = RAISE(picture)
    assert raised.shape == picture.shape
    assert raised.amin() >= 0
    assert raised.amax() <= 255

"""Where another library has the same definition, the numbers are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_msssim import ms_ssim, ssim
from scipy.fft import dctn
from sklearn.metrics import mutual_info_score
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
    visual_information_fidelity,
)

from crossfuse.metrics import Picture, evaluate_pair
from crossfuse.metrics.transforms import dct, meyer_low_pass, meyer_matrices, wavelet

Triple = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@pytest.fixture
def tensors(scene: Triple) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ir, vis, fused = (torch.from_numpy(x.astype(np.float64))[None, None] for x in scene)
    return ir, vis, fused


Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def test_mutual_information_is_that_of_scikit_learn(scene: Triple) -> None:
    ir, vis, fused = (picture.ravel() for picture in scene)
    nats = mutual_info_score(ir, fused) + mutual_info_score(vis, fused)
    assert evaluate_pair(*scene, names=["MI"])["MI"] == pytest.approx(nats, abs=1e-9)
    bits = evaluate_pair(*scene, profile="corrected", names=["MI"])["MI"]
    assert bits == pytest.approx(nats / np.log(2), abs=1e-9)


def test_vif_is_that_of_torchmetrics(scene: Triple, tensors: Tensors) -> None:
    ir, vis, fused = tensors
    both = [float(visual_information_fidelity(fused, s, sigma_n_sq=2.0)) for s in (ir, vis)]
    assert evaluate_pair(*scene, names=["VIF"])["VIF"] == pytest.approx(sum(both), abs=1e-4)
    mean = evaluate_pair(*scene, profile="corrected", names=["VIF"])["VIF"]
    assert mean == pytest.approx(sum(both) / 2, abs=1e-4)


def test_ssim_is_that_of_torchmetrics_inside_the_picture(scene: Triple, tensors: Tensors) -> None:
    ir, vis, fused = tensors
    both = []
    for source in (ir, vis):
        _, everywhere = structural_similarity_index_measure(
            fused, source, sigma=1.5, data_range=255.0, return_full_image=True
        )
        # It mirrors the picture at its borders; Wang's SSIM is where the window lies inside.
        both.append(float(everywhere[..., 5:-5, 5:-5].mean()))
    score = evaluate_pair(*scene, profile="corrected", names=["SSIM"])["SSIM"]
    assert score == pytest.approx(sum(both) / 2, abs=1e-6)


def test_ssim_and_ms_ssim_are_those_of_pytorch_msssim(scene: Triple, tensors: Tensors) -> None:
    ir, vis, fused = tensors
    scores = evaluate_pair(*scene, profile="corrected", names=["SSIM", "MS_SSIM"])
    for name, function in (("SSIM", ssim), ("MS_SSIM", ms_ssim)):
        both = [float(function(fused, s, data_range=255)) for s in (ir, vis)]
        assert scores[name] == pytest.approx(sum(both) / 2, abs=1e-6)


def test_psnr_is_that_of_torchmetrics_over_both_sources(scene: Triple, tensors: Tensors) -> None:
    ir, vis, fused = tensors
    both = torch.cat([fused, fused]), torch.cat([ir, vis])
    expected = float(peak_signal_noise_ratio(*both, data_range=255.0))
    score = evaluate_pair(*scene, profile="corrected", names=["PSNR"])["PSNR"]
    assert score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", [(48, 64), (47, 31)])
def test_dct_is_that_of_scipy(shape: tuple[int, int], scene: Triple) -> None:
    picture = Picture(scene[1][: shape[0], : shape[1]])
    np.testing.assert_allclose(dct(picture), dctn(picture.values, norm="ortho"), atol=1e-9)


@pytest.mark.parametrize("size", [50, 51, 7])
def test_wavelet_rows_filter_a_mirrored_signal_and_keep_every_second(size: int) -> None:
    signal = np.random.default_rng(size).normal(size=size)
    low = meyer_low_pass()
    high = low[::-1] * np.where(np.arange(62) % 2, 1, -1)
    extended = np.pad(signal, 61, mode="symmetric")
    for matrix, taps in zip(meyer_matrices(size), (low, high), strict=True):
        expected = np.convolve(extended, taps, mode="valid")[1::2]
        np.testing.assert_allclose(matrix @ signal, expected, atol=1e-12)


def test_wavelet_bands_lie_in_one_plane(scene: Triple) -> None:
    equal_columns = np.tile(scene[1][:60, :1], (1, 50))
    plane = wavelet(Picture(equal_columns))
    approximation, detail_along_columns = plane[:60, :55], plane[:60, 55:]
    assert plane.shape == (120, 110)
    assert np.abs(plane[60:]).max() < 1e-4 * np.abs(approximation).max()
    assert np.abs(detail_along_columns).max() > 1e-2 * np.abs(approximation).max()


def test_meyer_filter_is_orthonormal_up_to_its_truncation() -> None:
    low = meyer_low_pass()
    assert low.sum() == pytest.approx(np.sqrt(2))
    assert low @ low == pytest.approx(1, abs=3e-3)
    for shift in (2, 4, 6):
        assert low[shift:] @ low[:-shift] == pytest.approx(0, abs=3e-3)

"""Transforms of a whole picture that feature mutual information looks at: DCT and Meyer wavelet."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.picture import Picture

Matrix = NDArray[np.float64]

# Sizes of pictures repeat: the matrices of the last few are kept.
KEPT_SIZES = 8
MEYER_REACH = 30


@lru_cache(maxsize=KEPT_SIZES)
def dct_matrix(size: int) -> Matrix:
    """The orthonormal DCT-II: one basis function per row."""
    order, place = np.arange(size)[:, None], np.arange(size)[None, :]
    basis = np.sqrt(2 / size) * np.cos(np.pi * order * (2 * place + 1) / (2 * size))
    basis[0] /= np.sqrt(2)
    return np.asarray(basis)


@lru_cache(maxsize=1)
def meyer_low_pass() -> Matrix:
    """62 taps: a zero and Meyer's scaling filter at the integers -30..30, scaled to sum sqrt(2)."""
    samples = 4096
    frequency = np.abs(np.fft.fftfreq(samples)) * 2 * np.pi
    step = np.clip(3 * frequency / np.pi - 1, 0, 1)
    step = step**4 * (35 - 84 * step + 70 * step**2 - 20 * step**3)
    impulse = np.fft.ifft(np.cos(np.pi / 2 * step)).real
    taps = np.roll(impulse, MEYER_REACH)[: 2 * MEYER_REACH + 1]
    return np.concatenate([[0.0], taps * np.sqrt(2) / taps.sum()])


@lru_cache(maxsize=KEPT_SIZES)
def meyer_matrices(size: int) -> tuple[Matrix, Matrix]:
    """One level of analysis of a signal extended by mirroring: low-pass rows and high-pass rows."""
    low = meyer_low_pass()
    taps = len(low)
    signs = np.where(np.arange(taps) % 2 == 0, -1, 1)
    high = signs * low[::-1]
    # The samples under the filter of each output, mirrored (edge repeated) outside the signal.
    outputs = (size + taps - 1) // 2
    reach = 2 * np.arange(outputs)[:, None] + 1 - np.arange(taps)[None, :]
    folded = reach % (2 * size)
    samples = np.where(folded < size, folded, 2 * size - 1 - folded)
    row = np.broadcast_to(np.arange(outputs)[:, None], samples.shape)
    matrices = []
    for filter_taps in (low, high):
        matrix = np.zeros((outputs, size))
        np.add.at(matrix, (row, samples), np.broadcast_to(filter_taps, samples.shape))
        matrices.append(matrix)
    return matrices[0], matrices[1]


def dct(picture: Picture) -> Matrix:
    """The two-dimensional DCT of the grey levels."""
    height, width = picture.shape
    return dct_matrix(height) @ picture.values @ dct_matrix(width).T


def wavelet(picture: Picture) -> Matrix:
    """One level of the Meyer wavelet transform, approximation and details in one plane."""
    height, width = picture.shape
    low_rows, high_rows = meyer_matrices(height)
    low_columns, high_columns = (matrix.T for matrix in meyer_matrices(width))
    smooth = picture.values @ low_columns
    sharp = picture.values @ high_columns
    return np.block(
        [[low_rows @ smooth, high_rows @ smooth], [low_rows @ sharp, high_rows @ sharp]]
    )

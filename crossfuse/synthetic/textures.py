"""Patterns of a street: noise, and lines that stay smooth when they are finer than a pixel."""

from __future__ import annotations

import cv2
import numpy as np

from crossfuse.synthetic.camera import Floats

NOISE_SIZE = 512
_MAP_WIDTH = 4096


def fractal_noise(rng: np.random.Generator, roughness: float) -> Floats:
    """Noise of mean 0 and deviation 1 that repeats every NOISE_SIZE; roughness 0 is white."""
    spectrum = np.fft.rfft2(rng.standard_normal((NOISE_SIZE, NOISE_SIZE), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(NOISE_SIZE)[:, None], np.fft.rfftfreq(NOISE_SIZE))
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(spectrum / np.maximum(frequency, 1.0 / NOISE_SIZE) ** roughness)
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


def sample(noise: Floats, x: Floats, y: Floats) -> Floats:
    """Noise at points given in texels, of any shape and magnitude."""
    # OpenCV takes maps of less than 2**15 rows and columns.
    shape = (-(-x.size // _MAP_WIDTH), _MAP_WIDTH)
    maps = np.zeros((2, shape[0] * shape[1]), np.float32)
    maps[0, : x.size], maps[1, : x.size] = x.ravel(), y.ravel()
    maps -= NOISE_SIZE * np.floor(maps / NOISE_SIZE)
    found = cv2.remap(
        noise,
        maps[0].reshape(shape),
        maps[1].reshape(shape),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.asarray(found.ravel()[: x.size].reshape(x.shape), dtype=np.float32)


def grain(noise: Floats, x: Floats, y: Floats, texel: float, footprint: Floats) -> Floats:
    """Noise with texels of `texel` metres, fading out where a pixel covers many of them."""
    faded = np.minimum(1.0, texel / footprint)
    return np.asarray(sample(noise, x / texel, y / texel) * faded, np.float32)


def stripes(position: Floats, period: float, width: float, footprint: Floats) -> Floats:
    """How much of a pixel (0..1) is covered by lines centred on the multiples of `period`.

    `footprint` is the extent of the pixel; all in metres. Far away this tends to width/period.
    """
    distance = np.abs(np.mod(position + period / 2, period) - period / 2)
    sharp = np.clip((width / 2 - distance) / footprint + 0.5, 0.0, 1.0)
    far = np.clip(footprint / period, 0.0, 1.0)
    return np.asarray(sharp + (width / period - sharp) * far, dtype=np.float32)


def band(position: Floats, low: float, high: float, footprint: Floats) -> Floats:
    """How much of a pixel (0..1) lies between `low` and `high`."""
    upper = np.clip((high - position) / footprint + 0.5, 0.0, 1.0)
    lower = np.clip((low - position) / footprint + 0.5, 0.0, 1.0)
    return np.asarray(upper - lower, dtype=np.float32)


def per_cell(rng: np.random.Generator, column: Floats, row: Floats) -> Floats:
    """A random number 0..1 for each brick or slab, the same for all its pixels."""
    table = rng.random(1024, dtype=np.float32)
    index = (np.floor(column) * 37 + np.floor(row) * 131).astype(np.int64) % table.size
    return np.asarray(table[index], dtype=np.float32)

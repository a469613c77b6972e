"""FMI, Nabf, Qcb and Qcv, which no library has: written once more, straight from their definitions.

The second writing is slow and plain: window by window, pixel by pixel.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import convolve2d

from crossfuse.metrics import Picture, SourcePair, evaluate_fused
from crossfuse.metrics.transforms import dct, wavelet

Image = NDArray[Any]
Triple = tuple[Image, Image, Image]


def fmi_window(a: Image, f: Image) -> float:
    """One 3x3 window, following Haghighat's description with the whole 9x9 joint distribution."""
    if np.array_equal(a, f):
        return 1.0
    shares = []
    for x in (a, f):
        low, high = x.min(), x.max()
        y = np.ones(9) if low == high else ((x - low) / (high - low)).ravel(order="F")
        shares.append(y / y.sum())
    pa, pf = shares
    da, df = pa - pa.mean(), pf - pf.mean()
    c = 0.0 if abs(da @ df) < 1e-15 else (da @ df) / math.sqrt((da @ da) * (df @ df))
    place = np.arange(9)
    sa, sf = (math.sqrt(max(0.0, (place**2) @ p - (place @ p) ** 2)) for p in shares)
    ca, cf = np.cumsum(pa), np.cumsum(pf)
    product = np.outer(cf, ca)
    if c >= 0:
        bound = np.minimum(cf[:, None], ca[None, :])
    else:
        bound = np.maximum(cf[:, None] + ca[None, :] - 1, 0)
    weight = 0.0
    if c != 0 and sa > 1e-9 and sf > 1e-9:
        weight = c / ((bound - product).sum() / (sa * sf))
    padded = np.pad(weight * bound + (1 - weight) * product, ((1, 0), (1, 0)))
    joint = np.diff(np.diff(padded, axis=0), axis=1)

    def entropy(p: Image) -> float:
        return -sum(float(v) * math.log2(abs(v)) for v in p.ravel() if abs(v) > 1e-15)

    total = entropy(pa) + entropy(pf)
    return 2 * (total - entropy(joint)) / total if total > 0 else 0.0


def fmi(a: Image, b: Image, f: Image) -> float:
    scores = [
        fmi_window(source[i : i + 3, j : j + 3], f[i : i + 3, j : j + 3])
        for source in (a, b)
        for i in range(f.shape[0] - 2)
        for j in range(f.shape[1] - 2)
    ]
    return float(np.mean(scores))


def nabf(a: Image, b: Image, f: Image) -> float:
    """Pixel by pixel, with the gradients of the 3x3 neighbourhood mirrored at the borders."""
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    padded = [np.pad(x, 1, mode="reflect") for x in (a, b, f)]
    lost = weight_sum = 0.0
    for i in range(f.shape[0]):
        for j in range(f.shape[1]):
            near = [x[i : i + 3, j : j + 3] for x in padded]
            gradients = [((x * kernel).sum(), (x * kernel.T).sum()) for x in near]
            g = [math.hypot(v, h) for v, h in gradients]
            angles = [
                0.0 if v == h == 0 else math.atan(v / h) if h else math.pi / 2 for v, h in gradients
            ]
            added = g[2] > g[0] and g[2] > g[1]
            for k in (0, 1):
                ratio = 0.0 if g[k] == 0 or g[2] == 0 else min(g[k], g[2]) / max(g[k], g[2])
                parallel = abs(abs(angles[k] - angles[2]) - math.pi / 2) * 2 / math.pi
                kept_strength = 0.9999 / (1 + math.exp(-19 * (ratio - 0.5)))
                kept_angle = 0.9995 / (1 + math.exp(-22 * (parallel - 0.5)))
                weight = g[k] ** 1.5 if g[k] >= 2 else 0.001
                weight_sum += weight
                if added:
                    lost += (1 - math.sqrt(kept_strength * kept_angle)) * weight
    return float(lost / weight_sum)


def stretch(x: Image) -> Image:
    return np.asarray(np.round((x - x.min()) / (x.max() - x.min()) * 255))


def centred_frequencies(shape: tuple[int, int], divisor: int) -> Image:
    """Distance from zero of frequencies in the order of `fftshift`, a side's Nyquist being 1."""
    v, u = (np.fft.fftshift(np.fft.fftfreq(n)) * 2 * n / divisor for n in shape)
    return np.asarray(np.sqrt(v[:, None] ** 2 + u[None, :] ** 2))


def through(x: Image, response: Image) -> Image:
    spectrum = np.fft.fftshift(np.fft.fft2(x)) * response
    return np.asarray(np.fft.ifft2(np.fft.ifftshift(spectrum)).real)


def qcb(a: Image, b: Image, f: Image) -> float:
    r = centred_frequencies(f.shape, 30)
    sensitivity = np.exp(-((r / 15.3870) ** 2)) - 0.7622 * np.exp(-((r / 1.3456) ** 2))
    offset = np.arange(-15, 16)
    squares = offset[:, None] ** 2 + offset[None, :] ** 2
    masked = []
    for x in (a, b, f):
        seen = through(stretch(x), sensitivity)
        near, far = (
            convolve2d(seen, np.exp(-squares / (2 * s * s)) / (2 * math.pi * s * s), mode="same")
            for s in (2, 4)
        )
        contrast = np.abs(near / far - 1)
        masked.append(contrast**3 / (contrast**2 + 0.0001))
    ca, cb, cf = masked
    qa, qb = (np.where(c < cf, c / cf, cf / c) for c in (ca, cb))
    return float(np.mean((ca**2 * qa + cb**2 * qb) / (ca**2 + cb**2)))


def qcv(a: Image, b: Image, f: Image) -> float:
    r = 0.144 * centred_frequencies(f.shape, 8)
    sensitivity = 2.6 * (0.0192 + r) * np.exp(-(r**1.1))
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    fused = stretch(f)
    error = weight = 0.0
    for source in map(stretch, (a, b)):
        gx, gy = (convolve2d(source, k, mode="same") for k in (kernel, kernel.T))
        strength = np.sqrt(gx**2 + gy**2)
        difference = through(source - fused, sensitivity)
        for top in range(0, f.shape[0], 16):
            for left in range(0, f.shape[1], 16):
                region = np.s_[top : top + 16, left : left + 16]
                salience = float(np.sum(strength[region] ** 5))
                error += salience * float(np.sum(difference[region] ** 2)) / 256
                weight += salience
    return error / weight


@pytest.mark.parametrize("name", ["FMI_pixel", "Nabf", "Qcb", "Qcv"])
def test_rare_metrics_follow_their_definitions(name: str, scene: Triple) -> None:
    part = [picture[20:69, 30:81] for picture in scene]
    reference = {"FMI_pixel": fmi, "Nabf": nabf, "Qcb": qcb, "Qcv": qcv}[name]
    score = evaluate_fused(SourcePair(part[0], part[1]), part[2], names=[name])[name]
    assert score == pytest.approx(reference(*(x.astype(float) for x in part)), rel=1e-5)


@pytest.mark.parametrize("name", ["FMI_dct", "FMI_wavelet"])
def test_fmi_of_coefficients_is_fmi_of_their_plane(name: str, scene: Triple) -> None:
    part = [picture[20:48, 30:61] for picture in scene]
    transform = {"FMI_dct": dct, "FMI_wavelet": wavelet}[name]
    planes = [transform(Picture(picture)) for picture in part]
    score = evaluate_fused(SourcePair(part[0], part[1]), part[2], names=[name])[name]
    assert score == pytest.approx(fmi(*planes), abs=1e-4)


def test_fmi_stays_in_its_range_for_coefficients_of_very_different_size() -> None:
    down, right = np.mgrid[:64, :64]
    # Almost all of its DCT is rounding noise beside a few large coefficients.
    ramp = (2 * down + right).astype(np.uint8)
    pair = SourcePair(ramp, ramp[::-1])
    for name in ("FMI_dct", "FMI_wavelet"):
        assert 0 <= evaluate_fused(pair, ramp[:, ::-1], names=[name])[name] <= 1

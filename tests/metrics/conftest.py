"""Pictures to score, and the metrics written a second time straight from their definitions."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.signal import convolve2d

from crossfuse.metrics import SourcePair

Image = NDArray[Any]
Triple = tuple[Image, Image, Image]


@pytest.fixture(scope="session")
def tno(data_dir: Path) -> dict[str, Triple]:
    """Infrared, visible and official CrossFuse output of four TNO pairs, uint8 HxW."""
    folder = data_dir / "tno_golden"
    return {
        stem: tuple(  # type: ignore[misc]
            cv2.imread(str(folder / kind / f"{stem}.png"), cv2.IMREAD_GRAYSCALE)
            for kind in ("ir", "vis", "crossfuse_official")
        )
        for stem in ("1", "5", "12", "19")
    }


@pytest.fixture(scope="session")
def scene() -> Triple:
    """A made-up infrared, visible and fused picture with edges, ramps and noise, uint8 192x208."""
    random = np.random.default_rng(7)
    down, right = np.mgrid[:192, :208]
    ir = (
        40
        + 160 * np.exp(-((down - 90) ** 2 + (right - 60) ** 2) / 900)
        + random.normal(0, 4, down.shape)
    )
    vis = 90 + 60 * np.sin(right / 7) * np.cos(down / 11) + 40 * (right > 120)
    vis = vis + random.normal(0, 3, down.shape)
    fused = 0.45 * ir + 0.6 * vis - 10
    as_bytes = [np.clip(np.rint(x), 0, 255).astype(np.uint8) for x in (ir, vis, fused)]
    return as_bytes[0], as_bytes[1], as_bytes[2]


@pytest.fixture
def pair(scene: Triple) -> SourcePair:
    """The sources of the made-up scene."""
    return SourcePair(scene[0], scene[1])


def _window(size: int, sigma: float) -> Image:
    offset = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def _en(f: Image) -> float:
    share = [np.mean(f == level) for level in range(256)]
    return float(-sum(p * math.log2(p) for p in share if p > 0))


def _sf(f: Image) -> float:
    row = np.mean((f[:, 1:] - f[:, :-1]) ** 2)
    column = np.mean((f[1:, :] - f[:-1, :]) ** 2)
    return math.sqrt(row + column)


def _ag(f: Image) -> float:
    gx = np.empty_like(f)
    gx[:, 1:-1] = (f[:, 2:] - f[:, :-2]) / 2
    gx[:, 0], gx[:, -1] = f[:, 1] - f[:, 0], f[:, -1] - f[:, -2]
    gy = np.empty_like(f)
    gy[1:-1] = (f[2:] - f[:-2]) / 2
    gy[0], gy[-1] = f[1] - f[0], f[-1] - f[-2]
    return float(np.mean(np.sqrt((gx**2 + gy**2) / 2)))


def _mi(a: Image, f: Image) -> float:
    joint, _, _ = np.histogram2d(a.ravel(), f.ravel(), bins=256, range=((0, 256), (0, 256)))
    joint /= joint.sum()
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return float(np.sum(joint[filled] * np.log(joint[filled] / expected[filled])))


def _r(a: Image, b: Image) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _vif(ref: Image, dist: Image) -> float:
    eps, num, den = 1e-10, 0.0, 0.0
    for scale, size in enumerate((17, 9, 5, 3)):
        win = _window(size, size / 5)
        if scale:
            ref = convolve2d(ref, win, mode="valid")[::2, ::2]
            dist = convolve2d(dist, win, mode="valid")[::2, ::2]
        mu1, mu2 = (convolve2d(x, win, mode="valid") for x in (ref, dist))
        s1 = np.maximum(convolve2d(ref * ref, win, mode="valid") - mu1 * mu1, 0)
        s2 = np.maximum(convolve2d(dist * dist, win, mode="valid") - mu2 * mu2, 0)
        s12 = convolve2d(ref * dist, win, mode="valid") - mu1 * mu2
        g = s12 / (s1 + eps)
        sv = s2 - g * s12
        g[s1 < eps] = 0
        sv[s1 < eps] = s2[s1 < eps]
        s1[s1 < eps] = 0
        g[s2 < eps] = 0
        sv[s2 < eps] = 0
        sv[g < 0] = s2[g < 0]
        g[g < 0] = 0
        sv[sv <= eps] = eps
        num += float(np.sum(np.log10(1 + g * g * s1 / (sv + 2))))
        den += float(np.sum(np.log10(1 + s1 / 2)))
    return float(num / den)


def _edges(x: Image) -> tuple[Image, Image]:
    gx = convolve2d(x, np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]), mode="same")
    gy = convolve2d(x, np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]), mode="same")
    angle = np.full(x.shape, math.pi / 2)
    angle[gx != 0] = np.arctan(gy[gx != 0] / gx[gx != 0])
    return np.sqrt(gx**2 + gy**2), angle


def _qabf(a: Image, b: Image, f: Image) -> float:
    strength_f, angle_f = _edges(f)
    numerator = denominator = 0.0
    for source in (a, b):
        strength, angle = _edges(source)
        ratio = np.empty_like(strength)
        above, below, equal = (op(strength, strength_f) for op in (np.greater, np.less, np.equal))
        ratio[above] = strength_f[above] / strength[above]
        ratio[below] = strength[below] / strength_f[below]
        ratio[equal] = strength_f[equal]
        alignment = 1 - np.abs(angle - angle_f) / (math.pi / 2)
        kept = 0.9994 / (1 + np.exp(-15 * (ratio - 0.5)))
        kept *= 0.9879 / (1 + np.exp(-22 * (alignment - 0.8)))
        numerator += float(np.sum(kept * strength))
        denominator += float(np.sum(strength))
    return float(numerator / denominator)


def _ssim(a: Image, b: Image) -> float:
    size = 7
    unbiased = size * size / (size * size - 1)
    ua, ub = uniform_filter(a, size), uniform_filter(b, size)
    va = unbiased * (uniform_filter(a * a, size) - ua * ua)
    vb = unbiased * (uniform_filter(b * b, size) - ub * ub)
    vab = unbiased * (uniform_filter(a * b, size) - ua * ub)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * ua * ub + c1) * (2 * vab + c2)) / ((ua**2 + ub**2 + c1) * (va + vb + c2))
    return float(similarity[3:-3, 3:-3].mean())


def _cddfuse(ir: Image, vis: Image, fused: Image) -> dict[str, float]:
    a, b, f = (x.astype(np.float64) for x in (ir, vis, fused))
    error = (np.mean((f - a) ** 2) + np.mean((f - b) ** 2)) / 2
    return {
        "EN": _en(f),
        "SD": math.sqrt(np.mean((f - f.mean()) ** 2)),
        "SF": _sf(f),
        "AG": _ag(f),
        "MI": _mi(a, f) + _mi(b, f),
        "SCD": _r(a, f - b) + _r(b, f - a),
        "VIF": _vif(a, f) + _vif(b, f),
        "Qabf": _qabf(a, b, f),
        "SSIM": _ssim(f, a) + _ssim(f, b),
        "CC": (_r(a, f) + _r(b, f)) / 2,
        "PSNR": 10 * math.log10(f.max() ** 2 / error),
    }


def _fmi_window(a: Image, f: Image) -> float:
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


def _fmi(a: Image, b: Image, f: Image) -> float:
    scores = [
        _fmi_window(source[i : i + 3, j : j + 3], f[i : i + 3, j : j + 3])
        for source in (a, b)
        for i in range(f.shape[0] - 2)
        for j in range(f.shape[1] - 2)
    ]
    return float(np.mean(scores))


def _nabf(a: Image, b: Image, f: Image) -> float:
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


def _stretch(x: Image) -> Image:
    return np.asarray(np.round((x - x.min()) / (x.max() - x.min()) * 255))


def _centred_frequencies(shape: tuple[int, int], divisor: int) -> Image:
    """Distance from zero of frequencies in the order of `fftshift`, a side's Nyquist being 1."""
    v, u = (np.fft.fftshift(np.fft.fftfreq(n)) * 2 * n / divisor for n in shape)
    return np.asarray(np.sqrt(v[:, None] ** 2 + u[None, :] ** 2))


def _through(x: Image, response: Image) -> Image:
    spectrum = np.fft.fftshift(np.fft.fft2(x)) * response
    return np.asarray(np.fft.ifft2(np.fft.ifftshift(spectrum)).real)


def _qcb(a: Image, b: Image, f: Image) -> float:
    r = _centred_frequencies(f.shape, 30)
    sensitivity = np.exp(-((r / 15.3870) ** 2)) - 0.7622 * np.exp(-((r / 1.3456) ** 2))
    offset = np.arange(-15, 16)
    squares = offset[:, None] ** 2 + offset[None, :] ** 2
    masked = []
    for x in (a, b, f):
        seen = _through(_stretch(x), sensitivity)
        near, far = (
            convolve2d(seen, np.exp(-squares / (2 * s * s)) / (2 * math.pi * s * s), mode="same")
            for s in (2, 4)
        )
        contrast = np.abs(near / far - 1)
        masked.append(contrast**3 / (contrast**2 + 0.0001))
    ca, cb, cf = masked
    qa, qb = (np.where(c < cf, c / cf, cf / c) for c in (ca, cb))
    return float(np.mean((ca**2 * qa + cb**2 * qb) / (ca**2 + cb**2)))


def _qcv(a: Image, b: Image, f: Image) -> float:
    r = 0.144 * _centred_frequencies(f.shape, 8)
    sensitivity = 2.6 * (0.0192 + r) * np.exp(-(r**1.1))
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    fused = _stretch(f)
    error = weight = 0.0
    for source in map(_stretch, (a, b)):
        gx, gy = (convolve2d(source, k, mode="same") for k in (kernel, kernel.T))
        strength = np.sqrt(gx**2 + gy**2)
        difference = _through(source - fused, sensitivity)
        for top in range(0, f.shape[0], 16):
            for left in range(0, f.shape[1], 16):
                region = np.s_[top : top + 16, left : left + 16]
                salience = float(np.sum(strength[region] ** 5))
                error += salience * float(np.sum(difference[region] ** 2)) / 256
                weight += salience
    return error / weight


@pytest.fixture(scope="session")
def slow() -> SimpleNamespace:
    """The metrics as plain transcriptions of their definitions, for comparison."""
    return SimpleNamespace(cddfuse=_cddfuse, fmi=_fmi, nabf=_nabf, qcb=_qcb, qcv=_qcv)

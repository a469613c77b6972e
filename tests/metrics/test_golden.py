"""The official CrossFuse outputs on four TNO pairs: stored values, and the definitions once more.

How the stored values follow from the definitions, all on grey levels 0..255 and in float64 (F is
the fused picture, S a source):

- EN: -sum p log2 p over 256 bins of F. SD: sqrt(mean (F - mean F)^2).
- SF: sqrt(mean (horizontal difference)^2 + mean (vertical difference)^2) of F.
- AG: mean of sqrt((gx^2 + gy^2) / 2), central differences, one-sided at the borders.
- MI: sum over S of sum p(f, s) ln(p(f, s) / p(f) p(s)), one bin per pair of levels.
- SCD: r(IR, F - VIS) + r(VIS, F - IR). CC: mean over S of r(S, F).
- VIF: sum over S of sum log10(1 + g^2 var_S / (noise + 2)) / sum log10(1 + var_S / 2) over four
  scales, Gaussian windows 17, 9, 5, 3 with sigma N/5 inside the picture, every second pixel kept.
- Qabf: mean of the product of two sigmoids (0.9994, -15, 0.5 on the ratio of Sobel strengths;
  0.9879, -22, 0.8 on 1 - |angle difference| / (pi / 2)), weighted by the strength of S.
- SSIM: sum over S of the mean over all 7x7 windows, variances over 48, C1 = 2.55^2, C2 = 7.65^2.
- PSNR: 10 log10(max(F)^2 / mean over S of mean (F - S)^2).

`cddfuse_metrics` computes exactly this with scipy's two-dimensional convolutions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.signal import convolve2d

from crossfuse.metrics import evaluate_pair

pytestmark = pytest.mark.data

Image = NDArray[Any]
Triple = tuple[Image, Image, Image]

# Pairs 1, 5, 12 and 19.
CDDFUSE = {
    "EN": (6.8741, 6.8534, 7.2358, 6.7175),
    "SD": (36.6759, 31.0905, 59.6649, 32.0423),
    "SF": (11.4496, 12.0922, 7.7401, 10.1398),
    "AG": (4.6840, 4.9154, 2.9956, 4.6968),
    "MI": (1.6864, 2.2208, 2.1323, 1.5035),
    "SCD": (1.6763, 1.1197, 1.5908, 1.4389),
    "VIF": (0.6879, 0.8499, 0.7154, 0.6694),
    "Qabf": (0.4800, 0.3188, 0.3420, 0.5120),
    "SSIM": (1.3359, 1.1163, 1.3746, 1.2170),
    "CC": (0.5484, 0.6265, 0.4587, 0.3285),
    "PSNR": (17.5869, 12.5013, 13.5510, 16.2064),
    "SSIM_corrected": (0.6977, 0.5843, 0.7063, 0.6339),
    "MS_SSIM": (0.6077, 0.6592, 0.6885, 0.5823),
    "FMI_pixel": (0.4627, 0.3465, 0.3867, 0.4668),
    "FMI_dct": (0.3979, 0.3642, 0.3902, 0.4233),
    "FMI_wavelet": (0.4234, 0.3601, 0.3894, 0.4462),
    "Nabf": (0.0593, 0.2082, 0.0335, 0.0125),
    "Qcb": (0.5993, 0.6163, 0.5160, 0.6525),
    "Qcv": (405.6059, 152.6013, 872.4714, 235.4943),
}
# Those of the other profile that differ: MI in bits; VIF and SSIM (Gaussian 11, sigma 1.5) as means
# of the two; Qabf inside the border with angles modulo pi; PSNR with peak 255.
CORRECTED = {
    "MI": (2.4329, 3.2039, 3.0763, 2.1691),
    "VIF": (0.3440, 0.4249, 0.3577, 0.3347),
    "Qabf": (0.4899, 0.2745, 0.3597, 0.5217),
    "SSIM": (0.6977, 0.5843, 0.7063, 0.6339),
    "PSNR": (17.6210, 12.5354, 13.5852, 16.2405),
}
STEMS = ("1", "5", "12", "19")


def window(size: int, sigma: float) -> Image:
    offset = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def en(f: Image) -> float:
    share = [np.mean(f == level) for level in range(256)]
    return float(-sum(p * math.log2(p) for p in share if p > 0))


def sf(f: Image) -> float:
    row = np.mean((f[:, 1:] - f[:, :-1]) ** 2)
    column = np.mean((f[1:, :] - f[:-1, :]) ** 2)
    return math.sqrt(row + column)


def ag(f: Image) -> float:
    gx = np.empty_like(f)
    gx[:, 1:-1] = (f[:, 2:] - f[:, :-2]) / 2
    gx[:, 0], gx[:, -1] = f[:, 1] - f[:, 0], f[:, -1] - f[:, -2]
    gy = np.empty_like(f)
    gy[1:-1] = (f[2:] - f[:-2]) / 2
    gy[0], gy[-1] = f[1] - f[0], f[-1] - f[-2]
    return float(np.mean(np.sqrt((gx**2 + gy**2) / 2)))


def mi(a: Image, f: Image) -> float:
    joint, _, _ = np.histogram2d(a.ravel(), f.ravel(), bins=256, range=((0, 256), (0, 256)))
    joint /= joint.sum()
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    return float(np.sum(joint[filled] * np.log(joint[filled] / expected[filled])))


def correlation(a: Image, b: Image) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def vif(ref: Image, dist: Image) -> float:
    eps, num, den = 1e-10, 0.0, 0.0
    for scale, size in enumerate((17, 9, 5, 3)):
        win = window(size, size / 5)
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


def edges(x: Image) -> tuple[Image, Image]:
    gx = convolve2d(x, np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]), mode="same")
    gy = convolve2d(x, np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]), mode="same")
    angle = np.full(x.shape, math.pi / 2)
    angle[gx != 0] = np.arctan(gy[gx != 0] / gx[gx != 0])
    return np.sqrt(gx**2 + gy**2), angle


def qabf(a: Image, b: Image, f: Image) -> float:
    strength_f, angle_f = edges(f)
    numerator = denominator = 0.0
    for source in (a, b):
        strength, angle = edges(source)
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


def ssim(a: Image, b: Image) -> float:
    size = 7
    unbiased = size * size / (size * size - 1)
    ua, ub = uniform_filter(a, size), uniform_filter(b, size)
    va = unbiased * (uniform_filter(a * a, size) - ua * ua)
    vb = unbiased * (uniform_filter(b * b, size) - ub * ub)
    vab = unbiased * (uniform_filter(a * b, size) - ua * ub)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * ua * ub + c1) * (2 * vab + c2)) / ((ua**2 + ub**2 + c1) * (va + vb + c2))
    return float(similarity[3:-3, 3:-3].mean())


def cddfuse_metrics(ir: Image, vis: Image, fused: Image) -> dict[str, float]:
    a, b, f = (x.astype(np.float64) for x in (ir, vis, fused))
    error = (np.mean((f - a) ** 2) + np.mean((f - b) ** 2)) / 2
    return {
        "EN": en(f),
        "SD": math.sqrt(np.mean((f - f.mean()) ** 2)),
        "SF": sf(f),
        "AG": ag(f),
        "MI": mi(a, f) + mi(b, f),
        "SCD": correlation(a, f - b) + correlation(b, f - a),
        "VIF": vif(a, f) + vif(b, f),
        "Qabf": qabf(a, b, f),
        "SSIM": ssim(f, a) + ssim(f, b),
        "CC": (correlation(a, f) + correlation(b, f)) / 2,
        "PSNR": 10 * math.log10(f.max() ** 2 / error),
    }


@pytest.mark.parametrize("place", range(4), ids=STEMS)
def test_official_outputs_score_the_stored_values(place: int, tno: dict[str, Triple]) -> None:
    scores = evaluate_pair(*tno[STEMS[place]])
    assert scores == pytest.approx({k: v[place] for k, v in CDDFUSE.items()}, abs=1e-3)


@pytest.mark.parametrize("place", range(4), ids=STEMS)
def test_the_corrected_profile_differs_where_it_says(place: int, tno: dict[str, Triple]) -> None:
    scores = evaluate_pair(*tno[STEMS[place]], profile="corrected", names=CORRECTED)
    assert scores == pytest.approx({k: v[place] for k, v in CORRECTED.items()}, abs=1e-3)


@pytest.mark.parametrize("stem", STEMS)
def test_official_outputs_score_what_the_definitions_give(
    stem: str, tno: dict[str, Triple]
) -> None:
    expected = cddfuse_metrics(*tno[stem])
    scores = evaluate_pair(*tno[stem], names=expected)
    assert scores == pytest.approx(expected, abs=1e-9)


def test_grey_pictures_stored_as_colour_score_the_same(tno: dict[str, Triple]) -> None:
    grey = tno["1"]
    colour = [np.repeat(picture[..., None], 3, axis=2) for picture in grey]
    names = ("EN", "SD", "MI", "Qabf")
    assert evaluate_pair(colour[0], colour[1], colour[2], names=names) == evaluate_pair(
        *grey, names=names
    )

"""The metrics of the two profiles, with the words that reports print about them.

`cddfuse` has the definitions of the CDDFuse evaluator, which most published tables use, with SSIM
at data range 255. `corrected` has what the references define, on one scale per metric. A metric
that the CDDFuse evaluator lacks is the same in both profiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from crossfuse.metrics import (
    correlation,
    edges,
    feature_information,
    fidelity,
    gradients,
    information,
    perception,
    structure,
)
from crossfuse.metrics.picture import Picture, SourcePair
from crossfuse.metrics.registry import Description, Metric

Compute = Callable[[SourcePair, Picture], float]
Range = tuple[float | None, float | None]

WANG_2004 = "Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13, 2004"
HAGHIGHAT = (
    "Haghighat, Aghagolzadeh, Seyedarabi, Computers & Electrical Engineering 37, 2011; "
    "Haghighat, Razian, AICT 2014 (Fast-FMI)"
)


def _of_fused(
    name: str, compute: Compute, value_range: Range, definition: str, reference: str
) -> Metric:
    return Metric(Description(name, "higher", value_range, False, definition, reference), compute)


def _of_pair(
    name: str, compute: Compute, value_range: Range, definition: str, reference: str
) -> Metric:
    return Metric(Description(name, "higher", value_range, True, definition, reference), compute)


def _lower_is_better(metric: Metric) -> Metric:
    return replace(metric, description=replace(metric.description, direction="lower"))


def _variant(metric: Metric, compute: Compute, value_range: Range, definition: str) -> Metric:
    description = replace(metric.description, value_range=value_range, definition=definition)
    return Metric(description, compute)


EN = _of_fused(
    "EN",
    information.entropy,
    (0, 8),
    "Shannon entropy of the histogram of 256 grey levels, in bits.",
    "Roberts, van Aardt, Ahmed, Journal of Applied Remote Sensing 2, 2008",
)
SD = _of_fused(
    "SD",
    correlation.standard_deviation,
    (0, 127.5),
    "Population standard deviation of the grey levels 0..255.",
    "Ma, Ma, Li, Information Fusion 45, 2019 (survey)",
)
SF = _of_fused(
    "SF",
    gradients.spatial_frequency,
    (0, 255 * 2**0.5),
    "Root of the mean squared horizontal difference plus the mean squared vertical difference of "
    "neighbouring pixels.",
    "Eskicioglu, Fisher, IEEE Trans. Communications 43, 1995",
)
AG = _of_fused(
    "AG",
    gradients.average_gradient,
    (0, 255),
    "Mean of sqrt((gx^2 + gy^2) / 2) with central differences, one-sided at the borders.",
    "Cui, Feng, Xu, Li, Chen, Optics Communications 341, 2015",
)
MI = _of_pair(
    "MI",
    information.mutual_information_nats,
    (0, 11.0904),
    "Mutual information of the fused picture with each source, 256x256 joint histogram, in nats, "
    "sum of the two.",
    "Qu, Zhang, Yan, Electronics Letters 38, 2002",
)
SCD = _of_pair(
    "SCD",
    correlation.sum_of_correlations_of_differences,
    (-2, 2),
    "r(F - VIS, IR) + r(F - IR, VIS) with Pearson's r; undefined where a source or a difference "
    "is constant.",
    "Aslantas, Bendes, AEU International Journal of Electronics and Communications 69, 2015",
)
VIF = _of_pair(
    "VIF",
    fidelity.vif_sum,
    (0, None),
    "Visual information fidelity in the pixel domain (4 scales, Gaussian windows 17, 9, 5, 3, "
    "noise variance 2), sum over the two sources; undefined for a constant source.",
    "Sheikh, Bovik, IEEE Trans. Image Processing 15, 2006",
)
QABF = _of_pair(
    "Qabf",
    edges.qabf_as_published,
    (0, 1),
    "Share of the sources' Sobel edges kept in strength and orientation, weighted by strength, "
    "with zero-padded borders, orientations not wrapped, and equal strengths not divided; "
    "undefined where both sources are constant.",
    "Xydeas, Petrovic, Electronics Letters 36, 2000",
)
SSIM = _of_pair(
    "SSIM",
    structure.ssim_uniform_sum,
    (-2, 2),
    "Structural similarity with a 7x7 uniform window, sample variances and data range 255, sum "
    "over the two sources.",
    WANG_2004,
)
CC = _of_pair(
    "CC",
    correlation.correlation_coefficient,
    (-1, 1),
    "Pearson's r of the fused picture with each source, mean of the two; undefined where a "
    "picture is constant.",
    "Ma, Ma, Li, Information Fusion 45, 2019 (survey)",
)
PSNR = _of_pair(
    "PSNR",
    correlation.psnr_of_fused_peak,
    (None, None),
    "10 log10(peak^2 / error) in dB, the peak being the brightest fused pixel and the error the "
    "mean of the two mean squared errors; undefined without error and for a black fused picture.",
    "Jagalingam, Hegde, Aquatic Procedia 4, 2015 (review)",
)
SSIM_GAUSSIAN = _of_pair(
    "SSIM",
    structure.ssim_gaussian_mean,
    (-1, 1),
    "Structural similarity with an 11x11 Gaussian window (sigma 1.5) and data range 255, mean "
    "over the two sources.",
    WANG_2004,
)
MS_SSIM = _of_pair(
    "MS_SSIM",
    structure.ms_ssim,
    (0, 1),
    "Structural similarity over five scales (11x11 Gaussian window, data range 255, negative terms "
    "taken as 0), mean over the two sources; undefined where a side is below 176 pixels.",
    "Wang, Simoncelli, Bovik, Asilomar Conference on Signals, Systems and Computers 2003",
)
FMI_PIXEL = _of_pair(
    "FMI_pixel",
    feature_information.fmi_pixel,
    (0, 1),
    "Normalised mutual information of 3x3 windows of grey levels read as distributions, mean over "
    "windows and sources.",
    HAGHIGHAT,
)
FMI_DCT = _of_pair(
    "FMI_dct",
    feature_information.fmi_dct,
    (0, 1),
    "FMI_pixel on the DCT coefficients of the whole pictures in place of grey levels.",
    HAGHIGHAT,
)
FMI_WAVELET = _of_pair(
    "FMI_wavelet",
    feature_information.fmi_wavelet,
    (0, 1),
    "FMI_pixel on one level of the discrete Meyer wavelet transform (62 taps, mirrored borders, "
    "bands in one plane) in place of grey levels.",
    HAGHIGHAT,
)
NABF = _lower_is_better(
    _of_pair(
        "Nabf",
        edges.nabf,
        (0, 1),
        "Share of edge information in the fused picture that neither source supports, where fused "
        "edges are stronger than both sources' (grey levels 0..255).",
        "Kumar, Signal, Image and Video Processing 7, 2013 (modified fusion artifacts)",
    )
)
QCB = _of_pair(
    "Qcb",
    perception.qcb,
    (0, 1),
    "Preservation of local contrast after contrast sensitivity filtering and masking, weighted by "
    "each source's contrast; undefined where a picture is constant.",
    "Chen, Blum, Image and Vision Computing 27, 2009",
)
QCV = _lower_is_better(
    _of_pair(
        "Qcv",
        perception.qcv,
        (0, None),
        "Squared difference to each source through the Mannos-Sakrison contrast sensitivity "
        "filter, averaged over 16x16 regions with the sources' edge salience (power 5) as weight; "
        "undefined where a picture is constant.",
        "Chen, Varshney, Information Fusion 8, 2007",
    )
)

NOT_IN_CDDFUSE = (MS_SSIM, FMI_PIXEL, FMI_DCT, FMI_WAVELET, NABF, QCB, QCV)

PROFILES: dict[str, tuple[Metric, ...]] = {
    "cddfuse": (
        *(EN, SD, SF, AG, MI, SCD, VIF, QABF, SSIM, CC, PSNR),
        replace(
            SSIM_GAUSSIAN, description=replace(SSIM_GAUSSIAN.description, name="SSIM_corrected")
        ),
        *NOT_IN_CDDFUSE,
    ),
    "corrected": (
        *(EN, SD, SF, AG),
        _variant(
            MI,
            information.mutual_information,
            (0, 16),
            "Mutual information of the fused picture with each source, 256x256 joint histogram, in "
            "bits, sum of the two.",
        ),
        SCD,
        _variant(
            VIF,
            fidelity.vif_mean,
            (0, None),
            "Visual information fidelity in the pixel domain (4 scales, Gaussian windows 17, 9, 5, "
            "3, noise variance 2), mean over the two sources; undefined for a constant source.",
        ),
        _variant(
            QABF,
            edges.qabf,
            (0, 1),
            "Share of the sources' Sobel edges kept in strength and orientation, weighted by "
            "strength, inside the border and with orientations compared modulo pi; undefined where "
            "both sources are constant.",
        ),
        SSIM_GAUSSIAN,
        CC,
        _variant(
            PSNR,
            correlation.psnr,
            (0, None),
            "10 log10(255^2 / error) in dB, the error being the mean of the two mean squared "
            "errors; undefined where all pictures are equal.",
        ),
        *NOT_IN_CDDFUSE,
    ),
}

"""Every metric with the words that reports print about it, as the `cddfuse` profile has it."""

from __future__ import annotations

from collections.abc import Callable

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
from crossfuse.metrics.registry import Description, Direction, Metric

Compute = Callable[[SourcePair, Picture], float]
Range = tuple[float | None, float | None]

WANG_2004 = "Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13, 2004"
HAGHIGHAT = (
    "Haghighat, Aghagolzadeh, Seyedarabi, Computers & Electrical Engineering 37, 2011; "
    "Haghighat, Razian, AICT 2014 (Fast-FMI)"
)


def _metric(
    name: str,
    compute: Compute,
    value_range: Range,
    definition: str,
    reference: str,
    *,
    direction: Direction = "higher",
    needs_sources: bool = True,
) -> Metric:
    return Metric(
        Description(name, direction, value_range, needs_sources, definition, reference), compute
    )


EN = _metric(
    "EN",
    information.entropy,
    (0, 8),
    "Shannon entropy of the histogram of 256 grey levels, in bits.",
    "Roberts, van Aardt, Ahmed, Journal of Applied Remote Sensing 2, 2008",
    needs_sources=False,
)
SD = _metric(
    "SD",
    correlation.standard_deviation,
    (0, 127.5),
    "Population standard deviation of the grey levels 0..255.",
    "Ma, Ma, Li, Information Fusion 45, 2019 (survey)",
    needs_sources=False,
)
SF = _metric(
    "SF",
    gradients.spatial_frequency,
    (0, 255 * 2**0.5),
    "Root of the mean squared horizontal difference plus the mean squared vertical difference of "
    "neighbouring pixels.",
    "Eskicioglu, Fisher, IEEE Trans. Communications 43, 1995",
    needs_sources=False,
)
AG = _metric(
    "AG",
    gradients.average_gradient,
    (0, 255),
    "Mean of sqrt((gx^2 + gy^2) / 2) with central differences, one-sided at the borders.",
    "Cui, Feng, Xu, Li, Chen, Optics Communications 341, 2015",
    needs_sources=False,
)
MI = _metric(
    "MI",
    information.mutual_information_nats,
    (0, 11.0904),
    "Mutual information of the fused picture with each source, 256x256 joint histogram, in nats, "
    "sum of the two.",
    "Qu, Zhang, Yan, Electronics Letters 38, 2002",
)
SCD = _metric(
    "SCD",
    correlation.sum_of_correlations_of_differences,
    (-2, 2),
    "r(F - VIS, IR) + r(F - IR, VIS) with Pearson's r; undefined where a source or a difference "
    "is constant.",
    "Aslantas, Bendes, AEU International Journal of Electronics and Communications 69, 2015",
)
VIF = _metric(
    "VIF",
    fidelity.vif_sum,
    (0, None),
    "Visual information fidelity in the pixel domain (4 scales, Gaussian windows 17, 9, 5, 3, "
    "noise variance 2), sum over the two sources; undefined for a constant source and where a side "
    "is below 41 pixels.",
    "Sheikh, Bovik, IEEE Trans. Image Processing 15, 2006",
)
QABF = _metric(
    "Qabf",
    edges.qabf_as_published,
    (0, 1),
    "Share of the sources' Sobel edges kept in strength and orientation, weighted by strength, "
    "with zero-padded borders, orientations not wrapped, and equal strengths not divided; "
    "undefined where both sources are constant.",
    "Xydeas, Petrovic, Electronics Letters 36, 2000",
)
SSIM = _metric(
    "SSIM",
    structure.ssim_uniform_sum,
    (-2, 2),
    "Structural similarity with a 7x7 uniform window, sample variances and data range 255, sum "
    "over the two sources; undefined where a side is below 7 pixels.",
    WANG_2004,
)
CC = _metric(
    "CC",
    correlation.correlation_coefficient,
    (-1, 1),
    "Pearson's r of the fused picture with each source, mean of the two; undefined where a "
    "picture is constant.",
    "Ma, Ma, Li, Information Fusion 45, 2019 (survey)",
)
PSNR = _metric(
    "PSNR",
    correlation.psnr_of_fused_peak,
    (None, None),
    "10 log10(peak^2 / error) in dB, the peak being the brightest fused pixel and the error the "
    "mean of the two mean squared errors; undefined without error and for a black fused picture.",
    "Jagalingam, Hegde, Aquatic Procedia 4, 2015 (review)",
)
SSIM_GAUSSIAN = _metric(
    "SSIM",
    structure.ssim_gaussian_mean,
    (-1, 1),
    "Structural similarity with an 11x11 Gaussian window (sigma 1.5) inside the picture and data "
    "range 255, mean over the two sources; undefined where a side is below 11 pixels.",
    WANG_2004,
)
MS_SSIM = _metric(
    "MS_SSIM",
    structure.ms_ssim,
    (0, 1),
    "Structural similarity over five scales (11x11 Gaussian window, data range 255, negative terms "
    "taken as 0), mean over the two sources; undefined where a side is below 176 pixels.",
    "Wang, Simoncelli, Bovik, Asilomar Conference on Signals, Systems and Computers 2003",
)
FMI_PIXEL = _metric(
    "FMI_pixel",
    feature_information.fmi_pixel,
    (0, 1),
    "Normalised mutual information of 3x3 windows of grey levels read as distributions, mean over "
    "windows and sources.",
    HAGHIGHAT,
)
FMI_DCT = _metric(
    "FMI_dct",
    feature_information.fmi_dct,
    (0, 1),
    "FMI_pixel on the DCT coefficients of the whole pictures in place of grey levels.",
    HAGHIGHAT,
)
FMI_WAVELET = _metric(
    "FMI_wavelet",
    feature_information.fmi_wavelet,
    (0, 1),
    "FMI_pixel on one level of the discrete Meyer wavelet transform (62 taps, mirrored borders, "
    "bands in one plane) in place of grey levels.",
    HAGHIGHAT,
)
NABF = _metric(
    "Nabf",
    edges.nabf,
    (0, 1),
    "Share of edge information in the fused picture that neither source supports, where fused "
    "edges are stronger than both sources' (grey levels 0..255).",
    "Kumar, Signal, Image and Video Processing 7, 2013 (modified fusion artifacts)",
    direction="lower",
)
QCB = _metric(
    "Qcb",
    perception.qcb,
    (0, 1),
    "Preservation of local contrast after contrast sensitivity filtering and masking, weighted by "
    "each source's contrast; undefined where a picture is constant.",
    "Chen, Blum, Image and Vision Computing 27, 2009",
)
QCV = _metric(
    "Qcv",
    perception.qcv,
    (0, None),
    "Squared difference to each source through the Mannos-Sakrison contrast sensitivity "
    "filter, averaged over 16x16 regions with the sources' edge salience (power 5) as weight; "
    "undefined where a picture is constant.",
    "Chen, Varshney, Information Fusion 8, 2007",
    direction="lower",
)

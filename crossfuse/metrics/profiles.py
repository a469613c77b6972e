"""Which metrics make up the two profiles, and where the profiles differ.

`cddfuse` has the definitions of the CDDFuse evaluator, which most published tables use, with SSIM
at data range 255. `corrected` has what the references define, on one scale per metric. A metric
that the CDDFuse evaluator lacks is the same in both profiles.
"""

from __future__ import annotations

from dataclasses import replace

from crossfuse.metrics import correlation, edges, fidelity, information
from crossfuse.metrics.definitions import (
    AG,
    CC,
    EN,
    FMI_DCT,
    FMI_PIXEL,
    FMI_WAVELET,
    MI,
    MS_SSIM,
    NABF,
    PSNR,
    QABF,
    QCB,
    QCV,
    SCD,
    SD,
    SF,
    SSIM,
    SSIM_GAUSSIAN,
    VIF,
    Compute,
    Range,
)
from crossfuse.metrics.registry import Metric


def _variant(metric: Metric, compute: Compute, value_range: Range, definition: str) -> Metric:
    description = replace(metric.description, value_range=value_range, definition=definition)
    return Metric(description, compute)


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
            "3, noise variance 2), mean over the two sources; undefined for a constant source and "
            "where a side is below 41 pixels.",
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

"""What a calibration must reach to be written; what does not is refused with the reason."""

from __future__ import annotations

from crossfuse.calibration.automatic import Estimate
from crossfuse.calibration.points import PointEstimate
from crossfuse.errors import CrossFuseError

# In pixels of a visible picture 640 wide; wider pictures are allowed as much more.
MOST_SPREAD = 2.0
# Standard deviation of the least sure corner: it is within 3 pixels four times of five.
MOST_UNCERTAINTY = 2.4
MOST_POINT_ERROR = 3.0
LEAST_FIT = 0.12
LEAST_LEAD = 1.03
LEAST_AGREEMENT = 0.5
LEAST_INLIERS = 0.6
REFERENCE_WIDTH = 640

MORE = "record more: texture that both cameras see, all over the picture, for at least 10 s"


class CalibrationRefused(CrossFuseError):
    """The cameras could not be measured well enough; no rig is written."""


def check_estimate(found: Estimate | None, width: int) -> Estimate:
    """The estimate, where it can be trusted."""
    if found is None:
        raise CalibrationRefused(
            f"alignment: nothing in the two recordings corresponds; valid: {MORE}"
        )
    most = MOST_SPREAD * width / REFERENCE_WIDTH
    if found.fit < LEAST_FIT:
        raise CalibrationRefused(
            f"alignment: edges of the two recordings fit to {found.fit:.2f}; "
            f"valid: {LEAST_FIT} or more: {MORE}"
        )
    if found.fit < LEAST_LEAD * found.rival:
        raise CalibrationRefused(
            f"alignment: another one fits as well ({found.rival:.2f} beside {found.fit:.2f}); "
            f"valid: one that stands out: {MORE}"
        )
    sure = MOST_UNCERTAINTY * width / REFERENCE_WIDTH
    if found.uncertainty > sure:
        raise CalibrationRefused(
            f"alignment: a corner is unsure by {found.uncertainty:.1f} pixels, because a lens "
            "bends, things are near or too little of the picture shows edges; "
            f"valid: {sure:.1f} or less: {MORE}, and far away"
        )
    if found.agreement < LEAST_AGREEMENT:
        raise CalibrationRefused(
            f"alignment: {found.agreement:.0%} of the picture agrees on it; "
            f"valid: {LEAST_AGREEMENT:.0%} or more: point both cameras at something far away"
        )
    if found.spread > most:
        raise CalibrationRefused(
            f"alignment: two halves of the frames differ by {found.spread:.1f} pixels at the "
            f"corners; valid: {most:.1f} or less: {MORE}"
        )
    return found


def check_points(found: PointEstimate, width: int) -> PointEstimate:
    """The estimate, where most of its points agree."""
    most = MOST_POINT_ERROR * width / REFERENCE_WIDTH
    share = float(found.inliers.mean())
    if share < LEAST_INLIERS:
        raise CalibrationRefused(
            f"points: {share:.0%} agree on one homography; valid: {LEAST_INLIERS:.0%} or more: "
            "points of one plane, or of things far away"
        )
    if found.error > most:
        raise CalibrationRefused(
            f"points: reprojection error {found.error:.1f} pixels; valid: {most:.1f} or less"
        )
    return found

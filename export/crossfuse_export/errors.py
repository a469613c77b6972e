"""Why an export ends without a file."""

from __future__ import annotations

from crossfuse.errors import BundleError


class QualityMissed(BundleError):
    """A file was made, measured and found too far from the network, or not worth shipping."""

    exit_code = 1

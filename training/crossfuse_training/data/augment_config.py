"""What a recipe says of augmentation; everything is off by default."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossfuse.errors import InvalidInput

SMALLEST_CROP = 32


@dataclass(frozen=True)
class Photometric:
    """A change of grey levels, drawn anew for each cut: gain, then offset, then gamma."""

    probability: float = 0.0
    gain: float = 0.0
    """Levels are multiplied by 1 - gain to 1 + gain."""
    offset: float = 0.0
    """Grey levels added: -offset to offset."""
    gamma: float = 0.0
    """Exponent 1 / (1 + gamma) to 1 + gamma, on levels of 0 to 1."""

    def __post_init__(self) -> None:
        _check_range("augment.photometric_*.probability", self.probability, 1)
        _check_range("augment.photometric_*.gain", self.gain, 0.9)
        _check_range("augment.photometric_*.offset", self.offset, 128)
        _check_range("augment.photometric_*.gamma", self.gamma, 4)


@dataclass(frozen=True)
class InfraredNoise:
    """Noise of an infrared sensor; the strength is drawn from 0 to the numbers given."""

    probability: float = 0.0
    gaussian: float = 0.0
    """Deviation of each pixel, in grey levels."""
    stripes: float = 0.0
    """Deviation of the columns, in grey levels: the fixed pattern of column amplifiers."""

    def __post_init__(self) -> None:
        _check_range("augment.infrared_noise.probability", self.probability, 1)
        _check_range("augment.infrared_noise.gaussian", self.gaussian, 64)
        _check_range("augment.infrared_noise.stripes", self.stripes, 64)


@dataclass(frozen=True)
class Misalign:
    """A movement of the infrared picture alone, about the middle of the cut."""

    probability: float = 0.0
    pixels: float = 0.0
    """Largest shift in each direction; whole pixels are drawn, others would also blur."""
    degrees: float = 0.0
    """Largest rotation."""
    scale: float = 0.0
    """Size is multiplied by 1 - scale to 1 + scale."""
    corners: float = 0.0
    """Largest shift of each corner of the cut, in pixels: makes the movement a homography."""

    def __post_init__(self) -> None:
        _check_range("augment.misalign.probability", self.probability, 1)
        _check_range("augment.misalign.pixels", self.pixels, 256)
        _check_range("augment.misalign.degrees", self.degrees, 45)
        _check_range("augment.misalign.scale", self.scale, 0.5)
        _check_range("augment.misalign.corners", self.corners, 64)


@dataclass(frozen=True)
class AugmentConfig:
    """How cuts are made of pairs. Geometry is drawn once for all pictures of a pair."""

    crop: int = 128
    """Side of the cuts in pixels; the largest of the recipe where a curriculum has smaller ones."""
    size_jitter: int = 0
    """Up to so many pixels are added to height and width, the same for a whole batch, so that the
    network also learns sizes that its grid cuts off."""
    flip_horizontal: float = 0.0
    """Probability."""
    flip_vertical: float = 0.0
    """Probability."""
    rotation: float = 0.0
    """Largest angle in degrees; borders are reflected."""
    scale: float = 0.0
    """Size is multiplied by 1 - scale to 1 + scale."""
    photometric_ir: Photometric = field(default_factory=Photometric)
    photometric_vis: Photometric = field(default_factory=Photometric)
    infrared_noise: InfraredNoise = field(default_factory=InfraredNoise)
    misalign: Misalign = field(default_factory=Misalign)

    def __post_init__(self) -> None:
        if self.crop < SMALLEST_CROP:
            raise InvalidInput("augment.crop", str(self.crop), f"{SMALLEST_CROP} or more")
        _check_range("augment.size_jitter", self.size_jitter, 64)
        _check_range("augment.flip_horizontal", self.flip_horizontal, 1)
        _check_range("augment.flip_vertical", self.flip_vertical, 1)
        _check_range("augment.rotation", self.rotation, 45)
        _check_range("augment.scale", self.scale, 0.5)


def _check_range(name: str, value: float, largest: float) -> None:
    if not 0 <= value <= largest:
        raise InvalidInput(name, f"{value:g}", f"0 to {largest:g}")

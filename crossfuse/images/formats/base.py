"""What the header of a picture says, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass

FORMATS = "PNG, JPEG, WebP or TIFF"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a file says about its picture, read without decoding it."""

    format: str
    """PNG, JPEG, WebP or TIFF."""
    width: int
    """Columns as stored, before the orientation is obeyed."""
    height: int
    """Rows as stored, before the orientation is obeyed."""
    channels: int
    """Colour channels of the decoded picture, alpha not counted: 1 grey, 3 RGB, 4 CMYK."""
    bit_depth: int
    """Bits per stored sample (of the index where there is a palette)."""
    palette: bool = False
    alpha: bool = False
    animated: bool = False
    """Several pictures in one file: frames or pages."""
    cmyk: bool = False
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    complete: bool = True
    """False when the file ends before its picture does."""

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height after the orientation is obeyed."""
        if self.orientation >= 5:
            return self.height, self.width
        return self.width, self.height

"""Writes the sample pair that ships in `crossfuse/assets/sample`: `ir.png` and `vis.png`.

python -m crossfuse.synthetic DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from crossfuse.synthetic import pair

SAMPLE_SEED = 12


def main(arguments: list[str] | None = None) -> None:
    """Write the two pictures into the folder given on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m crossfuse.synthetic", description="Write the sample pair as PNG files."
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="made where it does not exist")
    folder: Path = parser.parse_args(arguments).folder
    infrared, visible = pair(SAMPLE_SEED)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in (("ir", infrared), ("vis", cv2.cvtColor(visible, cv2.COLOR_RGB2BGR))):
            _, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
            (folder / f"{name}.png").write_bytes(data.tobytes())
    except OSError as error:
        parser.exit(1, f"{folder}: cannot be written: {error.strerror}; give a writable folder\n")


if __name__ == "__main__":
    main()

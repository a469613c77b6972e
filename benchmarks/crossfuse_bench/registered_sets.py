"""Sets of registered infrared and visible pictures, and known rigs made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array
from crossfuse.calibration import Recording
from crossfuse.calibration.geometry import Matrix, shrink, similarity
from crossfuse.calibration.recordings import WIDTH
from crossfuse_bench.own_alignment import OwnAlignment

Floats = NDArray[np.float64]

SIZE = (640, 480)
LARGEST_LAG = 0.3
FRAMES = 140
NOISE = 4.0
STILLS_RATE = 25.0
OWN_FRAMES = 60


@dataclass(frozen=True, slots=True, eq=False)
class PictureSet:
    """Registered frames of both cameras, uint8 HxW."""

    name: str
    ir: list[UInt8Array]
    vis: list[UInt8Array]
    fps: float

    def own_alignment(self) -> OwnAlignment:
        """How the set itself is off: measured on odd frames, which no case uses."""
        step = max(2, len(self.ir) // OWN_FRAMES // 2 * 2)
        return OwnAlignment(self.ir[1::step], self.vis[1::step])


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A known rig and the frames it is asked for; everything follows from its number."""

    number: int
    pictures: PictureSet
    scale: float
    turn: float
    truth: Matrix
    """From infrared pixel positions to those of the set's pictures."""
    lag: int
    """In frames: what the visible camera sees now, the infrared one saw so much before."""
    first: int
    count: int

    @property
    def frame(self) -> float:
        """Milliseconds from frame to frame."""
        return 1e3 / self.pictures.fps

    def recordings(self, own: OwnAlignment | None) -> tuple[Recording, Recording]:
        """What the infrared and the visible camera of the rig record.

        own: the own shifts of the set, to take them out of its pictures.
        """
        random = np.random.default_rng((self.number, own is not None))
        grid = np.stack(np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1])), axis=-1)
        places = np.asarray(
            cv2.perspectiveTransform(grid.astype(np.float64), self.truth), np.float64
        )
        outside = np.any((places < 0) | (places > np.array(SIZE) - 1), axis=-1)
        places = places if own is None else own.infrared_places(places)
        infrared = self.pictures.ir[self.first + 2 * self.lag :: 2][: self.count]
        ir = [_recorded(picture, places, outside, random) for picture in infrared]
        visible = self.pictures.vis[self.first :: 2][: self.count]
        times = np.arange(self.count, dtype=np.float64) / self.pictures.fps
        return (
            Recording("ir", SIZE, ir, times),
            Recording("vis", SIZE, [shrink(picture, WIDTH) for picture in visible], times),
        )


def draw_case(number: int, pictures: PictureSet) -> Case:
    """The case of this number: scale, turn, shift and lag by chance."""
    random = np.random.default_rng(number)
    scale, turn = random.uniform(0.7, 1.3), random.uniform(-5, 5)
    truth = similarity(scale, turn, SIZE, SIZE)
    truth[:2, 2] += random.uniform(-0.1, 0.1, 2) * SIZE
    most = round(LARGEST_LAG * pictures.fps)
    lag = int(random.integers(-most, most + 1))
    # Cases use the even frames, the set's own alignment comes from the odd ones.
    count = min(FRAMES, len(pictures.ir) // 2 - abs(lag))
    room = len(pictures.ir) // 2 - count
    first = 2 * int(random.integers(max(0, -lag), room - max(0, lag) + 1))
    return Case(number, pictures, scale, turn, truth, lag, first, count)


def load_sets(data: Path, most: int | None = None) -> list[PictureSet]:
    """The M3SVD clips and the MSRS stills, at most so many frames of each."""
    sets = []
    for path in sorted((data / "m3svd_video" / "ir").glob("*.mp4")):
        ir, fps = _read_clip(path, most)
        vis, _ = _read_clip(data / "m3svd_video" / "vis" / path.name, most)
        sets.append(PictureSet(f"M3SVD {path.stem}", ir, vis, fps))
    stills = sorted((data / "msrs" / "ir").glob("*.png"))[:most]
    ir = [_read_grey(path) for path in stills]
    vis = [_read_grey(data / "msrs" / "vis" / path.name) for path in stills]
    sets.append(PictureSet("MSRS stills", ir, vis, STILLS_RATE))
    return sets


def _recorded(
    picture: UInt8Array, places: Floats, outside: NDArray[np.bool_], random: np.random.Generator
) -> UInt8Array:
    """What the infrared camera of the rig sees: noisy, and nothing where the set shows nothing."""
    across, down = np.moveaxis(places.astype(np.float32), -1, 0)
    warped = cv2.remap(picture, across, down, cv2.INTER_LINEAR)
    warped[outside] = 0
    noisy = warped + NOISE * random.standard_normal(warped.shape, dtype=np.float32)
    return shrink(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), WIDTH)


def _read_clip(path: Path, most: int | None) -> tuple[list[UInt8Array], float]:
    capture = cv2.VideoCapture(str(path))
    frames: list[UInt8Array] = []
    while True:
        good, frame = capture.read()
        if not good or len(frames) == most:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8))


def _read_grey(path: Path) -> UInt8Array:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise FileNotFoundError(path)
    return np.asarray(picture, np.uint8)

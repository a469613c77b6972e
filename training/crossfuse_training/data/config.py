"""What a recipe says of its data: the sets, how they are split, and the curriculum."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images import parse_mapping

LAYOUTS = ("folders", "nested", "clips", "tno", "video", "synthetic")
HOLD_OUT = ("stems", "sequences", "all", "none")
_IN_SEQUENCES = ("nested", "clips", "video")


@dataclass(frozen=True)
class DataSet:
    """A set of pairs: where it is, how its files are laid out, under what terms it may be used.

    Layouts, below `path`:
      folders    ir/**/NAME and vis/**/NAME: RoadScene, M3FD (Ir, Vis), LLVIP (infrared/train, ...),
                 MSRS by its parts (path "msrs/train")
      nested     */ir/NAME and */vis/NAME: KAIST (set00/V000/lwir), MSRS (train/ir, test/ir)
      clips      CLIP/ir/NAME and CLIP/vis/NAME: the frames of M3SVD
      tno        IR*.* and VIS*.*, in one folder or in any below it
      video      ir/NAME.mp4 and vis/NAME.mp4: as many frames in both
      synthetic  no files: `count` scenes made by crossfuse.synthetic
    """

    name: str
    licence: str
    layout: str = "folders"
    path: str | None = None
    """Folder below the data root; None is the folder called `name`."""
    part: str = ""
    """Only the pairs below this folder, such as `train` for infrared/train and visible/train."""
    ir_folder: str | None = None
    """Name of the infrared folders; None knows ir, infrared, lwir, thermal in any case."""
    vis_folder: str | None = None
    """Name of the visible folders; None knows vis, vi, visible, rgb in any case."""
    hold_out: str | None = None
    """`stems`: every Nth by sorted stem; `sequences`: every Nth sequence, or the last where there
    are fewer, so that no neighbour of a held-out frame is trained on; `all`; `none`.
    None is `sequences` for nested, clips and video, else `stems`."""
    sequence: str = r"^\d+([DN])$"
    """Pattern whose first group, found in a file's stem, names what subsets are stratified by,
    beside the folder; the default knows the day and night of MSRS."""
    ir_mapping: str = "none"
    """How 16-bit infrared becomes 8-bit: `linear:LO:HI`, `percentile:LO:HI`, or `none`: refused."""
    every: int = 1
    """Only every so many-th frame of a clip; neighbours of a video hardly differ."""
    count: int = 0
    """Scenes of layout `synthetic`."""
    height: int = 96
    """Height of the scenes of layout `synthetic`."""
    width: int = 128
    """Width of the scenes of layout `synthetic`."""

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise InvalidInput("data.sets.name", repr(self.name), "a name without slash")
        if self.layout not in LAYOUTS:
            raise UnknownName("data.sets.layout", self.layout, LAYOUTS)
        if self.hold_out is not None and self.hold_out not in HOLD_OUT:
            raise UnknownName("data.sets.hold_out", self.hold_out, HOLD_OUT)
        if self.every < 1:
            raise InvalidInput("data.sets.every", str(self.every), "1 or more")
        if (self.layout == "synthetic") != (self.count > 0):
            received = f"{self.count} with layout {self.layout}"
            raise InvalidInput("data.sets.count", received, "1 or more with synthetic, else 0")
        if min(self.height, self.width) < 32:
            raise InvalidInput(
                "data.sets.height and width", f"{self.height}x{self.width}", "32 or more each"
            )
        parse_mapping(self.ir_mapping, field="data.sets.ir_mapping")
        try:
            groups = re.compile(self.sequence).groups
        except re.error as error:
            raise InvalidInput(
                "data.sets.sequence", f"{self.sequence!r} ({error})", "a regular expression"
            ) from None
        if groups < 1:
            raise InvalidInput("data.sets.sequence", repr(self.sequence), "a pattern with a group")
        if self._is_tno and self.held_out_by != "all":
            raise InvalidInput(
                f"data set {self.name}",
                f"TNO with hold_out = {self.held_out_by!r}",
                'hold_out = "all": TNO is kept as the unseen domain and never trained on',
            )

    @property
    def held_out_by(self) -> str:
        """`hold_out`, or what the layout asks for where it is None."""
        return self.hold_out or ("sequences" if self.layout in _IN_SEQUENCES else "stems")

    @property
    def _is_tno(self) -> bool:
        names = re.split(r"[\W_]+", f"{self.name}/{self.path or ''}".lower())
        return self.layout == "tno" or "tno" in names


@dataclass(frozen=True)
class DataConfig:
    """The data sets of a recipe, how they are split, and how much memory they may take."""

    sets: tuple[DataSet, ...]
    held_out_every: int = 10
    """Every so many-th pair or sequence is held out."""
    subset: int | None = None
    """Train on this many pairs, stratified; None is all."""
    cache_megabytes: int = 1024
    """Decoded pictures kept in memory; those that do not fit are read again each time."""
    without_root: tuple[DataSet, ...] = ()
    """Sets used in place of `sets` where no data root is given; all synthetic."""

    def __post_init__(self) -> None:
        if not self.sets:
            raise InvalidInput("data.sets", "no data set", "one [[data.sets]] table for each set")
        for field, sets in (("sets", self.sets), ("without_root", self.without_root)):
            names = [source.name for source in sets]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InvalidInput(f"data.{field}", f"{twice[0]} twice", "a name of its own each")
        if any(source.layout != "synthetic" for source in self.without_root):
            raise InvalidInput("data.without_root", "a set of files", "sets of layout synthetic")
        if self.held_out_every < 2:
            raise InvalidInput("data.held_out_every", str(self.held_out_every), "2 or more")
        if self.subset is not None and self.subset < 1:
            raise InvalidInput("data.subset", str(self.subset), "1 or more, or left out for all")
        if self.cache_megabytes < 0:
            raise InvalidInput("data.cache_megabytes", str(self.cache_megabytes), "0 or more")


@dataclass(frozen=True)
class CurriculumStage:
    """A part of the run with smaller cuts or fewer pairs."""

    until: float
    """Share of the steps at which the stage ends, 0 to 1."""
    crop: int | None = None
    """Side of the cuts; None is that of the augmentation."""
    subset: int | None = None
    """Number of pairs, of which later stages keep all; None is all."""

    def __post_init__(self) -> None:
        if not 0 < self.until <= 1:
            raise InvalidInput("curriculum.stages.until", str(self.until), "above 0, up to 1")
        if self.crop is not None and self.crop < 32:
            raise InvalidInput("curriculum.stages.crop", str(self.crop), "32 or more")
        if self.subset is not None and self.subset < 1:
            raise InvalidInput("curriculum.stages.subset", str(self.subset), "1 or more")


@dataclass(frozen=True)
class CurriculumConfig:
    """Stages one after another; none: the whole run as the augmentation and data say."""

    stages: tuple[CurriculumStage, ...] = ()

    def __post_init__(self) -> None:
        ends = [stage.until for stage in self.stages]
        if ends and (ends != sorted(set(ends)) or ends[-1] != 1):
            raise InvalidInput("curriculum.stages.until", str(ends), "rising shares, the last 1")

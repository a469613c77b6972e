"""A folder that shows where attention looks: a page, overlays, raw maps and numbers.

index.html              the page; open it in a browser, it needs nothing but this folder
heads.json              every number of the page
attention.npz           <module>.received and <module>.entropy, float32 [heads,rows,columns],
                        stitched over tiles; 8 bytes for each head and token
ir.png vis.png fused.png    the two inputs of the network and its output, grey
overlays/<module>/      mean.png (up to 1280 pixels a side) and head-NN.png (up to 320): how
                        much each place is looked at, over the picture that is looked at
gaze/<module>.js        where each place looks, mean of all heads, for the page
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import OutputError
from crossfuse.images import encode, write_file
from crossfuse_training.attention_maps import UNIFORM_FROM, Gaze, ModuleMaps
from crossfuse_training.attention_overlay import (
    CONTRAST,
    LESS,
    MORE,
    OPACITY,
    colour_scale,
    overlay,
    strength,
)
from crossfuse_training.networks.head_statistics import HeadThresholds, temperature_summary

MEAN_SIDE = 1280
HEAD_SIDE = 320


@dataclass(frozen=True)
class AttentionStudy:
    """Attention of one network on one pair, and where both come from."""

    checkpoint: str
    variant: str
    ir_name: str
    vis_name: str
    thresholds: HeadThresholds
    pictures: Mapping[str, NDArray[np.uint8]]
    """ir, vis and fused, grey, HxW."""
    modules: Sequence[ModuleMaps]


def numbers(study: AttentionStudy) -> dict[str, Any]:
    """The content of heads.json."""
    height, width = study.pictures["ir"].shape
    rows = [row for maps in study.modules for row in maps.heads]
    temperatures = temperature_summary(rows)
    return {
        "checkpoint": study.checkpoint,
        "variant": study.variant,
        "ir": study.ir_name,
        "vis": study.vis_name,
        "height": height,
        "width": width,
        "thresholds": {**asdict(study.thresholds), "uniform_entropy": UNIFORM_FROM},
        "temperatures": None if temperatures is None else asdict(temperatures),
        "modules": [_module_numbers(maps) for maps in study.modules],
    }


def write_study(folder: Path, study: AttentionStudy) -> None:
    """Write all files; those of an earlier run are replaced."""
    for name, picture in study.pictures.items():
        _write(folder / f"{name}.png", encode(picture))
    arrays = {}
    for maps in study.modules:
        arrays[f"{maps.module}.received"] = maps.received
        arrays[f"{maps.module}.entropy"] = maps.entropies
        _write_overlays(folder, maps, study.pictures[maps.looked_at])
        if maps.gaze is not None:
            _write(folder / _gaze_file(maps), _gaze_script(maps.module, maps.gaze))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    _write(folder / "attention.npz", buffer.getvalue())
    content = numbers(study)
    _write(folder / "heads.json", (json.dumps(content, indent=2) + "\n").encode())
    _write(folder / "index.html", _page(content, study.modules).encode())


def _module_numbers(maps: ModuleMaps) -> dict[str, Any]:
    statistics = [asdict(row) for row in maps.heads]
    for row in statistics:
        del row["module"]
    return {
        "module": maps.module,
        "title": maps.title,
        "asks": maps.asks,
        "looked_at": maps.looked_at,
        "token_side": maps.token_side,
        "rows": maps.received.shape[1],
        "columns": maps.received.shape[2],
        "entropy": math.fsum(row.entropy for row in maps.heads) / len(maps.heads),
        "relative_entropy": maps.relative_entropy,
        "uniform": maps.uniform,
        "heads": statistics,
    }


def _write_overlays(folder: Path, maps: ModuleMaps, picture: NDArray[np.uint8]) -> None:
    mean, head_scale = maps.received.mean(axis=0), colour_scale(maps.received)
    drawings = [("mean", mean, colour_scale(mean), MEAN_SIDE)]
    for head, received in enumerate(maps.received):
        drawings.append((f"head-{head:02d}", received, head_scale, HEAD_SIDE))
    for name, values, scale, side in drawings:
        drawing = overlay(
            picture, values, token_side=maps.token_side, scale=scale, longest_side=side
        )
        _write(folder / "overlays" / maps.module / f"{name}.png", encode(drawing))


def _page(content: dict[str, Any], modules: Sequence[ModuleMaps]) -> str:
    """The template with the numbers and the maps of all heads in it."""
    data = {
        **content,
        "more": MORE,
        "less": LESS,
        "opacity": OPACITY,
        "contrast": CONTRAST,
        "maps": [_module_data(maps) for maps in modules],
    }
    page, style, script = (
        (files("crossfuse_training") / f"attention_page.{kind}").read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
    )
    # A closing tag inside of a string would end the script.
    script = script.replace('"DATA"', json.dumps(data).replace("</", "<\\/"))
    return page.replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)


def _module_data(maps: ModuleMaps) -> dict[str, Any]:
    """What the page draws: strengths of all heads and of their mean, with their scales."""
    mean, head_scale = maps.received.mean(axis=0), colour_scale(maps.received)
    mean_scale = colour_scale(mean)
    gaze = None
    if maps.gaze is not None:
        gaze = {
            "file": _gaze_file(maps).as_posix(),
            "scale": colour_scale(maps.gaze.shares),
            "tile": maps.gaze.tile,
            "stride": maps.gaze.stride,
            "columns": maps.gaze.columns,
            "rows": len(maps.gaze.shares) // maps.gaze.columns,
        }
    return {
        "mean": _packed(mean, mean_scale),
        "mean_scale": mean_scale,
        "heads": [_packed(received, head_scale) for received in maps.received],
        "head_scale": head_scale,
        "gaze": gaze,
    }


def _gaze_script(module: str, gaze: Gaze) -> bytes:
    # A script, because a page opened from a disk may load no other kind of data file.
    packed = _packed(gaze.shares, colour_scale(gaze.shares))
    return f"gazeLoaded({json.dumps(module)}, {json.dumps(packed)});\n".encode()


def _packed(values: NDArray[np.floating], scale: float) -> str:
    """Strengths as signed bytes, -127 to 127, in base64."""
    levels = np.rint(127 * strength(values, scale)).astype(np.int8)
    return base64.b64encode(levels.tobytes()).decode("ascii")


def _gaze_file(maps: ModuleMaps) -> Path:
    return Path("gaze", f"{maps.module}.js")


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made: {error.strerror}") from error
    write_file(path, data)

"""The pairs of one folder, as the exporter needs them: ir/NAME and vis/NAME, found and split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossfuse.errors import InvalidInput

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
HOLD_OUT_EVERY = 10
_NAMES_IN_MESSAGE = 5


@dataclass(frozen=True)
class PairFiles:
    """The two files of a scene; the stem is their common name without suffix."""

    stem: str
    ir: Path
    vis: Path


def find_pairs(folder: Path) -> list[PairFiles]:
    """The pairs of `folder/ir` and `folder/vis`, sorted by stem.

    A picture without partner, or two with one stem, is an error that names it: a silent gap in the
    data would only show as a worse network.
    """
    ir, vis = _by_stem(folder / "ir"), _by_stem(folder / "vis")
    if not ir and not vis:
        raise InvalidInput(str(folder), "no pictures", f"pictures ({', '.join(SUFFIXES)})")
    for there, absent, name in ((ir, vis, "vis"), (vis, ir, "ir")):
        alone = sorted(there.keys() - absent.keys())
        if alone:
            raise InvalidInput(
                str(folder / name), f"no partner for {_listed(alone)}", "every stem in ir and vis"
            )
    return [PairFiles(stem, ir[stem], vis[stem]) for stem in sorted(ir)]


def split(pairs: Sequence[PairFiles]) -> tuple[list[PairFiles], list[PairFiles]]:
    """Training and held-out pairs: every 10th by sorted stem is held out."""
    ordered = sorted(pairs, key=lambda pair: pair.stem)
    held_out = ordered[HOLD_OUT_EVERY - 1 :: HOLD_OUT_EVERY]
    stems = {pair.stem for pair in held_out}
    return [pair for pair in ordered if pair.stem not in stems], held_out


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InvalidInput(str(folder), "no such folder", "a folder of pictures")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in found:
            raise InvalidInput(
                str(folder), f"{found[path.stem].name} and {path.name}", "one picture for each stem"
            )
        found[path.stem] = path
    return found


def _listed(stems: Sequence[str]) -> str:
    more = len(stems) - _NAMES_IN_MESSAGE
    return ", ".join(stems[:_NAMES_IN_MESSAGE]) + (f" and {more} more" if more > 0 else "")

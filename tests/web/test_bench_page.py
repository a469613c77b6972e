"""The page of `bench` in Chromium, as wide as a desk and a phone; its pictures in docs/."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from crossfuse_bench.report.html_page import html_page
from crossfuse_bench.report.schema import validate

FOLDER = os.environ.get("CROSSFUSE_SCREENSHOTS", "")
KEPT = Path("benchmarks/results/bench-rt-cpu2-ort1.31.json")
COLOURS = 256


@pytest.fixture(scope="module")
def document(root: Path) -> dict[str, Any]:
    """The report that is kept."""
    found: dict[str, Any] = json.loads((root / KEPT).read_text(encoding="utf-8"))
    validate(found)
    return found


@pytest.fixture(scope="module")
def page_file(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page."""
    file = tmp_path_factory.mktemp("bench") / "report.html"
    file.write_text(html_page(document), encoding="utf-8")
    return file


@pytest.mark.parametrize(("width", "height"), [(1280, 2000), (390, 1700)])
def test_the_page_fits(
    width: int,
    height: int,
    document: dict[str, Any],
    page_file: Path,
    open_page: Callable[..., Any],
    tmp_path: Path,
) -> None:
    page = open_page(page_file.as_uri(), width, height)
    assert page.value("document.documentElement.scrollWidth") == width
    # Calls of every part, two of closed loops, one of open loops, the phases, and the fits.
    charts = len(document["extra"]["parts"]) + 4 + len(document["extra"]["fits"])
    assert page.value("document.querySelectorAll('figure').length") == charts
    widths = page.value("[...document.querySelectorAll('svg')].map(chart => chart.clientWidth)")
    assert all(250 < found < width for found in widths)
    assert page.requested() == [page_file.as_uri()]
    assert page.complaints() == []
    page.screenshot(tmp_path / "page.png", whole=False)
    with Image.open(tmp_path / "page.png") as shot:
        assert shot.size == (width, height)
        if FOLDER:  # only `make web` keeps them
            few = shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            few.save(Path(FOLDER) / f"bench-{width}.png", optimize=True)

"""Writes the figures of docs/scaling.md and its plots from the kept measurements.

    python -m crossfuse_bench.scaling_page

What stands between the marks of the page is replaced; the words around it are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from crossfuse_bench.scaling_plan import processor_time_of_a_pair
from crossfuse_bench.scaling_plots import plots
from crossfuse_bench.scaling_tables import blocks

ROOT = Path(__file__).resolve().parents[2]
FILES = {"waiting": "scaling-waiting-cpu2.json", "rt": "scaling-rt-cpu2.json"}


def main(words: list[str] | None = None) -> int:
    """Rewrite the page and its plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    root = parser.parse_args(words).root
    results = root / "benchmarks" / "results"
    found = {
        name: json.loads((results / file).read_text(encoding="utf-8"))
        for name, file in FILES.items()
    }
    images = root / "docs" / "images"
    for name, plot in plots(found).items():
        (images / f"{name}.svg").write_text(plot + "\n", encoding="utf-8")
    page = root / "docs" / "scaling.md"
    text = page.read_text(encoding="utf-8")
    for name, block in blocks(found, processor_time_of_a_pair(results)).items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        assert text.count(begin) == text.count(end) == 1, f"the page has no marks for {name}"
        before, rest = text.split(begin)
        text = f"{before}{begin}{block}\n{end}{rest.split(end)[1]}"
    page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

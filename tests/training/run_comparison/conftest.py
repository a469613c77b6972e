"""Run folders as `crossfuse train` writes them, with known numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a run whose held-out SSIM is `level` plus something of each picture."""

    def write(
        name: str,
        level: float = 0.5,
        *,
        pictures: int = 12,
        first: int = 0,
        batch: int = 8,
        loss: Mapping[str, Any] | None = None,
        sha256: str = "a",
        change: Callable[[dict[str, dict[str, Any]]], None] | None = None,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        random = np.random.default_rng(7)
        per_image: dict[str, dict[str, Any]] = {}
        for number in range(first, first + pictures):
            own = random.normal(0, 0.1)
            per_image[f"set/{number:03}"] = {"SSIM": level + own, "Nabf": 0.2 + own / 10}
        if change is not None:
            change(per_image)
        run = {
            "schema": 1,
            "name": name,
            "stage": "end-to-end",
            "status": "done",
            "seconds": 12.5,
            "steps": 1000,
            "seed": 1,
            "git_commit": "0123456789abcdef",
            "data": [
                {"set": "set", "split": "train", "pairs": 90, "sha256": name},
                {"set": "set", "split": "held-out", "pairs": pictures, "sha256": sha256},
            ],
        }
        lines: list[dict[str, Any]] = []
        for step in range(0, 1001, 100):
            seen = step * batch
            if step:
                lines.append(
                    {"kind": "train", "step": step, "pairs_seen": seen, "total": 500 / step}
                )
            if step % 500 == 0:
                metrics = {"SSIM": level * step / 1000}
                lines.append(
                    {
                        "kind": "validation",
                        "step": step,
                        "pairs_seen": seen,
                        "loss": 2 - step / 1000,
                    }
                    | {"metrics": metrics}
                )
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "held_out.json").write_text(json.dumps({"per_image": per_image}))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        weights = "".join(f"{k} = {v}\n" for k, v in (loss or {"weight": 1}).items())
        (folder / "recipe.toml").write_text(f'name = "{name}"\n[loss.ssim]\n{weights}')
        return folder

    return write

"""The small files of a run: the recipe as TOML, metrics.jsonl, previews, progress."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from crossfuse_training.networks.registry import build
from crossfuse_training.runs.metrics_log import MetricsLog, read_metrics
from crossfuse_training.runs.previews import write_preview
from crossfuse_training.runs.progress import Progress, gates, temperatures
from crossfuse_training.toml_text import to_toml

_text = st.text(st.characters(codec="utf-8"), max_size=8)
_plain = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text
)
_tables = st.recursive(
    st.dictionaries(_text, _plain | st.lists(_plain, max_size=3), max_size=3),
    lambda inner: st.dictionaries(
        _text, _plain | inner | st.lists(inner, min_size=1, max_size=2), max_size=3
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(_tables)
def test_any_table_is_read_back_from_its_toml(table: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(table)) == table


def test_an_unfinished_line_is_no_entry_and_later_lines_can_be_dropped(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in (10, 20, 30):
        log.append({"kind": "train", "step": step, "total": float("nan") if step == 20 else 1.5})
    with log.path.open("a") as file:
        file.write('{"kind": "tra')
    assert [entry["total"] for entry in read_metrics(log.path)] == [1.5, None, 1.5]
    log.cut_after(20)
    log.append({"kind": "train", "step": 21})
    assert [entry["step"] for entry in read_metrics(log.path)] == [10, 20, 21]


def test_a_preview_shows_the_pictures_beside_each_other(tmp_path: Path) -> None:
    pictures = [torch.full((1, 1, 20, 30), level) for level in (10.4, 99.6, 300.0)]
    write_preview(tmp_path / "step.png", *pictures)
    strip = cv2.imread(str(tmp_path / "step.png"), cv2.IMREAD_GRAYSCALE)
    assert strip is not None
    assert strip.shape == (20, 3 * 30 + 2 * 4)
    assert [int(strip[10, x]) for x in (15, 32, 49, 66, 83)] == [10, 255, 100, 255, 255]


def test_a_line_has_the_means_since_the_line_before() -> None:
    progress, network = Progress(steps=100, batch=4), nn.Identity()
    for total in (1.0, 2.0, 6.0):
        progress.add({"total": total, "l1": total / 2}, waited=0.0)
    entry = progress.entry(3, {"all": 0.1}, network)
    assert (entry["total"], entry["parts"], entry["pairs_seen"]) == (3.0, {"l1": 1.5}, 12)
    progress.add({"total": 5.0, "ssim": 0.5}, waited=0.0)
    kept = progress.state()
    other = Progress(steps=100, batch=4)
    other.restore(kept)
    for going in (progress, other):
        going.add({"total": 7.0, "l1": 1.0, "ssim": 0.1}, waited=0.0)
        entry = going.entry(5, {"all": 0.1}, network)
        assert entry["total"] == 6.0
        assert entry["parts"] == pytest.approx({"ssim": 0.3, "l1": 1.0})


def test_waiting_is_a_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 1.0, 5.0, 7.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress(steps=4, batch=8)
    progress.add({"total": 1.0}, waited=0.25)
    progress.pause()  # at 1.0
    progress.pause()  # a validation until 5.0 is no part of the rate
    progress.add({"total": 1.0}, waited=0.5)
    entry = progress.entry(2, {"all": 0.1}, nn.Identity())
    assert entry["wait_share"] == pytest.approx(0.75 / 3)
    assert entry["rate"] == pytest.approx(16 / 3)
    line = progress.line(entry)
    assert "step 2/4" in line
    assert "waiting 25.0%" in line
    assert "0 min 03 s to go" in line


def test_temperatures_and_gates_are_found() -> None:
    network = build("base", growth_channels=4, half_channels=8, deep_channels=8, heads=2,
                    decoder_channels=8, shallow_channels=4, residual_gates=True)  # fmt: skip
    assert {len(values) for values in temperatures(network).values()} == {2}
    assert np.allclose(list(temperatures(network).values()), 1.0)
    found = gates(network)
    assert found["residual"] == [0.0, 1.0]
    assert [1.0, 1.0, 1.0] in found.values()

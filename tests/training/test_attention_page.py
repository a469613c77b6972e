"""Attention reduced to maps, drawn over pictures, and written as a page."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput, OutputError
from crossfuse.images import read_visible
from crossfuse_training import attention_maps as maps_module
from crossfuse_training.attention_maps import attention_maps, require_attention
from crossfuse_training.attention_overlay import colour_scale, overlay, strength
from crossfuse_training.attention_page import AttentionStudy, numbers, write_study
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.head_statistics import HeadThresholds
from crossfuse_training.networks.introspection import AttentionRecorder
from crossfuse_training.networks.registry import build

TINY = CrossFuseConfig(
    shallow_channels=4,
    growth_channels=6,
    half_channels=8,
    deep_channels=8,
    decoder_channels=8,
    heads=4,
    mlp_ratio=2.0,
    tile=8,
)
HEIGHT, WIDTH = 100, 140
# Deep maps of such pictures are 12 x 17 positions: 6 x 9 tokens of 2 x 2, in 2 x 3 tiles.
ROWS, COLUMNS = 6, 9
CROSS = "deep_fusion.cross.ir_to_vis.blocks.0.attention"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def network(**switches: Any) -> CrossFuse:
    """A tiny network whose attention prefers some tokens."""
    made = CrossFuse(replace(TINY, **switches)).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.endswith(("query.weight", "key.weight", "qkv.weight")):
                weight.mul_(10)
    return made


def pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    generator = np.random.default_rng(0)
    ir, vis = generator.integers(0, 256, (2, HEIGHT, WIDTH), np.uint8)
    ir[20:60, 30:80] = 255
    return ir, vis


def study_of(made: CrossFuse, *, ir_name: str = "scene.png") -> AttentionStudy:
    ir, vis = pair()
    fused, modules = attention_maps(made, ir, vis)
    return AttentionStudy(
        checkpoint="tiny",
        variant="crossfuse",
        ir_name=ir_name,
        vis_name="scene.jpg",
        thresholds=HeadThresholds(),
        pictures={"ir": ir, "vis": vis, "fused": fused},
        modules=modules,
    )


@pytest.mark.parametrize("overlap", [0, 4])
def test_maps_are_those_of_the_recorder_and_change_nothing(overlap: int) -> None:
    made, (ir, vis) = network(tile_overlap=overlap), pair()
    images = [torch.from_numpy(image).float()[None, None] for image in (ir, vis)]
    with torch.no_grad(), AttentionRecorder(made) as recorder:
        expected = made(*images)[0, 0].round().to(torch.uint8).numpy()
    fused, modules = attention_maps(made, ir, vis)
    assert np.array_equal(fused, expected)
    assert [maps.module for maps in modules] == [record.module for record in recorder.records]
    for maps, record in zip(modules, recorder.records, strict=True):
        assert maps.received.shape == maps.entropies.shape == (4, ROWS, COLUMNS)
        assert np.array_equal(maps.received, record.received()[0].numpy())
        assert np.array_equal(maps.entropies, record.entropies()[0].numpy())
        assert [row.head for row in maps.heads] == [0, 1, 2, 3]
        assert not maps.uniform
    assert not any(module._forward_hooks for module in made.modules())


def test_gaze_is_where_each_token_looks() -> None:
    made, (ir, vis) = network(), pair()
    images = [torch.from_numpy(image).float()[None, None] for image in (ir, vis)]
    with torch.no_grad(), AttentionRecorder(made) as recorder:
        made(*images)
    for maps, record in zip(attention_maps(made, ir, vis)[1], recorder.records, strict=True):
        gaze = maps.gaze
        assert gaze is not None
        assert gaze.shares.shape == (6, 16, 16)
        assert np.allclose(gaze.shares.astype(np.float32).mean(-1), 1, atol=2e-3)
        # The token of row 5 and column 6 is in row 1, column 2 of the tile in row 1, column 1.
        assert (gaze.tile, gaze.stride, gaze.columns) == (4, 4, 3)
        looks = gaze.shares[1 * 3 + 1, 1 * 4 + 2].reshape(4, 4)
        of_that_token = torch.zeros_like(record.weights)
        of_that_token[4, :, 6] = record.weights[4, :, 6]
        seen = replace(record, weights=of_that_token).received()[0].mean(0)[4:6, 4:8].numpy() * 16
        assert np.allclose(looks[:2], seen, rtol=2e-3)


def test_gaze_of_too_many_tokens_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(maps_module, "LARGEST_GAZE", 6 * 16 * 16 - 1)
    study = study_of(network())
    assert all(maps.gaze is None for maps in study.modules)
    write_study(tmp_path, study)
    assert not (tmp_path / "gaze").exists()
    assert page_data(tmp_path)["maps"][0]["gaze"] is None


def test_every_module_has_a_name_and_a_picture() -> None:
    made = network(multiscale=True, self_layers=1, cross_layers=2)
    found = {
        maps.title: (maps.asks, maps.looked_at, maps.token_side, maps.received.shape[1:])
        for maps in attention_maps(made, *pair())[1]
    }
    deep, quarter = (16, (ROWS, COLUMNS)), (8, (13, 18))
    expected = {
        "Self-attention 1, infrared": ("ir", "ir"),
        "Self-attention 1, visible": ("vis", "vis"),
        "Cross-attention, infrared looks at visible": ("ir", "vis"),
        "Cross-attention 2, infrared looks at visible": ("ir", "vis"),
        "Cross-attention, visible looks at infrared": ("vis", "ir"),
        "Cross-attention 2, visible looks at infrared": ("vis", "ir"),
    }
    assert found == {
        **{title: (*pictures, *deep) for title, pictures in expected.items()},
        **{f"{title}, at 1/4": (*pictures, *quarter) for title, pictures in expected.items()},
    }


def test_vanished_weights_are_called_uniform() -> None:
    made = network()
    with torch.no_grad():
        made.get_submodule(CROSS).get_parameter("query.weight").mul_(1e-3)
        made.get_submodule(CROSS).get_parameter("query.bias").zero_()
    uniform = [maps.module for maps in attention_maps(made, *pair())[1] if maps.uniform]
    assert uniform == [CROSS]


@pytest.mark.parametrize(
    "made",
    [
        build("rt"),
        CrossFuse(replace(TINY, fusion_block="cnn")),
        CrossFuse(replace(TINY, self_layers=0, cross_layers=0)),
    ],
    ids=["student", "cnn", "no-layers"],
)
def test_networks_without_attention_are_refused(made: torch.nn.Module) -> None:
    with pytest.raises(InvalidInput, match="checkpoint: got runs/x, which has no cross-attention"):
        require_attention(made, "runs/x")


def test_networks_with_attention_are_taken() -> None:
    require_attention(CrossFuse(replace(TINY, cross_layers=0)), "runs/x")


def page_data(folder: Path) -> dict[str, Any]:
    """The data inside of the page."""
    match = re.search(r"^const data = (.*);$", (folder / "index.html").read_text(), re.MULTILINE)
    assert match is not None
    found: dict[str, Any] = json.loads(match[1])
    return found


def unpacked(text: str) -> NDArray[np.int8]:
    return np.frombuffer(base64.b64decode(text), np.int8)


def test_the_folder_holds_what_was_seen(tmp_path: Path) -> None:
    study = study_of(network(temperature="per_head"))
    write_study(tmp_path, study)
    content = numbers(study)
    assert json.loads((tmp_path / "heads.json").read_text()) == content
    assert content["temperatures"]["heads"] == 8
    assert content["temperatures"]["classes"] == {"sharp": 0, "moderate": 8, "broad": 0}
    assert [len(module["heads"]) for module in content["modules"]] == [4] * 6
    assert (content["height"], content["width"]) == (HEIGHT, WIDTH)
    with np.load(tmp_path / "attention.npz") as arrays:
        assert len(arrays) == 12
        for maps in study.modules:
            assert np.array_equal(arrays[f"{maps.module}.received"], maps.received)
            assert np.array_equal(arrays[f"{maps.module}.entropy"], maps.entropies)
    for name, picture in study.pictures.items():
        assert np.array_equal(read_visible(tmp_path / f"{name}.png"), picture)
    for maps in study.modules:
        scale = colour_scale(maps.received)
        drawn = overlay(
            study.pictures[maps.looked_at], maps.received[2],
            token_side=16, scale=scale, longest_side=320,
        )  # fmt: skip
        written = read_visible(tmp_path / "overlays" / maps.module / "head-02.png")
        assert np.array_equal(written, drawn)


def test_the_page_draws_the_maps_and_needs_only_its_folder(tmp_path: Path) -> None:
    study = study_of(network())
    write_study(tmp_path, study)
    data = page_data(tmp_path)
    content = json.loads((tmp_path / "heads.json").read_text())
    assert {key: data[key] for key in content} == content
    for module, drawn, maps in zip(data["modules"], data["maps"], study.modules, strict=True):
        expected = 127 * strength(maps.received[3], drawn["head_scale"])
        assert np.allclose(unpacked(drawn["heads"][3]), expected.ravel(), atol=0.51)
        assert len(unpacked(drawn["mean"])) == module["rows"] * module["columns"]
        for head in range(4):
            assert (tmp_path / "overlays" / module["module"] / f"head-{head:02d}.png").is_file()
        assert (tmp_path / "overlays" / module["module"] / "mean.png").is_file()
        script = (tmp_path / drawn["gaze"]["file"]).read_text()
        name, packed = json.loads(f"[{script.strip()[len('gazeLoaded(') : -2]}]")
        assert name == module["module"]
        assert len(unpacked(packed)) == 6 * 16 * 16
    page = (tmp_path / "index.html").read_text()
    assert "//" not in re.sub(r"^const data = .*$|^\s*//.*$", "", page, flags=re.MULTILINE)
    for source in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert source == "data:," or (tmp_path / source).is_file()


def test_a_name_cannot_end_the_script(tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script>.png"
    write_study(tmp_path, study_of(network(), ir_name=name))
    assert page_data(tmp_path)["ir"] == name
    assert (tmp_path / "index.html").read_text().count("</script>") == 1


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        write_study(tmp_path / "file" / "page", study_of(network()))

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from crossfuse.cli import main
from crossfuse.cli.import_official import verdict
from crossfuse_training import checkpoint
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.official import AttentionHealth
from crossfuse_training.official_names import Table, autoencoder_tensors, fusion_tensors

FILES = ("ir_encoder", "vis_encoder", "fusion")
CROSS = "deep_fusion.cross.ir_to_vis.blocks.0.attention"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def published(table: Table) -> dict[str, Tensor]:
    """Random weights under the published names, with sizes that let attention tell tokens apart."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for name, expected in table.items():
        shape = expected.shape
        if expected.constant is not None:
            state[name] = torch.full(shape, expected.constant)
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(5)
        elif len(shape) > 1:
            fan_in = math.prod(shape[1:])
            state[name] = torch.randn(shape, generator=generator) / fan_in**0.5
        else:
            state[name] = (
                torch.ones(shape) if name.endswith(("weight", "var")) else torch.zeros(shape)
            )
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three files; the queries of one direction of cross-attention have vanished."""
    folder = tmp_path_factory.mktemp("published")
    config = CrossFuseConfig()
    for name in FILES[:2]:
        torch.save(published(autoencoder_tensors(config, name)), folder / name)
    fusion = published(fusion_tensors(config, {}))
    queries = "cross_atten_block.cross_atten_block.cross_atten1.blocks.0.attn.q_linear.weight"
    fusion[queries] *= 1e-3
    torch.save(fusion, folder / "fusion")
    return folder


def command(weights: Path, output: Path, *more: str, **files: str) -> list[str]:
    words = ["import-official", "-o", str(output), *more]
    for name in FILES:
        words += [f"--{name.replace('_', '-')}", str(weights / files.get(name, name))]
    return words


def test_the_account_is_complete_and_the_checkpoint_loads(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "checkpoints" / "official"
    assert main(command(weights, output, "--json")) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    content = json.loads(printed.out)
    digests = {name: hashlib.sha256((weights / name).read_bytes()).hexdigest() for name in FILES}
    assert content["output"] == str(output)
    assert content["parameters"] == 21_305_827
    assert content["sha256"] == digests
    assert content["temperature"] == "none"
    assert len(content["fates"]) == 26 + 26 + 134
    assert {fate["fate"] for fate in content["fates"]} == {"used", "dropped", "verified"}
    verdicts = {health["module"]: health["verdict"] for health in content["attention"]}
    assert len(verdicts) == 6
    assert verdicts.pop(CROSS) == (
        "degenerated: it averages all tokens alike, "
        "since its query or key weights have all but vanished"
    )
    assert set(verdicts.values()) == {"attends"}

    record = checkpoint.read_record(output)
    assert (record.architecture, record.variant, record.head) == (
        "crossfuse",
        "crossfuse",
        "minmax",
    )
    sources = record.training.options["files"]
    assert {name: source["sha256"] for name, source in sources.items()} == digests
    assert {name: source["name"] for name, source in sources.items()} == {
        name: name for name in FILES
    }
    network = checkpoint.load(output)
    stem = torch.load(weights / "vis_encoder", weights_only=True)
    used = next(fate for fate in content["fates"] if fate["file"] == "vis_encoder")
    assert torch.equal(network.state_dict()[used["detail"]], stem[used["tensor"]])


def test_a_checkpoint_is_replaced_only_when_asked(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "official"
    output.mkdir()
    (output / checkpoint.RECORD_NAME).write_text("mine")
    assert main(command(weights, output)) == 2
    assert (
        "which holds a checkpoint; valid: a new folder, or --overwrite" in capsys.readouterr().err
    )
    assert (output / checkpoint.RECORD_NAME).read_text() == "mine"

    assert main(command(weights, output, "--overwrite", "--verbose")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ir_encoder  used      fea_encoder1.conv1.conv2d.0.weight  (")
    table = next(i for i, line in enumerate(lines) if line.startswith("FILE "))
    assert table == 26 + 26 + 134
    assert lines[table + 1].split()[:5] == ["ir_encoder", "26", "18", "8", "0"]
    assert lines[table + 3].split()[:5] == ["fusion", "134", "119", "13", "2"]
    assert "learned temperatures: none" in lines
    assert sum(line.endswith("  attends") for line in lines) == 5
    assert lines[-1] == f"{output}: written, 21,305,827 parameters"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"fusion": "absent"}, "fusion: got "),
        (
            {"ir_encoder": "fusion"},
            "ir_encoder: got no tensor 'fea_encoder1.conv1.conv2d.0.weight'",
        ),
        ({"fusion": "vis_encoder"}, "fusion: got no tensor '"),
    ],
)
def test_other_files_are_refused_in_one_line(
    weights: Path,
    tmp_path: Path,
    files: dict[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(command(weights, tmp_path / "official", **files)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "official").exists()


@pytest.mark.parametrize(
    ("query_rms", "relative_entropy", "expected"),
    [
        (2.5e-2, 0.9, "attends"),
        (5e-4, 0.9, "weak: its query or key weights have all but vanished"),
        (2.5e-2, 0.9995, "degenerated: it averages all tokens alike"),
        (5e-4, 1.0, "degenerated: it averages all tokens alike, "
         "since its query or key weights have all but vanished"),
    ],
)  # fmt: skip
def test_verdicts(query_rms: float, relative_entropy: float, expected: str) -> None:
    health = AttentionHealth("module", 2.5e-2, 2.5e-2, 5.0, relative_entropy)
    assert verdict(replace(health, query_rms=query_rms)) == expected

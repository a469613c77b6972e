from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from crossfuse.cli import main
from crossfuse_training import checkpoint
from crossfuse_training.checkpoint import TrainingRecord
from crossfuse_training.networks.registry import VARIANTS, build, variants


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", variants())
def test_every_variant_is_described(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "describe", name, "--size", "64x96", "128x96", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["name"] == name
    assert content["architecture"] == VARIANTS[name].architecture
    total = content["parts"][0]
    with torch.device("meta"):
        assert total["parameters"] == parameters(build(name))
    assert list(total["macs"]) == ["64x96", "128x96"]
    assert 0 < total["macs"]["64x96"] < total["macs"]["128x96"]
    parts = [part for part in content["parts"] if part["level"] == 1]
    assert sum(part["parameters"] for part in parts) == total["parameters"]


def test_the_table_ends_with_the_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "describe", "crossfuse", "--depth", "1"]) == 0
    heading, columns, *rows = capsys.readouterr().out.splitlines()
    assert heading == "crossfuse: architecture crossfuse"
    assert columns.split() == [
        "PART", "PARAMETERS", "GMAC", "256x256", "GMAC", "480x640", "GMAC", "720x1280",
    ]  # fmt: skip
    # The published network without its dense box filters, 7.077 GMAC at 480x640.
    assert rows[0].split() == ["ir_encoder", "1,125,312", "9.834", "46.095", "138.284"]
    assert rows[-1].split()[:2] == ["total", "21,305,827"]
    assert float(rows[-1].split()[3]) == pytest.approx(135.993 - 7.077, abs=5e-3)
    assert len(rows) == 5


def test_depth_chooses_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    levels = []
    for depth in ("0", "1", "3"):
        words = ["train", "describe", "base", "--size", "64x64", "--json", "--depth", depth]
        assert main(words) == 0
        parts = json.loads(capsys.readouterr().out)["parts"]
        levels.append(max(part["level"] for part in parts))
    assert levels == [0, 1, 3]


def test_numbers_can_be_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["heads=8", "mlp_ratio=2", "temperature=none", "multiscale=true"]
    assert main(["train", "describe", "base", *changes, "--size", "64x64", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    config = content["config"]
    assert (config["heads"], config["mlp_ratio"], config["temperature"]) == (8, 2.0, "none")
    assert config["multiscale"] is True
    assert any(part["part"] == "decoder.quarter_skip" for part in content["parts"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bass"], f"NAME: got 'bass'; valid: {', '.join(variants())} (did you mean 'base'?)"),
        (["base", "heads"], "override: got 'heads'; valid: key=value"),
        (["base", "head_count=3"], "option of base: got 'head_count'; valid: affine_gain"),
        (["base", "heads=many"], "heads: got 'many'; valid: a whole number"),
        (["base", "mlp_ratio=wide"], "mlp_ratio: got 'wide'; valid: a number"),
        (["base", "multiscale=1"], "multiscale: got '1'; valid: true or false"),
        (["base", "heads=5"], "heads: got 5; valid: a divisor"),
        (["base", "--depth", "-1"], "--depth: got -1; valid: 0 or more"),
        (["base", "--size", "16x64"], "sides 32 or more"),
        (["./none"], "checkpoint: got none (No such file or directory)"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "describe", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("size", ["640", "0x640", "480x", "480X640", "-1x4", "9999999x32"])
def test_a_size_is_height_by_width(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "describe", "base", f"--size={size}"]) == 2
    error = capsys.readouterr().err.strip()
    assert "valid: HEIGHTxWIDTH, such as 480x640" in error
    assert "\n" not in error


def test_an_action_is_needed() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train"])
    assert ended.value.code == 2


def test_a_checkpoint_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = build("rt", quarter_channels=8)
    record = TrainingRecord("test", {}, (), checkpoint.UNKNOWN_COMMIT)
    checkpoint.save(tmp_path / "small", network, variant="rt", training=record)
    folder = str(tmp_path / "small")
    assert main(["train", "describe", folder, "--size", "64x64", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["parts"][0]["parameters"] == parameters(network)
    assert content["config"]["quarter_channels"] == 8
    assert main(["train", "describe", folder, "quarter_channels=4"]) == 2
    assert "quarter_channels=4: got " in capsys.readouterr().err

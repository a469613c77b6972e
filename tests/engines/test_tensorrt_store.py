from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from crossfuse.bundles.store import open_bundle
from crossfuse.engines.tensorrt_key import EngineKey, Platform
from crossfuse.engines.tensorrt_profiles import Profile
from crossfuse.engines.tensorrt_store import (
    StoredEngine,
    engine_for,
    engines_folder,
    own_folder,
    stored_engines,
    write_engine,
)
from crossfuse.errors import BundleError

HERE = Platform("tensorrt", "10.16.1.11", "8.9")
KEY = EngineKey("ab" * 32, "fp16", HERE, "none", (Profile.fixed(32, 40, (1, 1, 4)),))


@pytest.fixture
def stored(mean_bundle: Path, tmp_path: Path) -> StoredEngine:
    return write_engine(tmp_path / "engines", open_bundle(mean_bundle).file("fp32"), KEY, b"plan")


def test_an_engine_is_found_by_its_file_and_precision(stored: StoredEngine) -> None:
    folder = stored.plan.parent
    assert stored_engines(folder, KEY.onnx_sha256, "fp16") == [stored]
    assert stored.read() == b"plan"
    assert stored_engines(folder, KEY.onnx_sha256, "fp32") == []
    assert stored_engines(folder, "cd" * 32, "fp16") == []
    assert stored_engines(folder / "absent", KEY.onnx_sha256, "fp16") == []
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert oct(stored.plan.stat().st_mode & 0o777) == "0o600"


def test_the_newest_that_runs_here_is_taken(mean_bundle: Path, stored: StoredEngine) -> None:
    model, folder = open_bundle(mean_bundle).file("fp32"), stored.plan.parent
    newer = write_engine(
        folder, model, replace(KEY, profiles=(Profile.fixed(64, 64),)), b"newer plan"
    )
    other = replace(KEY, platform=replace(HERE, version="11.4.0.106"))
    newest = write_engine(folder, model, other, b"newest plan")
    for age, engine in enumerate((newest, newer, stored)):
        os.utime(engine.plan.with_suffix(".json"), (1000 - age, 1000 - age))
    engines = stored_engines(folder, KEY.onnx_sha256, "fp16")
    assert engines == [newest, newer, stored]
    assert engine_for(engines, HERE) == newer
    assert engine_for(engines, replace(HERE, capability="9.0")) is None


def test_differences_are_named() -> None:
    other = replace(
        KEY,
        onnx_sha256="cd" * 32,
        platform=Platform("tensorrt", "11.4.0.106", "9.0"),
        profiles=(Profile.fixed(64, 64),),
    )
    assert KEY.differences(other) == [
        "another ONNX file",
        "profiles 32x40:1,1,4, wanted 64x64:1,1,1",
        "tensorrt 10.16.1.11, here tensorrt 11.4.0.106",
        "compute capability 8.9, here 9.0",
    ]
    assert KEY.differences(KEY) == []
    assert KEY.digest != other.digest
    assert EngineKey.from_json(json.loads(json.dumps(KEY.to_json())), "x") == KEY


@pytest.mark.parametrize(
    ("hardware", "capability", "runs"),
    [
        ("none", "8.9", True),
        ("none", "9.0", False),
        ("ampere+", "9.0", True),
        ("ampere+", "12.0", True),
        ("ampere+", "7.5", False),
        ("same-capability", "8.6", False),
    ],
)
def test_how_far_an_engine_travels(hardware: str, capability: str, runs: bool) -> None:
    strangers = replace(KEY, hardware=hardware).strangers_on(replace(HERE, capability=capability))
    assert (strangers == []) is runs


def test_what_others_may_write_is_not_loaded(stored: StoredEngine) -> None:
    stored.plan.chmod(0o620)
    with pytest.raises(BundleError, match=r"mode 620; valid: owner \d+, writable by nobody else"):
        stored.read()
    stored.plan.chmod(0o600)
    stored.plan.parent.chmod(0o777)
    with pytest.raises(BundleError, match="engines are code"):
        stored_engines(stored.plan.parent, KEY.onnx_sha256, "fp16")


def test_what_belongs_to_somebody_else_is_not_loaded(
    stored: StoredEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: stored.plan.stat().st_uid + 1)
    with pytest.raises(BundleError, match="got owner"):
        stored.read()
    with pytest.raises(BundleError, match="got owner"):
        own_folder(stored.plan.parent)


def test_a_link_is_not_followed(stored: StoredEngine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.plan"
    stored.plan.rename(elsewhere)
    stored.plan.symlink_to(elsewhere)
    with pytest.raises(BundleError, match="got a link"):
        stored.read()


def test_damage_is_named(stored: StoredEngine) -> None:
    stored.plan.write_bytes(b"plan?")
    with pytest.raises(BundleError, match="changed or damaged"):
        stored.read()
    record = stored.plan.with_suffix(".json")
    record.write_text('{"key": {"onnx_sha256": "x"}, "sha256": "y"}')
    with pytest.raises(BundleError, match=r"cannot be read .*export the engine again"):
        stored_engines(stored.plan.parent, "x", "fp16")
    record.write_text("not json")
    with pytest.raises(BundleError, match="remove it and export the engine again"):
        stored_engines(stored.plan.parent, "x", "fp16")


def test_the_folder_of_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CROSSFUSE_ENGINES", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert engines_folder() == tmp_path / "crossfuse" / "engines"
    monkeypatch.setenv("CROSSFUSE_ENGINES", str(tmp_path / "mine"))
    assert engines_folder() == tmp_path / "mine"

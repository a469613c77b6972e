from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from crossfuse.bundles import (
    find_bundle,
    installed_bundles,
    named_bundle,
    resolve_model,
    search_path,
)
from crossfuse.errors import BundleError, InvalidInput, ModelNotFound, UnknownName

WriteBundle = Callable[..., Path]


def test_the_highest_version_is_the_default(tmp_path: Path, write_bundle: WriteBundle) -> None:
    for version in (2, 10, 9):
        write_bundle(tmp_path, version=version)
    assert find_bundle("mean", tmp_path).manifest.version == 10
    assert find_bundle("mean:9", tmp_path).manifest.version == 9


def test_the_first_folder_of_the_search_path_wins(
    tmp_path: Path, write_bundle: WriteBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_bundle(tmp_path / "first", share=0.25)
    write_bundle(tmp_path / "second", share=0.75)
    monkeypatch.setenv("CROSSFUSE_MODELS", str(tmp_path / "second"))
    assert find_bundle("mean", tmp_path / "first").folder == first
    assert find_bundle("mean").folder == tmp_path / "second" / "mean" / "1"


def test_the_search_path_ends_in_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSFUSE_MODELS", "a:b")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    *path, package = search_path(tmp_path)
    assert path == [tmp_path, Path("a"), Path("b"), Path("models"), Path("/data/crossfuse/models")]
    assert package.parts[-3:] == ("crossfuse", "assets", "models")


def test_a_folder_is_a_path_only_where_it_is_written_as_one(
    tmp_path: Path, write_bundle: WriteBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path, version=1)
    write_bundle(tmp_path, version=2)
    monkeypatch.chdir(tmp_path)  # where a folder has the name of the model
    assert named_bundle("mean", tmp_path).reference == "mean:2"
    assert named_bundle("mean/1", tmp_path).reference == "mean:1"


def test_an_unknown_model_names_the_installed_ones(
    tmp_path: Path, write_bundle: WriteBundle
) -> None:
    write_bundle(tmp_path)
    with pytest.raises(ModelNotFound, match=r"'other'.*mean:1"):
        find_bundle("other", tmp_path)
    with pytest.raises(ModelNotFound, match=r"'mean:7'"):
        find_bundle("mean:7", tmp_path)


@pytest.mark.parametrize("name", ["", "A", "mean:0", "mean:x", "../mean", "a" * 65, "mean:1:2"])
def test_a_name_that_breaks_the_pattern_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="model"):
        find_bundle(name, tmp_path)


def test_a_changed_file_is_refused_with_both_hashes(mean_bundle: Path) -> None:
    file = resolve_model(mean_bundle, ["fp32"])
    file.path.write_bytes(file.path.read_bytes() + b"\0")
    with pytest.raises(BundleError) as caught:
        file.read()
    found = hashlib.sha256(file.path.read_bytes()).hexdigest()
    assert f"sha256 is {found}, but the manifest says {file.sha256}" in str(caught.value)


def test_an_onnx_file_of_a_bundle_is_checked_too(mean_bundle: Path) -> None:
    path = mean_bundle / "model.fp32.onnx"
    assert resolve_model(path, ["fp32"]).sha256 is not None
    loose = mean_bundle.parent / "loose.onnx"
    path.rename(loose)
    assert resolve_model(loose, ["fp32"]).sha256 is None


def test_a_precision_the_bundle_lacks_is_named(mean_bundle: Path) -> None:
    with pytest.raises(UnknownName, match=r"precision of mean:1: got 'int8'; valid: fp32"):
        resolve_model(mean_bundle, ["int8"])
    assert resolve_model(mean_bundle, ["fp16", "fp32"]).precision == "fp32"


def test_a_renamed_folder_is_refused(mean_bundle: Path) -> None:
    other = mean_bundle.rename(mean_bundle.parent / "2")
    with pytest.raises(BundleError, match=r"mean/1.*mean/2"):
        resolve_model(other, ["fp32"])


def test_a_broken_bundle_is_listed_and_does_not_hide_the_others(
    tmp_path: Path, write_bundle: WriteBundle
) -> None:
    write_bundle(tmp_path)
    broken = write_bundle(tmp_path, name="broken")
    (broken / "manifest.json").write_text("{")
    bundles, problems = installed_bundles(tmp_path)
    assert "mean:1" in [bundle.reference for bundle in bundles]
    assert [problem.folder for problem in problems] == [broken]
    with pytest.raises(BundleError, match="JSON"):
        find_bundle("broken", tmp_path)


def test_a_models_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="models"):
        installed_bundles(tmp_path / "none")


@pytest.mark.parametrize("path", ["./none", "folder/none", "none.onnx"])
def test_a_path_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(ModelNotFound, match="none"):
        resolve_model(path, ["fp32"])


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(InvalidInput, match=r"\.onnx"):
        resolve_model(tmp_path / "model.pt", ["fp32"])

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossfuse.bundles import Manifest
from crossfuse.errors import BundleError


def test_what_is_written_is_read_back(mean_bundle: Path) -> None:
    manifest = Manifest.read(mean_bundle)
    manifest.write(mean_bundle)
    assert Manifest.read(mean_bundle) == manifest


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", "Bad Name", "name"),
        ("name", "../up", "name"),
        ("version", 0, "version"),
        ("version", "1", "version"),
        ("schema", 2, "schema"),
        ("head", "magic", "head"),
        ("checkpoint_sha256", "abc", "checkpoint_sha256"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_value(
    mean_bundle: Path, key: str, value: object, expected: str
) -> None:
    path = mean_bundle / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, key: value}))
    with pytest.raises(BundleError, match=expected) as caught:
        Manifest.read(mean_bundle)
    assert json.dumps(value) in str(caught.value)


def test_a_file_outside_the_folder_is_refused(mean_bundle: Path) -> None:
    path = mean_bundle / "manifest.json"
    path.write_text(path.read_text().replace("model.fp32.onnx", "../../secret.onnx"))
    with pytest.raises(BundleError, match=r"files\.fp32\.path"):
        Manifest.read(mean_bundle)


def test_a_missing_key_is_named(mean_bundle: Path) -> None:
    path = mean_bundle / "manifest.json"
    content = json.loads(path.read_text())
    del content["head"]
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match="head"):
        Manifest.read(mean_bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_bytes_that_are_no_manifest_are_refused(mean_bundle: Path, content: bytes) -> None:
    (mean_bundle / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError):
        Manifest.read(mean_bundle)

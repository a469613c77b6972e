"""Every name of TensorRT's API that the source uses exists in 10.16 and in 11.4."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossfuse_export.tensorrt_names import missing_from_list, missing_from_module, used_names

REMOVED_IN_11 = {
    "BuilderFlag": {"FP16", "INT8", "BF16"},
    "NetworkDefinitionCreationFlag": {"EXPLICIT_BATCH"},
    "ICudaEngine": {"device_memory_size", "create_execution_context_without_device_memory"},
}


@pytest.mark.parametrize("version", ["10.16.1", "11.4"])
def test_the_names_exist(root: Path, version: str) -> None:
    path = root.parent / "shared" / "reference" / f"tensorrt_api_{version}.json"
    if not path.is_file():
        pytest.skip(f"no list of TensorRT {version}'s names: no {path.name} beside the checkout")
    assert missing_from_list(json.loads(path.read_text())) == []


def test_what_is_used_is_found() -> None:
    used = used_names()
    assert {"create_network", "build_serialized_network"} <= used["Builder"]
    assert "execute_async_v3" in used["IExecutionContext"]
    assert used["MemoryPoolType"] == {"WORKSPACE"}
    for name, removed in REMOVED_IN_11.items():
        assert not removed & used[name]


def test_a_name_that_is_missing_is_found_out() -> None:
    listed = {name: sorted(members) for name, members in used_names().items()}
    assert missing_from_list(listed) == []
    listed["Builder"].remove("create_network")
    del listed["DataType"]
    assert missing_from_list(listed) == ["Builder.create_network", "DataType", "DataType.UINT8"]

    class Module:
        """Has one class and nothing else."""

        class DataType:
            UINT8 = 1

    missing = missing_from_module(Module())
    assert "Builder" in missing
    assert not any(name.startswith("DataType") for name in missing)

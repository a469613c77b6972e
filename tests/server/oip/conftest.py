"""tritonclient against a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tritonclient import grpc as triton


def tensors(*arrays: tuple[str, Any]) -> list[Any]:
    """Inputs with the values of arrays, of their shapes and types."""
    inputs = []
    for name, array in arrays:
        tensor = triton.InferInput(name, array.shape, triton_type(array))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    return inputs


def triton_type(array: Any) -> str:
    """UINT8, FP32 and so on."""
    return str(array.dtype).upper().replace("FLOAT", "FP")


@pytest.fixture(scope="session", name="tensors")
def tensors_fixture() -> Callable[..., list[Any]]:
    """Makes inputs of (name, array)."""
    return tensors


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """Opens clients that are closed with the test."""
    opened: list[Any] = []

    def open_client(running: Any) -> Any:
        opened.append(triton.InferenceServerClient(running.address))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def client(server: Any, connect: Callable[..., Any]) -> Any:
    """A client of the server that tests share."""
    return connect(server)


@pytest.fixture
def infer(client: Any, make: Any) -> Callable[..., Any]:
    """Fuses a pair, by default a random one, as arrays [1,H,W] and [1,H,W,3]."""

    def call(ir: Any = None, vis: Any = None, model: str = "mean", **options: Any) -> Any:
        ir = make.ir()[None] if ir is None else ir
        vis = make.vis()[None] if vis is None else vis
        result = client.infer(model, tensors(("ir", ir), ("vis", vis)), **options)
        return result.as_numpy("fused")

    return call

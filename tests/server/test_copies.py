"""How often the samples of a RAW picture are copied between the message and the engine."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.convert import Converter
from crossfuse_server.gate import Claim, Gate
from crossfuse_server.jobs import Job
from crossfuse_server.options import read_options
from crossfuse_server.timeline import Timeline
from crossfuse_server.worker import together

HEIGHT, WIDTH = 480, 640


class Counted:
    """A picture's message that counts how often its bytes are taken out, each time a copy."""

    def __init__(self, message: pb.Image) -> None:
        self.copies: list[bytes] = []
        self._message = message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    @property
    def data(self) -> bytes:
        self.copies.append(bytes(bytearray(self._message.data)))
        return self.copies[-1]


@pytest.fixture
def converter() -> Converter:
    return Converter(
        read_options(pb.FuseOptions()),
        gate=Gate(1),
        claim=Claim("a"),
        max_pixels=HEIGHT * WIDTH,
    )


def job_of(ir: Any, vis: Any) -> Job:
    return Job(ir, vis, "a", float("inf"))


def test_a_raw_pair_is_copied_once_on_its_way_to_the_engine(
    converter: Converter, make: Any
) -> None:
    ir = Counted(make.raw(make.ir(HEIGHT, WIDTH)))
    vis = Counted(make.raw(make.vis(HEIGHT, WIDTH)))
    pair = converter.read_pair(ir, vis, 32, Timeline())  # type: ignore[arg-type]  # enough of it
    assert (len(ir.copies), len(vis.copies)) == (1, 1)
    seen_ir, seen_vis = together([job_of(pair.ir, pair.vis)])
    assert np.shares_memory(seen_ir, np.frombuffer(ir.copies[0], np.uint8))
    assert np.shares_memory(seen_vis, np.frombuffer(vis.copies[0], np.uint8))


def test_a_batch_costs_one_copy_more(make: Any) -> None:
    jobs = [job_of(make.ir(HEIGHT, WIDTH), make.vis(HEIGHT, WIDTH)) for _ in range(4)]
    tracemalloc.start()
    try:
        ir, vis = together(jobs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.01 * (ir.nbytes + vis.nbytes)


def test_a_raw_answer_is_copied_once_into_its_message(converter: Converter, make: Any) -> None:
    """protobuf's own copy is not among what Python allocates."""
    fused, message = make.vis(HEIGHT, WIDTH), pb.Image()
    tracemalloc.start()
    try:
        converter.write_image(message, fused, Timeline(), grey=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.01 * fused.nbytes
    assert message.data == fused.tobytes()

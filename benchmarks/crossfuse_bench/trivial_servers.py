"""Two gRPC servers that do the same trivial work, one with threads and one with asyncio."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np

from crossfuse.v1 import fusion_pb2 as pb

HEIGHT, WIDTH = 480, 640
OPTIONS = [("grpc.max_receive_message_length", 2**25), ("grpc.so_reuseport", 0)]


def answer_to(ir: pb.Image, vis: pb.Image) -> pb.Image:
    """The trivial work."""
    np.frombuffer(ir.data, np.uint8).reshape(HEIGHT, WIDTH)
    pixels = np.frombuffer(vis.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    return pb.Image(width=WIDTH, height=HEIGHT, channels=3, data=pixels.tobytes())


def stream_answer_to(request: pb.FuseStreamRequest) -> pb.FuseStreamResponse:
    """The same for a frame."""
    frame = request.frame
    image = answer_to(frame.ir, frame.vis)
    return pb.FuseStreamResponse(frame_id=frame.frame_id, fused=pb.FusedFrame(image=image))


def unary(request: pb.FuseRequest, context: Any) -> pb.FuseResponse:
    """Fuse, in a thread."""
    return pb.FuseResponse(fused=answer_to(request.ir, request.vis))


def stream(
    requests: Iterator[pb.FuseStreamRequest], context: Any
) -> Iterator[pb.FuseStreamResponse]:
    """FuseStream, in a thread."""
    return map(stream_answer_to, requests)


async def aio_unary(request: pb.FuseRequest, context: Any) -> pb.FuseResponse:
    """Fuse, as a coroutine."""
    return unary(request, context)


async def aio_stream(
    requests: AsyncIterator[pb.FuseStreamRequest], context: Any
) -> AsyncIterator[pb.FuseStreamResponse]:
    """FuseStream, as a coroutine."""
    async for request in requests:
        yield stream_answer_to(request)


def service(unary_method: Any, stream_method: Any) -> grpc.GenericRpcHandler[Any, Any]:
    """The two methods as a service."""
    return grpc.method_handlers_generic_handler(
        "crossfuse.v1.FusionService",
        {
            "Fuse": grpc.unary_unary_rpc_method_handler(
                unary_method, pb.FuseRequest.FromString, pb.FuseResponse.SerializeToString
            ),
            "FuseStream": grpc.stream_stream_rpc_method_handler(
                stream_method,
                pb.FuseStreamRequest.FromString,
                pb.FuseStreamResponse.SerializeToString,
            ),
        },
    )


def start_threads() -> int:
    """Start the server with threads; returns its port."""
    tune_allocator()
    server = grpc.server(ThreadPoolExecutor(16), options=OPTIONS)
    server.add_generic_rpc_handlers((service(unary, stream),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _kept.append(server)
    return port


def start_aio() -> int:
    """Start the server with asyncio, its loop in a thread; returns its port."""
    tune_allocator()
    port: list[int] = []
    ready = threading.Event()

    async def serve() -> None:
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((service(aio_unary, aio_stream),))
        port.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        ready.set()
        await server.wait_for_termination()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    ready.wait()
    return port[0]


def tune_allocator() -> None:
    """As the real server does."""
    # By name: this package must be usable where the server is not installed.
    memory: Any = importlib.import_module("crossfuse_server.memory")
    memory.tune_allocator()


STACKS: dict[str, Callable[[], int]] = {"threads": start_threads, "aio": start_aio}
_kept: list[grpc.Server] = []  # a server that nobody holds stops

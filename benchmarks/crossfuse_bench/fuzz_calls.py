"""Calls that nobody would make: changed bytes of good requests, and changed metadata."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeAlias

import cv2
import numpy as np

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.load import raw_request

SIZE = 32
EDGES = (0, 1, 2, 3, 31, 32, 33, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
NUMBERS = (0.0, 1.0, -1.0, 1e308, -1e-308, float("nan"), float("inf"))

Metadata: TypeAlias = tuple[tuple[str, str], ...]


def corpus() -> list[pb.FuseRequest]:
    """Good requests of every kind."""
    raw = raw_request(SIZE, SIZE)
    ir = np.frombuffer(raw.ir.data, np.uint8).reshape(SIZE, SIZE)
    vis = np.frombuffer(raw.vis.data, np.uint8).reshape(SIZE, SIZE, 3)
    found = [raw]
    for suffix, encoding in ((".png", pb.ENCODING_PNG), (".jpg", pb.ENCODING_JPEG)):
        request = pb.FuseRequest(
            ir=pb.Image(encoding=encoding, data=cv2.imencode(suffix, ir)[1].tobytes()),
            vis=pb.Image(encoding=encoding, data=cv2.imencode(suffix, vis)[1].tobytes()),
            options=pb.FuseOptions(output_encoding=encoding, quality=80),
        )
        found.append(request)
    deep = pb.FuseRequest()
    deep.CopyFrom(raw)
    deep.ir.dtype = pb.DATA_TYPE_UINT16
    deep.ir.data = (ir.astype("<u2") * 64).tobytes()
    deep.options.ir_mapping.percentile.low, deep.options.ir_mapping.percentile.high = 1, 99
    aligned = pb.FuseRequest()
    aligned.CopyFrom(raw)
    aligned.options.homography.extend([1, 0, 2, 0, 1, 2, 0, 0, 1])
    aligned.model.name, aligned.request_id = "none", "pair 7"
    return [*found, deep, aligned]


def changed_fields(chance: random.Random, request: pb.FuseRequest) -> bytes:
    """One to four fields on the edge of what they may be."""
    changed = pb.FuseRequest()
    changed.CopyFrom(request)
    for _ in range(chance.randint(1, 4)):
        image = chance.choice([changed.ir, changed.vis])
        options = changed.options
        what = chance.randrange(8)
        if what < 3:
            setattr(image, ("width", "height", "channels")[what], chance.choice(EDGES))
        elif what < 6:
            name = ("dtype", "encoding", "color_space")[what - 3]
            setattr(image, name, chance.randint(0, 6))
        elif what == 6:
            options.homography.append(chance.choice(NUMBERS))
        else:
            options.quality = chance.choice(EDGES)
            setattr(options, "output_encoding", chance.randint(0, 6))  # noqa: B010 - any number
    return changed.SerializeToString()


def changed_bytes(chance: random.Random, message: bytes, other: bytes) -> bytes:
    """Bytes flipped, cut, doubled, or mixed with those of another message."""
    data = bytearray(message)
    # The head holds the structure; the rest is mostly pictures.
    reach = len(data) if chance.random() < 0.3 else min(len(data), 96)
    for _ in range(chance.randint(1, 6)):
        data[chance.randrange(reach)] = chance.randrange(256)
    kind = chance.random()
    if kind < 0.2:
        del data[chance.randrange(len(data)) :]
    elif kind < 0.3:
        at = chance.randrange(len(data))
        data[at:at] = data[at : at + chance.randint(1, 40)]
    elif kind < 0.4:
        data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]
    return bytes(data)


def changed_header(chance: random.Random, token: str) -> str:
    """An `authorization` that nobody should be let in with, unless it comes out as it was."""
    kind = chance.randrange(6)
    if kind == 0:
        return chance.choice(["", "Bearer", "Bearer ", " ", f"Bearer{token}", f"Basic {token}"])
    if kind == 1:
        return "Bearer " + token[: chance.randrange(len(token))]
    if kind == 2:
        return f"Bearer {token}" + chance.choice([",", "x", " x", "\0", "=" * 5000])
    if kind == 3:
        return "Bearer " + token.swapcase()
    letters = list(f"Bearer {token}")
    for _ in range(chance.randint(1, 3)):
        letters[chance.randrange(len(letters))] = chr(chance.randrange(32, 256))
    return "".join(letters)


def changed_metadata(chance: random.Random, token: str) -> Metadata:
    """What a call carries beside its message: mostly the token, else something like it."""
    found = []
    if chance.random() < 0.9:
        found.append(("authorization", f"Bearer {token}"))
    elif chance.random() < 0.9:
        found.append(("authorization", changed_header(chance, token)))
    if chance.random() < 0.2:
        name = chance.choice(["x-request-id", "traceparent", "grpc-trace-bin", "te", "x" * 99])
        text = "".join(chr(chance.randrange(32, 256)) for _ in range(chance.randrange(300)))
        found.append((name, text))
    return tuple(found)


def calls(seed: int, token: str) -> Iterator[tuple[bytes, Metadata]]:
    """Changed requests and metadata without end; the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a load, not a secret
    requests = corpus()
    serialized = [request.SerializeToString() for request in requests]
    while True:
        number = chance.randrange(len(requests))
        if chance.random() < 0.4:
            message = changed_fields(chance, requests[number])
        else:
            message = changed_bytes(chance, serialized[number], chance.choice(serialized))
        yield message, changed_metadata(chance, token)

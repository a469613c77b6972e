"""The callers of a soak, good and bad ones, and their rests."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import cv2
import grpc
import numpy as np

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.half_messages import HalfMessages
from crossfuse_bench.load import connected, raw_request
from crossfuse_bench.soak_report import Outcome, Sample
from crossfuse_bench.soak_server import Holds, SoakServer

SIZES = ((64, 64), (96, 128), (240, 320), (480, 640))

WORK_SECONDS = 22.0

# A server looks every five seconds whether it is idle, and then gives its free memory back; on a
# busy machine the last calls may take a while to end. A rest is over when its memory has not
# fallen for so long, or has taken too long.
SETTLED_SECONDS = 7.0
LONGEST_REST = 30.0
METHODS = tuple(
    f"/{service}/{method}"
    for service, method in (
        ("crossfuse.v1.FusionService", "Fuse"),
        ("crossfuse.v1.FusionService", "FuseStream"),
        ("crossfuse.v1.FusionService", "GetServerInfo"),
        ("grpc.health.v1.Health", "Check"),
    )
)


class Soak:
    """The callers; each works until the time is over."""

    def __init__(self, server: SoakServer, seconds: float) -> None:
        self.outcome = Outcome()
        self._server = server
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._busy = 0
        self._go = threading.Event()
        self._go.set()

    def run(self) -> Outcome:
        """Everything at once, then the outcome."""
        works = [
            self._unary,
            self._unary,
            self._streams,
            self._rubbish,
            self._leavers,
            self._crash,
            self._reload,
        ]
        threads = [threading.Thread(target=self._until_the_end, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        while time.monotonic() < self._end:
            time.sleep(WORK_SECONDS)
            held = self._rest()
            self.outcome.samples.append(Sample(time.monotonic() - started, held))
            self._go.set()
        for thread in threads:
            thread.join()
        return self.outcome

    def _rest(self) -> Holds:
        """Stop the callers; what the server holds once it has given back what it can."""
        self._go.clear()
        while self._busy:
            time.sleep(0.01)
        least = self._server.holds()
        began = lowered = time.monotonic()
        while time.monotonic() < min(lowered + SETTLED_SECONDS, began + LONGEST_REST):
            time.sleep(0.5)
            held = self._server.holds()
            if held.memory_mb < least.memory_mb:
                least, lowered = held, time.monotonic()
        return least

    def _until_the_end(self, work: Callable[[random.Random], None]) -> None:
        chance = random.Random(work.__name__)  # noqa: S311 - a load, not a secret
        while self._go.wait() and time.monotonic() < self._end:
            with self._lock:
                self._busy += 1
            try:
                work(chance)
                code = "OK"
            except grpc.RpcError as error:
                call: Any = error
                code = call.code().name
            with self._lock:
                self._busy -= 1
                self.outcome.codes[code] += 1
            time.sleep(chance.uniform(0.0, 0.05))

    def _unary(self, chance: random.Random) -> None:
        """A few calls on a connection of its own, RAW or PNG, in and out."""
        with connected(self._server.address) as stub:
            for _ in range(chance.randint(1, 20)):
                request = raw_request(*chance.choice(SIZES), seed=chance.randint(0, 9))
                if chance.random() < 0.3:
                    request.vis.CopyFrom(as_png(request.vis))
                    request.options.output_encoding = pb.ENCODING_PNG
                stub.Fuse(request, timeout=30)

    def _streams(self, chance: random.Random) -> None:
        """A stream that is read to its end, or left in the middle."""
        height, width = chance.choice(SIZES)
        request = raw_request(height, width)
        frames = chance.randint(1, 60)

        def messages() -> Any:
            policy = chance.choice([pb.DROP_POLICY_NONE, pb.DROP_POLICY_OLDEST])
            yield pb.FuseStreamRequest(config=pb.StreamConfig(drop_policy=policy))
            for number in range(frames):
                frame = pb.StreamFrame(frame_id=number, ir=request.ir, vis=request.vis)
                yield pb.FuseStreamRequest(frame=frame)

        with connected(self._server.address) as stub:
            call = stub.FuseStream(messages(), timeout=60)
            leave_after = chance.randint(1, 2 * frames)
            for number, _ in enumerate(call):
                if number == leave_after:
                    call.cancel()
                    break

    def _rubbish(self, chance: random.Random) -> None:
        """A request with some of its bytes changed, and sometimes cut short."""
        message = bytearray(raw_request(64, 64).SerializeToString())
        for _ in range(chance.randint(1, 8)):
            message[chance.randrange(64)] = chance.randrange(256)
        with grpc.insecure_channel(self._server.address) as channel:
            call: Any = channel.unary_unary("/crossfuse.v1.FusionService/Fuse", None, None)
            call(bytes(message[: chance.randint(1, len(message))]), timeout=30)

    def _leavers(self, chance: random.Random) -> None:
        """Callers that go away: cancelled, out of time, or dead with their connection."""
        with connected(self._server.address) as stub:
            request = raw_request(480, 640)
            calls = [stub.Fuse.future(request, timeout=chance.choice([0.02, 30])) for _ in range(4)]
            time.sleep(chance.uniform(0.0, 0.05))
            calls[0].cancel()
        codes = [call.code().name for call in calls]
        with self._lock:
            self.outcome.codes.update(codes)

    def _crash(self, chance: random.Random) -> None:
        """A caller that is gone in the middle of its messages, without closing anything."""
        connection = HalfMessages(int(self._server.address.rpartition(":")[2]))
        for _ in range(chance.randint(1, 8)):
            connection.begin(chance.choice(METHODS))
        time.sleep(chance.uniform(0.0, 0.05))
        connection.crash()

    def _reload(self, chance: random.Random) -> None:
        """A new version in, an old one out; now and then a broken one."""
        self._server.reload(broken=chance.random() < 0.2)
        self.outcome.reloads += 1
        time.sleep(min(2.0, max(self._end - time.monotonic(), 0)))


def as_png(image: pb.Image) -> pb.Image:
    """The same picture as a file."""
    pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    return pb.Image(encoding=pb.ENCODING_PNG, data=cv2.imencode(".png", pixels)[1].tobytes())

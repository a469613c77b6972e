"""Models are swapped under load: no call may fail, and none may get the wrong model.

    python -m crossfuse_bench.reload -o FILE.md [--requests 10000] [--reloads 20]

The real server over loopback, with an engine that blends by a share which its bundle's manifest
tells: so every answer shows which model made it, and is held against the model it names. Every
reload brings a new version and takes an old one away; two bring broken bundles instead.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import Bundle
from crossfuse.engines import Engine, EngineDescription
from crossfuse.errors import BundleError
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_bench.conditions import conditions
from crossfuse_bench.stand_ins import NoEngine, write_bundle

SIZE = 64
CALLERS = 4
BROKEN_RELOADS = (7, 14)
IR_LEVEL, VIS_LEVEL = 250, 50

WriteVersion = Callable[[Path, int, float], object]


def share_of(version: int) -> float:
    """What the model of a version blends by; no two versions near each other agree."""
    return (version * 7 % 40) / 40


def level_of(version: int) -> int:
    """The grey level its answers have."""
    share = np.float32(share_of(version))
    return int(np.round(share * IR_LEVEL + (np.float32(1) - share) * VIS_LEVEL))


@dataclass(slots=True)
class Outcome:
    """What the callers saw."""

    answers: int = 0
    by_version: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    reloads: int = 0
    broken: int = 0
    """Reloads that brought a broken bundle, told of it, and changed nothing."""
    seconds: float = 0.0


class ReloadUnderLoad:
    """Callers that never stop, while the models change under them."""

    def __init__(self, server: Any, models: Path, write_version: WriteVersion) -> None:
        self.outcome = Outcome()
        self._server = server
        self._models = models
        self._write_version = write_version
        self._lock = threading.Lock()
        self._over = threading.Event()

    def run(self, requests: int, reloads: int) -> Outcome:
        """At least so many requests, with the reloads spread over them."""
        started = time.monotonic()
        callers = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            for number in range(1, reloads + 1):
                self._wait_for(number * requests // (reloads + 1))
                self._reload(number, broken=number in BROKEN_RELOADS)
            # Every caller once more, so that the last model has answered too.
            self._wait_for(max(requests, self.outcome.answers + 2 * CALLERS))
        finally:
            self._over.set()
            for caller in callers:
                caller.join()
        self.outcome.seconds = time.monotonic() - started
        return self.outcome

    def _reload(self, number: int, *, broken: bool) -> None:
        version = number + 1
        folder = self._models / "blend" / str(version)
        self._write_version(self._models, version, share_of(version))
        if broken:
            damaged = folder / ("manifest.json" if number == BROKEN_RELOADS[0] else MODEL_FILE)
            damaged.write_bytes(b"not what it was")
        elif (old := self._models / "blend" / str(version - 2)).exists():
            shutil.rmtree(old)
        changes = self._server.host.reload()
        self.outcome.reloads += 1
        if broken:
            shutil.rmtree(folder)
            self.outcome.broken += bool(changes.failures) and not changes.loaded
        elif changes.loaded != [f"blend:{version}"]:
            self.outcome.failures.append(f"reload {number}: {changes}")

    def _wait_for(self, answers: int) -> None:
        while self.outcome.answers < answers and not self.outcome.failures:
            time.sleep(0.001)

    def _call(self) -> None:
        size: dict[str, Any] = {"width": SIZE, "height": SIZE}
        request = pb.FuseRequest(
            ir=pb.Image(channels=1, data=bytes([IR_LEVEL]) * SIZE**2, **size),
            vis=pb.Image(channels=3, data=bytes([VIS_LEVEL]) * SIZE**2 * 3, **size),
        )
        with grpc.insecure_channel(f"127.0.0.1:{self._server.port}") as channel:
            stub_class: Any = fusion_pb2_grpc.FusionServiceStub
            stub = stub_class(channel)
            while not self._over.is_set():
                try:
                    answer = stub.Fuse(request, timeout=30)
                except grpc.RpcError as error:
                    self.outcome.failures.append(str(error))
                    return
                self._check(answer)

    def _check(self, answer: pb.FuseResponse) -> None:
        version = int(answer.model.version)
        levels = set(answer.fused.data)
        with self._lock:
            self.outcome.answers += 1
            self.outcome.by_version[version] += 1
            if levels != {level_of(version)}:
                self.outcome.wrong.append(f"version {version} gave {sorted(levels)}")


MODEL_FILE = "model.fp32.onnx"


class Blend(Engine):
    """share * ir + (1 - share) * vis, rounded."""

    def __init__(self, bundle: Bundle) -> None:
        if (bundle.folder / MODEL_FILE).read_bytes() != b"":
            raise BundleError(f"{bundle.folder}: the model file is damaged")
        self._share = np.float32(bundle.manifest.variant["share"])

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """ir uint8 [B,H,W], vis uint8 [B,H,W,3] -> uint8 [B,H,W,3]."""
        blend = self._share * ir[..., None] + (np.float32(1) - self._share) * vis
        return np.asarray(np.round(blend), np.uint8)

    def describe(self) -> EngineDescription:
        """Nothing that was loaded."""
        return EngineDescription("blend", 1, "none", "", "cpu", "none", "none", 1, 32)


def write_version(models: Path, version: int, share: float) -> None:
    """A bundle for Blend."""
    write_bundle(models, "blend", version, {"share": share})


def measure(requests: int, reloads: int) -> Outcome:
    """Run it against a server of its own."""
    # By name: this package must be usable where the server is not installed.
    app: Any = importlib.import_module("crossfuse_server.app")
    settings: Any = importlib.import_module("crossfuse_server.settings")
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        write_version(models, 1, share_of(1))
        server = app.FusionServer(
            settings.ServerSettings(port=0, models=models, default_model="blend"),
            lambda bundle: [Blend(bundle) if bundle.manifest.name == "blend" else NoEngine()],
        )
        server.start()
        while server.state.value != "serving":
            time.sleep(0.01)
        try:
            return ReloadUnderLoad(server, models, write_version).run(requests, reloads)
        finally:
            server.stop()


def report(outcome: Outcome) -> str:
    """The outcome as Markdown."""
    kept = not outcome.failures and not outcome.wrong
    return "\n".join(
        [
            "# Reload under load",
            "",
            *conditions("grpcio", "protobuf", "numpy"),
            f"- Method: {CALLERS} callers without a pause, RAW pictures of {SIZE}x{SIZE} over "
            "loopback; an engine that blends by the share its bundle tells, so that every answer "
            "shows which model made it. Every reload brings a version and takes one away; "
            f"reloads {BROKEN_RELOADS} bring a damaged manifest and a damaged model file instead.",
            "- Repeat it: `python -m crossfuse_bench.reload -o FILE.md`",
            "",
            f"0 failures and 0 answers of a wrong model: **{'kept' if kept else 'NOT kept'}**.",
            "",
            "| what | number |",
            "| --- | ---: |",
            f"| answers | {outcome.answers} |",
            f"| seconds | {outcome.seconds:.1f} |",
            f"| reloads | {outcome.reloads} |",
            f"| of them broken, refused and told | {outcome.broken} |",
            f"| versions that answered | {len(outcome.by_version)} |",
            f"| failed calls and reloads | {len(outcome.failures)} |",
            f"| answers that do not fit the model they name | {len(outcome.wrong)} |",
            "",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the report; 1 when a call failed or got a wrong model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--requests", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--reloads", type=int, default=20, help="default: %(default)s")
    args = parser.parse_args(argv)
    outcome = measure(args.requests, args.reloads)
    args.output.write_text(report(outcome), encoding="utf-8")
    print(outcome, file=sys.stderr)
    return int(bool(outcome.failures or outcome.wrong))


if __name__ == "__main__":
    sys.exit(main())

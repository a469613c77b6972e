"""Start a server, fuse the bundled sample pair through gRPC, and write four pictures.

The folder gets ir.png, vis.png, fused.png and comparison.png, which shows the three side by side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.client import FuseResult, FusionClient
from crossfuse.errors import MissingDependency
from crossfuse.images import encode, read_infrared, read_visible, write_file
from crossfuse.output_folder import make_output_folder

EXAMPLE = "  crossfuse demo --output demo"

SAMPLE = Path(__file__).resolve().parent.parent / "assets" / "sample"
CALLS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("demo"), help="folder to write to (default: demo)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Fuse the sample pair and say how long it took."""
    make_output_folder(args.output)
    ir, vis = read_infrared(SAMPLE / "ir.png"), read_visible(SAMPLE / "vis.png")
    with _server() as port, FusionClient(f"127.0.0.1:{port}") as client:
        times, result = _measure(client, ir, vis)
    pictures = {
        "ir": np.asarray(ir, np.uint8),
        "vis": vis,
        "fused": result.image,
    }
    pictures["comparison"] = _side_by_side(pictures)
    for name, picture in pictures.items():
        write_file(args.output / f"{name}.png", encode(picture))
    median = statistics.median(times) * 1e3
    if args.json:
        print(json.dumps({"output": str(args.output), "median_ms": median, "calls": len(times)}))
        return 0
    timings = result.timings
    print(
        f"latency: {vis.shape[1]}x{vis.shape[0]} through gRPC in {median:.1f} ms "
        f"(median of {len(times)} calls; the last one spent {timings.infer_us / 1e3:.1f} ms in "
        f"{result.model} and {timings.total_us / 1e3:.1f} ms in the server)"
    )
    print(f"pictures: {', '.join(str(args.output / f'{name}.png') for name in pictures)}")
    return 0


@contextmanager
def _server() -> Iterator[int]:
    """A server of the default model on a free port of this machine."""
    try:
        from crossfuse_server.app import FusionServer
        from crossfuse_server.settings import ServerSettings
    except ImportError as error:
        raise MissingDependency(error.name or "a package", "the demo", "cpu,server") from error
    server = FusionServer(ServerSettings(port=0))
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def _measure(
    client: FusionClient, ir: np.ndarray, vis: UInt8Array
) -> tuple[list[float], FuseResult]:
    """The times of some calls in seconds, and the last result."""
    result = client.fuse_with_details(ir, vis)
    # Models that still load in the background would be measured along.
    while any(model.state == "loading" for model in client.models()):
        time.sleep(0.05)
    times = []
    for _ in range(CALLS):
        started = time.perf_counter()
        result = client.fuse_with_details(ir, vis)
        times.append(time.perf_counter() - started)
    return times, result


def _side_by_side(pictures: dict[str, UInt8Array]) -> UInt8Array:
    """Pictures of one size beside each other, each with its name."""
    labels = {"ir": "infrared", "vis": "visible", "fused": "fused"}
    panels = []
    for name, picture in pictures.items():
        panel = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture.copy()
        for colour, width in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            font, place = cv2.FONT_HERSHEY_SIMPLEX, (12, 28)
            cv2.putText(panel, labels[name], place, font, 0.8, colour, width, cv2.LINE_AA)
        panels.append(panel)
    return np.hstack(panels)

"""Executes every step of the Dockerfile without a container engine, then runs what came out of it.

    python -m crossfuse_deploy.image_proof --target cpu

The result is started like a container: as its user, without rights, with a read-only root and a
tmpfs at /tmp. Base images are replaced by a fresh Debian, so their own content is not proven.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from crossfuse_deploy.image_build import Image, ImageBuilder
from crossfuse_deploy.roots import Container

CHECKOUT = Path(__file__).resolve().parents[3]
PATIENCE = 120.0
PICTURES = "/opt/crossfuse/lib/python3*/site-packages/crossfuse/assets/sample"
READ_METRICS = (
    "import urllib.request as u; "
    "assert b'crossfuse_pairs_total' in u.urlopen('http://localhost:8080/metrics').read()"
)
TRAINING = [
    *("crossfuse", "train", "end-to-end", "--config", "/configs/smoke/end-to-end.toml"),
    *("--output", "/tmp/run", "steps=2"),
]
NEEDED = ("debootstrap", "unshare", "nsenter", "chroot", "setpriv", "ip", "readelf")


class ProofFailed(Exception):
    """Something is not as the Dockerfile promises."""


def main(words: list[str] | None = None) -> int:
    """Prove the targets; 0 where all of it holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--target", action="append", choices=("cpu", "gpu", "train"))
    parser.add_argument("--argument", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--mount", action="append", default=[], type=Path, metavar="DIR",
                        help="a folder that steps may read, such as one with wheels")  # fmt: skip
    parser.add_argument("--scratch", type=Path, help="keep the roots here; default: throw away")
    args = parser.parse_args(words)
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        print(f"needs root and {', '.join(NEEDED)}; missing: {missing or 'root'}", file=sys.stderr)
        return 2
    arguments = dict(word.split("=", 1) for word in args.argument)
    with tempfile.TemporaryDirectory(prefix="crossfuse-image-") as temporary:
        scratch = args.scratch or Path(temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        builder = ImageBuilder(CHECKOUT, scratch, arguments, args.mount)
        try:
            for target in args.target or ["cpu"]:
                PROOFS[target](builder.build(target), scratch)
        except (ProofFailed, subprocess.CalledProcessError) as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    return 0


def prove_cpu(image: Image, scratch: Path) -> None:
    """No torch, small, and a server that does its work."""
    packages = packages_of(image)
    expect("no torch among the packages", not {"torch", "onnxruntime-gpu"} & packages)
    expect(
        "no file of torch",
        not list(image.folder.glob("opt/crossfuse/lib/python3*/site-packages/torch*")),
    )
    expect("onnxruntime is there", "onnxruntime" in packages)
    prove_server(image, scratch)
    print(f"cpu: {len(packages)} packages, /opt/crossfuse is {megabytes(image):.0f} MB")


def prove_gpu(image: Image, scratch: Path) -> None:
    """The libraries that onnxruntime's providers link are those that were installed."""
    packages = packages_of(image)
    expect("no torch among the packages", not {"torch", "onnxruntime"} & packages)
    libraries = {path.name for path in (image.folder / "opt/crossfuse").rglob("lib*.so*")}
    provider = next(image.folder.rglob("libonnxruntime_providers_tensorrt.so"))
    command = ["readelf", "--dynamic", str(provider)]
    linked = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in ("libnvinfer.so.10", "libnvonnxparser.so.10"):
        expect(f"onnxruntime's TensorRT provider links {name}", name in linked)
        if "tensorrt-cu13" in packages:
            expect(f"{name} is installed", name in libraries)
    prove_server(image, scratch)
    print(f"gpu: {len(packages)} packages, /opt/crossfuse is {megabytes(image):.0f} MB")


def prove_train(image: Image, scratch: Path) -> None:
    """torch is the pinned one, and its user can train a recipe of the image."""
    # The empty name of a data folder means made-up scenes.
    container = open_container(image, TRAINING, {"CROSSFUSE_DATA": ""}, scratch)
    code = container.wait(PATIENCE)
    said = (scratch / "container.log").read_text()
    expect(f"{' '.join(TRAINING[:3])} with a smoke recipe", code == 0, said)
    pinned = next(
        line for line in (CHECKOUT / "constraints.txt").read_text().splitlines()
        if line.startswith("torch==")
    )  # fmt: skip
    report = json.loads((image.folder / "opt/crossfuse/packages.json").read_text())
    versions = {
        entry["metadata"]["name"]: entry["metadata"]["version"] for entry in report["installed"]
    }
    expect(f"{pinned} is installed", versions["torch"].partition("+")[0] == pinned[7:])
    print(f"train: {len(versions)} packages, /opt/crossfuse is {megabytes(image):.0f} MB")


PROOFS: dict[str, Callable[[Image, Path], None]] = {
    "cpu": prove_cpu,
    "gpu": prove_gpu,
    "train": prove_train,
}


def prove_server(image: Image, scratch: Path) -> None:
    """Refuses to listen publicly by itself; told to, it serves, is healthy, fuses and ends."""
    expect("the user is not root", image.user.partition(":")[0] not in ("", "0", "root"))
    refusing = open_container(image, [], {}, scratch)
    code = refusing.wait(PATIENCE)
    said = (scratch / "container.log").read_text()
    expect("without TLS it refuses to listen publicly", code == 2 and "insecure" in said, said)

    environment = {"CROSSFUSE_SERVER_INSECURE": "true", "CROSSFUSE_SERVER_HTTP_PORT": "8080"}
    container = open_container(image, [], environment, scratch)
    try:
        wait_until_healthy(container, image, scratch)
        for path in ("/x", "/opt/crossfuse/x", "/models/x", "/home/x", "/var/tmp/x"):
            written = container.execute(["touch", path]).returncode == 0
            expect(f"{path} cannot be written", not written)
        expect("/tmp can be written", container.execute(["touch", "/tmp/x"]).returncode == 0)
        fuse = (
            f"crossfuse fuse --ir {PICTURES}/ir.png --vis {PICTURES}/vis.png -o /tmp/fused.png "
            "--server localhost:8001"
        )
        fused = container.execute(["/bin/sh", "-c", fuse])
        expect("it fuses the sample pair", fused.returncode == 0, fused.stderr)
        metrics = container.execute(["python3", "-c", READ_METRICS])
        expect("it has metrics over HTTP", metrics.returncode == 0, metrics.stderr)
        container.signal(signal.SIGTERM)
        code = container.wait(PATIENCE)
        expect("SIGTERM through tini ends it with 0", code == 0, f"exit code {code}")
    finally:
        container.kill()


def wait_until_healthy(container: Container, image: Image, scratch: Path) -> None:
    """Run the image's own HEALTHCHECK until it passes."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if container.has_ended:
            break
        if container.first_process is not None and container.execute(image.health).returncode == 0:
            expect(f"HEALTHCHECK {' '.join(image.health)} exits 0", holds=True)
            return
        time.sleep(0.5)
    log = (scratch / "container.log").read_text()
    raise ProofFailed(f"not healthy within {PATIENCE:.0f} s: {log}")


def open_container(
    image: Image, command: list[str], environment: dict[str, str], scratch: Path
) -> Container:
    """Start the image, with its own command where none is given."""
    return Container(
        image.folder,
        [*image.entrypoint, *(command or image.command)],
        {**image.environment, **environment},
        user=image.user,
        directory=image.directory,
        log=scratch / "container.log",
    )


def packages_of(image: Image) -> set[str]:
    """Names in the bill of materials that the build wrote."""
    report = json.loads((image.folder / "opt/crossfuse/packages.json").read_text())
    return {entry["metadata"]["name"].lower() for entry in report["installed"]}


def megabytes(image: Image) -> float:
    """Size of what the image adds to its base."""
    files = (image.folder / "opt/crossfuse").rglob("*")
    return sum(path.lstat().st_size for path in files if not path.is_dir()) / 1e6


def expect(what: str, holds: bool, said: str = "") -> None:
    """Print what holds, and stop at what does not."""
    if not holds:
        raise ProofFailed(f"{what}: {said.strip()}")
    print(f"ok  {what}")


if __name__ == "__main__":
    sys.exit(main())

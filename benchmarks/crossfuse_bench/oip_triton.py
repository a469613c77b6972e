"""The Open Inference Protocol of our server beside that of real Triton: the same calls to both.

    make oip-triton

starts `crossfuse serve` and, from an environment with nvidia-pytriton (which brings a tritonserver
for CPUs), Triton with a model of the same tensors; makes every call and every mistake with both;
fuses and streams with FusionClient(protocol="oip") through both; and writes what they answered.
Ends with 1 where a code differs that is not meant to.
"""

from __future__ import annotations

import argparse
import importlib
import os
import secrets
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from crossfuse import oip
from crossfuse.client import FusionClient
from crossfuse_bench.machine import commit
from crossfuse_bench.oip_cases import CASES, NAME, Case

PROGRAM = Path(__file__).with_name("triton_program.py")
START_SECONDS = 120.0
FRAMES = 200
TRITON_HEADER = "triton-grpc-protocol-triton-access-token"

_kept: list[Any] = []  # a server that nobody holds stops, and a folder is gone


@dataclass(frozen=True, slots=True)
class Row:
    """What both answered to one case."""

    case: Case
    triton: str
    ours: str

    @property
    def is_right(self) -> bool:
        """The same, or as differently as is meant."""
        return self.ours == (self.case.ours or self.triton)


class Server:
    """One of the two, seen by its clients."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self.channel = grpc.insecure_channel(address)
        self.headers = (("authorization", f"Bearer {token}"), (TRITON_HEADER, token))

    def answer(self, case: Case) -> str:
        """The name of the status, and what else the case looks at."""
        method: Any = self.channel.unary_unary(
            oip.method_path(case.method),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=oip.response_class(case.method).FromString,
        )
        metadata = self.headers if case.with_token else ()
        try:
            response = method(case.request(), timeout=case.timeout, metadata=metadata)
        except grpc.RpcError as error:
            call: Any = error
            return str(call.code().name)
        return f"OK {case.look(response)}".strip()

    def stream(self, requests: Sequence[Any]) -> str:
        """The ids of the answers on one stream, `!` where one is an error."""
        method: Any = self.channel.stream_stream(
            oip.method_path("ModelStreamInfer"),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=oip.ModelStreamInferResponse.FromString,
        )
        answers = method(iter(requests), timeout=60, metadata=self.headers)
        return " ".join(
            f"{answer.infer_response.id}{'!' if answer.error_message else ''}" for answer in answers
        )


def stream_case() -> list[Any]:
    """Good requests and, between them, one that is not."""
    by_name = {case.name: case for case in CASES}
    names = ("one pair, raw", "a wrong datatype", "an unknown model", "one pair, raw")
    requests = [by_name[name].request() for name in names]
    for number, request in enumerate(requests):
        request.id = str(number)
    return requests


def run_client(server: Server, token: str | None) -> str:
    """Fuse and stream with our client: how many frames came, each like the picture alone."""
    rng = np.random.default_rng(5)
    ir = rng.integers(0, 256, (96, 128), np.uint8)
    vis = rng.integers(0, 256, (96, 128, 3), np.uint8)
    with FusionClient(server.address, protocol="oip", token=token) as client:
        fused = client.fuse(ir, vis, model=NAME)
        frames = client.stream([(ir, vis)] * FRAMES, model=NAME)
        same = sum(bool(np.all(frame.image == fused)) for frame in frames)
    return f"{same} of {FRAMES} frames like the call"


def start_ours(token: str) -> Server:
    """`crossfuse serve` in this process, with a token."""
    # By name: this package must be usable where the server is not installed.
    app: Any = importlib.import_module("crossfuse_server.app")
    module: Any = importlib.import_module("crossfuse_server.settings")
    folder = tempfile.TemporaryDirectory()
    tokens = Path(folder.name) / "tokens"
    tokens.write_text(token, encoding="utf-8")
    tokens.chmod(0o600)
    settings = module.ServerSettings(port=0, default_model=NAME, threads=1, token_file=tokens)
    server = app.FusionServer(settings)
    server.start()
    _kept.extend((folder, server))
    while server.state.value == "loading":
        time.sleep(0.05)
    return Server(f"127.0.0.1:{server.port}", token)


@contextmanager
def triton(python: Path, token: str) -> Iterator[Server]:
    """Triton in a process of its own."""
    port = _three_free_ports()
    # Its Python backend links libpython by name and would take the system's.
    library = sysconfig.get_config_var("LIBDIR")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)}
    command = [str(python), str(PROGRAM), str(port), token]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(  # noqa: S603 - our own program
            command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, text=True
        ) as process,
    ):
        try:
            _wait_until(lambda: _is_in(log, "READY"), process, log)
            yield Server(f"127.0.0.1:{port}", token)
        finally:
            process.communicate("")


def report(rows: Sequence[Row], versions: Sequence[str], extra: Sequence[tuple[str, ...]]) -> str:
    """The page."""
    wrong = [row for row in rows if not row.is_right]
    lines = [
        "# The Open Inference Protocol beside real Triton",
        "",
        f"- Triton: {versions[0]}; CrossFuse: {versions[1]}; commit {commit()}",
        "- Repeat it: `make oip-triton`",
        f"- Codes that differ without being meant to: **{len(wrong)}**",
        "",
        "| call | Triton | CrossFuse | |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        verdict = "" if row.triton == row.ours else (row.case.why if row.is_right else "WRONG")
        lines.append(f"| {row.case.name} | {row.triton} | {row.ours} | {verdict} |")
    lines += [f"| {name} | {theirs} | {ours} | |" for name, theirs, ours in extra]
    return "\n".join([*lines, ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Compare and write the page; 1 when a code is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(".venv-triton/bin/python"),
        help="of an environment with nvidia-pytriton; default: %(default)s",
    )
    args = parser.parse_args(argv)
    if not args.python.exists():
        parser.error(f"--python: got {args.python}, which is not there; `make oip-triton` makes it")
    token = secrets.token_hex(16)
    with triton(args.python, token) as theirs:
        ours = start_ours(token)
        rows = [Row(case, theirs.answer(case), ours.answer(case)) for case in CASES]
        streams = theirs.stream(stream_case()), ours.stream(stream_case())
        clients = run_client(theirs, None), run_client(ours, token)
        versions = [_version(server) for server in (theirs, ours)]
    _kept.pop().stop()
    extra = [
        ("a stream of four, two of them wrong", *streams),
        ("FusionClient(protocol='oip')", *clients),
    ]
    args.output.write_text(report(rows, versions, extra), encoding="utf-8")
    wrong = [row.case.name for row in rows if not row.is_right]
    print("\n".join(wrong) or f"{len(rows)} cases as meant, written to {args.output}")
    return int(bool(wrong) or any(len(set(pair)) != 1 for pair in (streams, clients)))


def _version(server: Server) -> str:
    case = Case("version", "ServerMetadata", look=lambda answer: f"{answer.name} {answer.version}")
    return server.answer(case).removeprefix("OK ")


def _three_free_ports() -> int:
    """The first of three ports in a row that nobody listens on."""
    for port in range(20_000, 60_000, 7):
        found = [_connects(port + number) for number in range(3)]
        if not any(found):
            return port
    raise OSError("no three free ports in a row")


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_in(log: Any, word: str) -> bool:
    log.seek(0)
    return word in log.read()


def _wait_until(is_ready: Callable[[], bool], process: Any, log: Any) -> None:
    end = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > end:
            log.seek(0)
            raise RuntimeError(f"Triton did not start:\n{log.read()[-2000:]}")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())

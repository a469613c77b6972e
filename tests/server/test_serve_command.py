"""`crossfuse serve` as a process: its first line, its signals, its exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crossfuse.cli import main
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc

PATIENCE = 120

# The command with an engine that says when it runs, and waits for a file.
GATED = """
import sys, time
from pathlib import Path
from crossfuse.engines import Engine
from crossfuse_server import engines

gate, load = Path(sys.argv[1]), engines.load_engine

class Gated(Engine):
    def __init__(self, engine):
        self.engine = engine
    def fuse(self, ir, vis):
        print("running", file=sys.stderr, flush=True)
        while not gate.exists():
            time.sleep(0.005)
        return self.engine.fuse(ir, vis)
    def warm_up(self, height, width, batch=1):
        pass
    def describe(self):
        return self.engine.describe()

engines.load_engine = lambda *args, **options: Gated(load(*args, **options))
from crossfuse.cli import main
sys.exit(main(["serve", *sys.argv[2:]]))
"""


# The command with a thread that takes the signal for itself.
STRAY = """
import signal, sys, threading

def take():
    sys.stdin.readline()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

threading.Thread(target=take, daemon=True).start()
from crossfuse.cli import main
sys.exit(main(["serve", *sys.argv[1:]]))
"""


class Process:
    """A running command whose standard error is read line by line."""

    def __init__(self, words: list[str], environment: dict[str, str], folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
        )

    def line(self) -> str:
        """The next line of standard error."""
        assert self._process.stderr is not None
        return self._process.stderr.readline().rstrip()

    def address(self) -> str:
        """Where it listens, as its first line says."""
        first = self.line()
        found = re.fullmatch(r"listening on (127\.0\.0\.1:\d+)", first)
        assert found is not None, first
        return found[1]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def threads(self) -> int:
        """How many it has."""
        return sum(1 for _ in Path(f"/proc/{self._process.pid}/task").iterdir())

    def end(self, said: str = "") -> tuple[int, str, str]:
        """Exit code, standard output, and what is left of standard error."""
        output, log = self._process.communicate(said, timeout=PATIENCE)
        return self._process.returncode, output, log

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start(tmp_path: Path, models: Path) -> Iterator[Callable[..., Process]]:
    """Starts `crossfuse serve` with no bundles but those of the test."""
    started: list[Process] = []
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CROSSFUSE_")}
    clean["XDG_DATA_HOME"] = str(tmp_path)

    def run(*flags: str, program: tuple[str, ...] = (), **environment: str) -> Process:
        words = ["-c", *program] if program else ["-m", "crossfuse", "serve"]
        words += ["--port", "0", "--models", str(models), "--default-model", "mean", "--threads=1"]
        started.append(Process([*words, *flags], {**clean, **environment}, tmp_path))
        return started[-1]

    yield run
    for process in started:
        process.kill()


def stub_of(channel: grpc.Channel) -> Any:
    stub: Any = fusion_pb2_grpc.FusionServiceStub
    return stub(channel)


def wait_until_serving(channel: grpc.Channel) -> None:
    watch = health_pb2_grpc.HealthStub(channel).Watch(
        health_pb2.HealthCheckRequest(), timeout=PATIENCE, wait_for_ready=True
    )
    for answer in watch:
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            watch.cancel()
            return


def state_of(stub: Any) -> int:
    state: int = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=PATIENCE).state
    return state


def test_it_serves_until_sigterm(start: Callable[..., Process], make: Any) -> None:
    process = start(CROSSFUSE_DATA="nowhere", CROSSFUSE_SERVER_MAX_QUEUE="9")
    with grpc.insecure_channel(process.address()) as channel:
        wait_until_serving(channel)
        stub = stub_of(channel)
        info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=PATIENCE)
        assert info.limits.max_queue == 9
        assert info.models[0].model == pb.ModelRef(name="mean", version="2")
        assert stub.Fuse(make.request(), timeout=PATIENCE).fused.height == 48
        process.signal(signal.SIGTERM)
        assert process.end() == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_is_in_flight(
    number: signal.Signals,
    start: Callable[..., Process],
    make: Any,
    eventually: Callable[..., None],
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    process = start(program=(GATED, str(gate)))
    with grpc.insecure_channel(process.address()) as channel:
        wait_until_serving(channel)
        stub = stub_of(channel)
        call = stub.Fuse.future(make.request(), timeout=PATIENCE)
        assert process.line() == "running"
        process.signal(number)
        eventually(lambda: state_of(stub) == pb.SERVING_STATE_DRAINING)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Fuse(make.request(), timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        gate.touch()
        assert call.result().fused.height == 48
        assert process.end() == (0, "", "")


def test_a_second_signal_cuts_calls_off(
    start: Callable[..., Process], make: Any, eventually: Callable[..., None], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    process = start(program=(GATED, str(gate)))
    with grpc.insecure_channel(process.address()) as channel:
        wait_until_serving(channel)
        stub = stub_of(channel)
        call = stub.Fuse.future(make.request(), timeout=PATIENCE)
        assert process.line() == "running"
        process.signal(signal.SIGTERM)
        eventually(lambda: state_of(stub) == pb.SERVING_STATE_DRAINING)
        process.signal(signal.SIGTERM)
        assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        gate.touch()
        assert process.end()[0] == 0


def test_a_second_signal_ends_a_server_whose_engine_hangs(
    start: Callable[..., Process], make: Any, eventually: Callable[..., None], tmp_path: Path
) -> None:
    process = start(program=(GATED, str(tmp_path / "never")))
    with grpc.insecure_channel(process.address()) as channel:
        wait_until_serving(channel)
        stub = stub_of(channel)
        call = stub.Fuse.future(make.request(), timeout=PATIENCE)
        assert process.line() == "running"
        process.signal(signal.SIGTERM)
        eventually(lambda: state_of(stub) == pb.SERVING_STATE_DRAINING)
        process.signal(signal.SIGTERM)
        assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        process.end()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_reloads_the_models(
    start: Callable[..., Process],
    models: Path,
    eventually: Callable[..., None],
    write_bundle: Callable[..., Path],
    tmp_path: Path,
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(models, mine)
    process = start("--models", str(mine))
    with grpc.insecure_channel(process.address()) as channel:
        wait_until_serving(channel)
        stub = stub_of(channel)
        write_bundle(mine, "mean", 3, 0.5)
        process.signal(signal.SIGHUP)

        def default() -> str:
            info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=PATIENCE)
            return str(info.models[0].model.version)

        eventually(lambda: default() == "3")
        process.signal(signal.SIGTERM)
        assert process.end()[0] == 0


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="this system does not show its threads")
def test_signals_while_models_are_reloaded(
    start: Callable[..., Process], root: Path, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """Many of one kind are one reload; and a runtime that loads a model aborts no end."""
    mine = tmp_path / "mine" / "crossfuse-rt"
    shutil.copytree(root / "crossfuse" / "assets" / "models" / "crossfuse-rt" / "1", mine / "1")
    process = start("--models", str(mine.parent), "--default-model", "crossfuse-rt")
    with grpc.insecure_channel(process.address()) as channel:
        wait_until_serving(channel)
        stub = stub_of(channel)

        def count() -> int:
            return len(stub.ListModels(pb.ListModelsRequest(), timeout=PATIENCE).models)

        first = count()
        for version in range(2, 10):
            copy = mine / str(version)
            shutil.copytree(mine / "1", copy)
            manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
            manifest["version"] = version
            (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        threads = process.threads()
        process.signal(signal.SIGHUP)
        eventually(lambda: count() > first, "the reload has begun")
        for _ in range(100):
            process.signal(signal.SIGHUP)
            count()
        assert process.threads() < threads + 50, "none of them waits in a thread of its own"
        process.signal(signal.SIGTERM)
        assert process.end() == (0, "", "")


def test_a_signal_that_another_thread_gets(start: Callable[..., Process]) -> None:
    process = start(program=(STRAY,))
    process.address()
    assert process.end("now\n") == (0, "", "")


def test_a_default_model_that_is_damaged(
    start: Callable[..., Process], models: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(models, damaged)
    (damaged / "mean" / "2" / "model.fp32.onnx").write_bytes(b"not what it was")
    code, output, log = start("--models", str(damaged)).end()
    assert (code, output) == (2, "")
    last = log.splitlines()[-1]
    assert re.fullmatch(
        r"crossfuse serve: .*model\.fp32\.onnx: sha256 is [0-9a-f]{64}, but the manifest says "
        r"[0-9a-f]{64}; the file was changed or damaged: install the bundle again",
        last,
    )
    assert "Traceback" not in log


@pytest.fixture
def refused(models: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command, in this process, with flags it cannot start with; returns what it says."""

    def run(*flags: str) -> str:
        words = ["--port", "0", "--models", str(models), "--default-model", "mean"]
        assert main(["serve", *words, *flags]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        return line

    return run


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        (["--default-model", "nope"], {}, "model: no bundle 'nope'; installed: mean:1, mean:2,"),
        (["--default-model", "No"], {}, "model: got 'No'; valid: a name like 'crossfuse-rt'"),
        (["--max-pixels", "5"], {}, "max_pixels: got 5; valid: 1024 or more"),
        (["--models", "nowhere"], {}, "models: got nowhere; valid: a folder of bundles"),
        (["--config", "nowhere"], {}, "config: got nowhere; valid: a readable file"),
        ([], {"CROSSFUSE_SERVER_X": "1"}, "environment variable: got 'CROSSFUSE_SERVER_X'; valid"),
        ([], {"CROSSFUSE_SERVER_PORT": "x"}, "port in CROSSFUSE_SERVER_PORT: got 'x'; valid: a va"),
        (
            ["--host", "192.0.2.1", "--insecure"],
            {},
            "port: got 192.0.2.1:0; valid: an address of this machine",
        ),
    ],
)
def test_what_it_does_not_start_with(
    flags: list[str],
    environment: dict[str, str],
    message: str,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert refused(*flags).startswith(f"crossfuse serve: {message}")


def test_an_unknown_key_of_the_config(refused: Callable[..., str], tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("prot = 8001\n", encoding="utf-8")
    line = refused("--config", str(config))
    assert line.startswith(f"crossfuse serve: setting in {config}: got 'prot'; valid: ")
    assert line.endswith("(did you mean 'port'?)")


def test_a_default_model_whose_manifest_is_damaged(
    refused: Callable[..., str], models: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(models, damaged)
    for manifest in (damaged / "mean").glob("*/manifest.json"):
        manifest.write_text("{", encoding="utf-8")
    line = refused("--models", str(damaged))
    assert line.startswith("crossfuse serve: ")
    assert "manifest.json" in line


def test_a_port_in_use(refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused("--port", str(port)) == (
            f"crossfuse serve: port: got 127.0.0.1:{port}; "
            "valid: an address of this machine and a port that is free, or port 0"
        )

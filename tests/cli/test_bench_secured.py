"""`bench serve` and `bench video` against a server with TLS and tokens."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crossfuse.cli import main
from crossfuse_bench.report.document import read_report
from crossfuse_bench.stand_ins import NoEngine, write_bundle

AUTHORITY = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, until_serving: Callable[[Any], None]
) -> Iterator[list[str]]:
    """The options of a client that is let in."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates cannot be made: no openssl on the PATH")
    folder = tmp_path_factory.mktemp("secured")
    names = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    command = f"{AUTHORITY} {names} -keyout key.pem -out cert.pem"
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    (folder / "token").write_text("a-token-that-is-long-enough\n", encoding="utf-8")
    app: Any = importlib.import_module("crossfuse_server.app")
    settings: Any = importlib.import_module("crossfuse_server.settings")
    write_bundle(folder / "models", "none")
    chosen = settings.ServerSettings(
        port=0, models=folder / "models", default_model="none", warm_up="32x32",
        tls_cert=folder / "cert.pem", tls_key=folder / "key.pem", token_file=folder / "token",
    )  # fmt: skip
    server = app.FusionServer(chosen, lambda _: [NoEngine()])
    server.start()
    until_serving(server)
    yield [
        *("--server", f"localhost:{server.port}", "--tls-ca", str(folder / "cert.pem")),
        *("--token-file", str(folder / "token")),
    ]
    server.stop()


def test_a_secured_server_is_measured(secured: list[str], tmp_path: Path) -> None:
    words = ["bench", "serve", *secured, "--model", "none", "--size", "32x32", "--search", "0"]
    words += ["--concurrency", "1", "--rate", "20", "--seconds", "0.3", "-o", str(tmp_path)]
    assert main(words) == 0
    document = read_report(tmp_path)
    for row in document["rows"]:
        assert row["n"] > 0
        assert row["failures"] == {}
        assert row["server"]["n"] == row["n"]
    assert "a-token" not in (tmp_path / "report.json").read_text(encoding="utf-8")


def test_without_the_token_there_is_no_report(
    secured: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "serve", *secured[:-2], "--size", "32x32", "-o", str(tmp_path / "report")]
    assert main(words) != 0
    assert "authorization: got nothing; valid: " in capsys.readouterr().err
    assert not (tmp_path / "report").exists()

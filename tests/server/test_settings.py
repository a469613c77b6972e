"""Where settings come from, and which are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_server.settings import ServerSettings, load_settings


def write(folder: Path, text: str) -> Path:
    config = folder / "server.toml"
    config.write_text(text, encoding="utf-8")
    return config


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(tmp_path: Path) -> None:
    config = write(tmp_path, 'port = 1\nmax_queue = 11\nhost = "127.0.0.2"\n')
    environment = {"CROSSFUSE_SERVER_PORT": "2", "CROSSFUSE_SERVER_MAX_QUEUE": "12"}
    settings = load_settings({"port": 3}, config, environment)
    assert (settings.port, settings.max_queue, settings.host) == (3, 12, "127.0.0.2")
    assert settings.max_streams == ServerSettings().max_streams


def test_types(tmp_path: Path) -> None:
    config = write(tmp_path, 'drain_seconds = 2\nmodels = "somewhere"\nport = "8002"\n')
    environment = {"CROSSFUSE_SERVER_DRAIN_SECONDS": "1.5", "CROSSFUSE_SERVER_TOKEN_FILE": ""}
    settings = load_settings({}, config, environment)
    assert settings.drain_seconds == 1.5
    assert settings.models == Path("somewhere")
    assert settings.port == 8002
    assert settings.token_file is None


def test_other_variables_are_no_settings() -> None:
    environment = {"CROSSFUSE_MODELS": "x", "CROSSFUSE_DATA": "y", "CROSSFUSE_SERVERS": "z"}
    assert load_settings({}, None, environment) == ServerSettings()


def test_the_environment_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSFUSE_SERVER_MAX_STREAMS", "5")
    assert load_settings().max_streams == 5


def test_an_unknown_key_of_the_file(tmp_path: Path) -> None:
    config = write(tmp_path, "max_qeue = 5\n")
    with pytest.raises(UnknownName, match=r"got 'max_qeue'; valid: .*did you mean 'max_queue'"):
        load_settings({}, config, {})


def test_an_unknown_variable() -> None:
    with pytest.raises(
        UnknownName,
        match=r"environment variable: got 'CROSSFUSE_SERVER_PROT'; valid: .*"
        r"did you mean 'CROSSFUSE_SERVER_PORT'\?",
    ):
        load_settings({}, None, {"CROSSFUSE_SERVER_PROT": "1"})


@pytest.mark.parametrize("text", ["port = ", "[[[", "\ufeffport = 1"])
def test_a_file_that_is_no_toml(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"config: got .*server.toml; valid: a TOML file"):
        load_settings({}, write(tmp_path, text), {})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"config: got .*nothing.toml; valid: a readable file"):
        load_settings({}, tmp_path / "nothing.toml", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = true", "port in .*: got True; valid: a value like 8001"),
        ("port = 80.5", r"port in .*: got 80\.5; valid: a value like 8001"),
        ('port = "http"', "port in .*: got 'http'; valid: a value like 8001"),
        ("port = [1]", r"port in .*: got \[1\]; valid: a value like 8001"),
        ("[port]\nnumber = 1", "port in .*: got {'number': 1}; valid: a value like 8001"),
    ],
)
def test_a_value_of_the_wrong_type(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_settings({}, write(tmp_path, text), {})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"port": -1}, "port: got -1; valid: 0 or more"),
        ({"port": 65536}, "port: got 65536; valid: 65535 or less"),
        ({"max_queue": 0}, "max_queue: got 0; valid: 1 or more"),
        ({"max_pixels": 1}, "max_pixels: got 1; valid: 1024 or more"),
        ({"max_pixels": 10**12}, "max_pixels: got 1000000000000; valid: 268435456 or less"),
        ({"drain_seconds": float("nan")}, "drain_seconds: got nan; valid: 0 or more"),
        ({"drain_seconds": float("inf")}, "drain_seconds: got inf; valid: 86400 or less"),
        ({"device": "gpu"}, "device: got 'gpu'; valid: auto, cpu, cuda, tensorrt"),
        ({"precision": "fp8"}, "precision: got 'fp8'; valid: auto, fp16, fp32, int8"),
        ({"warm_up": "480"}, "warm_up: got '480'; valid: HxW, like 480x640"),
        ({"warm_up": "0x640"}, "warm_up: got '0x640'; valid: HxW of at most"),
        ({"warm_up": "9999x9999"}, "warm_up: got '9999x9999'; valid: HxW of at most 16777216"),
        ({"batching": "yes"}, "batching: got 'yes'; valid: auto, off, on"),
        ({"max_batch": 65}, "max_batch: got 65; valid: 64 or less"),
        ({"preferred_batches": "4;8"}, "preferred_batches: got '4;8'; valid: sizes like 4,8"),
        ({"preferred_batches": "0"}, "preferred_batches: got '0'; valid: sizes like 4,8"),
        ({"watch_seconds": float("inf")}, "watch_seconds: got inf; valid: 86400 or less"),
        ({"stall_seconds": 0.0}, "stall_seconds: got 0.0; valid: 0.05 or more"),
        ({"max_queue_bytes": 10**6}, "max_queue_bytes: got 1000000; valid: 335806464 or more with"),
        ({"admin_token_file": Path("no")}, "admin_token_file: got no; valid: a file that exists"),
        ({"token_file": Path("nowhere")}, "token_file: got nowhere; valid: a file that exists"),
    ],
)
def test_a_value_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        ServerSettings(**values)


def test_half_of_a_certificate(tmp_path: Path) -> None:
    pem = tmp_path / "cert.pem"
    pem.touch()
    with pytest.raises(InvalidInput, match="tls_key: got nothing; valid: both tls_cert and"):
        ServerSettings(tls_cert=pem)


def test_the_largest_message_holds_two_pictures_at_the_limit() -> None:
    settings = ServerSettings(max_pixels=1024, warm_up="32x32")
    assert settings.max_message_bytes > 1024 * 2 + 1024 * 3
    assert ServerSettings(max_pixels=2**28).max_message_bytes < 2**31


def test_what_is_worked_out_from_others() -> None:
    assert ServerSettings(preferred_batches="8,4").batch_sizes == (4, 8)
    assert ServerSettings().queue_bytes == 2**30
    assert ServerSettings(max_queue_bytes=2**29).queue_bytes == 2**29
    largest = ServerSettings(max_pixels=2**28)
    assert largest.queue_bytes >= 4 * largest.max_message_bytes

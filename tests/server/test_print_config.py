"""`crossfuse serve --print-config`: what is set, where it comes from, and a file to read back."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.cli import main
from crossfuse_server.print_config import config_text
from crossfuse_server.settings import ServerSettings, load_settings


def written(folder: Path, text: str) -> Path:
    path = folder / "again.toml"
    path.write_text(text, encoding="utf-8")
    return path


def origins_of(text: str) -> dict[str, str]:
    """Where each setting comes from, as its comment says."""
    found = {}
    for line in text.splitlines():
        setting, _, origin = line.rpartition("  # ")
        found[setting.removeprefix("# ").split()[0]] = origin
    return found


def test_every_setting_is_there_with_its_origin(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text('max_queue = 9\nhost = "127.0.0.2"\n', encoding="utf-8")
    environment = {"CROSSFUSE_SERVER_MAX_QUEUE": "10", "CROSSFUSE_SERVER_MAX_STREAMS": "7"}
    origins = origins_of(config_text({"max_streams": 8}, config, environment))
    assert list(origins) == [entry.name for entry in fields(ServerSettings)]
    given = {name: origin for name, origin in origins.items() if origin != "default"}
    assert given == {
        "host": f"file {config}",
        "max_queue": "variable CROSSFUSE_SERVER_MAX_QUEUE",
        "max_streams": "flag --max-streams",
    }


def test_it_can_be_read_back(tmp_path: Path) -> None:
    token_file = tmp_path / "a 'token' \"file\" \\ ü"
    token_file.write_text("secret\n", encoding="utf-8")
    token_file.chmod(0o600)
    flags = {
        "port": 0,
        "token_file": token_file,
        "drain_seconds": 1.5,
        "log_format": "json",
        "models": tmp_path,
    }
    text = config_text(flags, None, {})
    assert load_settings({}, written(tmp_path, text), {}) == load_settings(flags, None, {})
    assert "secret" not in text


@given(model=st.text(st.characters(codec="utf-8")), delay=st.floats(0, 1e4))
def test_any_value_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, model: str, delay: float
) -> None:
    flags = {"default_model": model, "batch_delay_ms": delay}
    path = written(tmp_path_factory.mktemp("config"), config_text(flags, None, {}))
    assert load_settings({}, path, {}) == load_settings(flags, None, {})


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    flags = {"otel_endpoint": "https://me:password@collector:4317"}
    text = config_text(flags, None, {})
    assert "password" not in text
    assert '# otel_endpoint = "https://***@collector:4317"  # flag --otel-endpoint' in text
    assert load_settings({}, written(tmp_path, text), {}).otel_endpoint == ""


def test_the_command_prints_it_and_ends(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["serve", "--print-config", "--port", "0", "--insecure"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    settings = load_settings({}, written(tmp_path, captured.out), {})
    assert (settings.port, settings.insecure) == (0, True)


def test_what_is_wrong_is_refused_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = written(tmp_path, "max_qeue = 5\n")
    assert main(["serve", "--print-config", "--config", str(config)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean 'max_queue'?" in captured.err

"""Where a server listens: here only, unless it is told otherwise, and not in the open."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossfuse.cli import main
from crossfuse.errors import InvalidInput
from crossfuse_server.settings import ServerSettings, is_loopback, load_settings

HERE = ["127.0.0.1", "127.1.2.3", "::1", "localhost"]
PUBLIC = ["0.0.0.0", "::", "", "192.0.2.1", "10.0.0.1", "127.1", "::ffff:127.0.0.1", "fusion.lan"]  # noqa: S104


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, Path]:
    """Files that exist: what is in them counts when the server starts."""
    files = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    for path in files.values():
        path.touch()
    return files


def test_it_listens_here_unless_told_otherwise() -> None:
    assert is_loopback(ServerSettings().host)


@pytest.mark.parametrize("host", HERE)
def test_addresses_of_this_machine_need_no_tls(host: str) -> None:
    assert ServerSettings(host=host).host == host


@pytest.mark.parametrize("host", PUBLIC)
@pytest.mark.parametrize("http_port", [None, 8080])
def test_a_public_address_without_tls_is_refused(host: str, http_port: int | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        ServerSettings(host=host, http_port=http_port)
    assert str(caught.value) == (
        f"host: got {host!r}, which other machines can reach, without TLS; "
        "valid: tls_cert and tls_key, or 127.0.0.1, or insecure to be read by everybody"
    )


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_with_tls_or_on_purpose(host: str, certificate: dict[str, Path]) -> None:
    assert ServerSettings(host=host, **certificate).host == host  # type: ignore[arg-type]
    assert ServerSettings(host=host, insecure=True).host == host


def test_a_list_of_authorities_alone_is_no_tls(certificate: dict[str, Path]) -> None:
    with pytest.raises(InvalidInput, match="tls_cert: got nothing; valid: a certificate where"):
        ServerSettings(tls_client_ca=certificate["tls_cert"])


def test_the_command_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "0", "--host", "0.0.0.0"]) == 2  # noqa: S104
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("crossfuse serve: host: got '0.0.0.0', which other machines can reach")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("false", False), ("TRUE", True), ("False", False)]
)
def test_insecure_as_a_variable(text: str, value: bool) -> None:
    assert load_settings({}, None, {"CROSSFUSE_SERVER_INSECURE": text}).insecure is value


@pytest.mark.parametrize("text", ["yes", "1", "", "insecure"])
def test_insecure_is_true_or_false(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"insecure in .*; valid: true or false"):
        load_settings({}, None, {"CROSSFUSE_SERVER_INSECURE": text})


def test_insecure_in_a_file(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text('host = "0.0.0.0"\ninsecure = true\n', encoding="utf-8")
    assert load_settings({}, config, {}).insecure
    with pytest.raises(InvalidInput, match="host: got '0"):
        load_settings({"insecure": False}, config, {})

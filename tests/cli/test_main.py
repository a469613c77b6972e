from __future__ import annotations

import subprocess
import sys

import pytest

from crossfuse.cli import COMMANDS, main


def test_no_command_prints_the_overview_and_is_bad_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert "crossfuse fuse --ir" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("crossfuse ")


def test_an_unknown_command_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuze"]) == 2
    assert "did you mean 'fuse'" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert f"crossfuse {name}" in printed.split("example:")[1]


def test_bad_usage_is_exit_code_two() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fuse", "--ir"])
    assert ended.value.code == 2


def test_a_fault_of_ours_is_one_line_unless_debugged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("crossfuse.cli.models.installed_bundles", broken)
    assert main(["models", "list"]) == 1
    assert "unexpected ZeroDivisionError: oops" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        main(["models", "list", "--debug"])


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m crossfuse models list | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
